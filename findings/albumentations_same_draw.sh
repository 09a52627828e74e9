#!/usr/bin/env bash
# albumentations 2.0.8: Compose(seed=...) gives every transform a generator of the same seed, so transforms of one
# probability fire together. A misspelt argument of a transform only warns, and the default is used.
# Seen: two flips of p=.5 over 200 images: both or none each time; independent draws would agree about 100 times.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install albumentations==2.0.8 opencv-python-headless==4.12.0.88 numpy==2.2.6
NO_ALBUMENTATIONS_UPDATE=1 v/bin/python - <<'PY'
import warnings

import albumentations
import numpy as np

assert albumentations.__version__ == "2.0.8"
image = np.arange(4, dtype=np.uint8).reshape(2, 2)  # each of the four flips gives another picture
flips = albumentations.Compose([albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)], seed=7)
seen = [flips(image=image)["image"].ravel().tolist() for _ in range(200)]
together = sum(one in ([0, 1, 2, 3], [3, 2, 1, 0]) for one in seen)
print(f"flipped both ways or not at all: {together} of {len(seen)}")
assert together == 200 and len({tuple(one) for one in seen}) == 2, together
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    turn = albumentations.Rotate(limits=(-90, 90))  # the argument's name is limit
print("a misspelt argument:", [str(one.message) for one in caught], "limit", turn.limit)
assert len(caught) == 1 and tuple(turn.limit) == (-90, 90)
PY
