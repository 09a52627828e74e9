#!/usr/bin/env bash
# Pillow 13.0.0 resizes a picture that shrinks more in height than in width vertically first; 12.3.0 always starts
# horizontally. Pixels are rounded after each pass, so tall pictures get other pixels. Square and wide ones do not.
# Consequence: a stored preprocessing, a feature cache or a graph that imitates Pillow belongs to a Pillow version.
# Seen: with 12.3.0 and 13.0.0, bicubic to half height: 60 x 400 differs, 400 x 60 and 200 x 200 are equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > resize.py <<'PY'
import sys

import numpy as np
from PIL import Image, __version__

assert __version__ == sys.argv[1], __version__
generator = np.random.default_rng(0)
found = {}
for width, height in ((60, 400), (400, 60), (200, 200)):
    image = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
    small = image.resize((width * 3 // 2 if width < 100 else width // 2, height // 2), Image.Resampling.BICUBIC)
    found[f"{width}x{height}"] = np.asarray(small)
np.savez(f"{sys.argv[1]}.npz", **found)
PY
for version in 12.3.0 13.0.0; do
    python3 -m venv "v$version"
    "v$version/bin/pip" --quiet install "pillow==$version" numpy==2.4.6
    "v$version/bin/python" resize.py "$version"
done
v13.0.0/bin/python - <<'PY'
import numpy as np

old, new = np.load("12.3.0.npz"), np.load("13.0.0.npz")
largest = {name: int(np.abs(old[name].astype(int) - new[name].astype(int)).max()) for name in old.files}
print("largest difference in grey levels between Pillow 12.3.0 and 13.0.0:", largest)
assert largest["60x400"] > 1 and largest["400x60"] == 0 and largest["200x200"] == 0, largest
PY
