"""The same full fine-tune in fastai: every weight learns, crops of 60 to 100 % of the area, horizontal flip.

Usage: python fastai_finetune.py FOLDER EPOCHS   (prints one line of JSON)
"""

import json
import sys
from pathlib import Path

from fastai_loop import Net  # makes torchvision importable

from fastai.vision.all import (  # isort: skip
    Flip,
    ImageDataLoaders,
    Learner,
    Normalize,
    RandomResizedCrop,
    accuracy,
    params,
)
import torch


def main(folder, epochs):
    torch.manual_seed(0)
    data = ImageDataLoaders.from_folder(
        Path(folder),
        train="train",
        valid="val",
        item_tfms=RandomResizedCrop(224, min_scale=0.6),
        batch_tfms=[Flip(), Normalize.from_stats((0.5,) * 3, (0.5,) * 3)],
        bs=32,
        num_workers=2,
        device=torch.device("cpu"),
    )
    learner = Learner(data, Net(data.c), splitter=lambda m: [params(m.body), params(m.head)], metrics=accuracy)
    with learner.no_bar(), learner.no_logging():
        learner.fit(epochs, slice(1e-4, 1e-3))
        found = float(learner.validate()[1])
    n = len(data.valid_ds)
    print(json.dumps({"correct": round(found * n), "n": n}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
