"""Recall and precision of the leak finder on real photos, and the effect of leaks on accuracy.

    python benchmarks/leaks.py DATA [--share 0.1] [--epochs 8]

DATA is a folder with train and test (or val) folders. A share of the test images is planted into train: saved again as
JPEG (quality 60), resized to two thirds, mirrored, or all of it, in turn. Prints precision and recall of the finder,
and the accuracy of a small network trained from scratch, with and without the leaked images, with `data.on_leak: warn`
and `drop`. Copies that the data had before are counted separately.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from PIL import Image

from tlkit.data.dataset_source import Source
from tlkit.data.sources.folder import scan_folder
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.recipe import Recipe
from tlkit.training.fit import fit


def planted(source: Path, root: Path, share: float) -> set[str]:
    """Copy the data, plant a share of its test images into train, and return their paths."""
    shutil.copytree(source, root)
    samples = scan_folder(root)
    judged = "test" if len(samples.split("test")) else "val"
    rows = samples.split(judged).table
    chosen = rows.iloc[:: round(1 / share)]
    for number, (path, label) in enumerate(zip(chosen["path"], chosen["label"], strict=True)):
        with Image.open(root / path) as opened:
            image = opened.convert("RGB")
        how = number % 4
        if how in (1, 3):
            image = image.resize(
                (max(1, image.width * 2 // 3), max(1, image.height * 2 // 3)), Image.Resampling.BICUBIC
            )
        if how in (2, 3):
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image.save(root / "train" / label / f"planted_{number:05d}.jpg", quality=60 if how in (0, 3) else 85)
    return set(chosen["path"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = Source(root=arguments.data, plan=SplitPlan(val=0)).load().leaks
        root = Path(folder) / "data"
        leaked = planted(arguments.data, root, arguments.share)
        started = time.perf_counter()
        data = Source(root=root, plan=SplitPlan(val=0)).load()
        found = set(data.leaks.table["path"])
        seconds = time.perf_counter() - started
        had = set(before.table["path"])
        print(f"{arguments.data}: {len(data.samples)} images, {len(leaked)} planted, {len(had)} leaks before")
        print(f"found {len(found)}, recall {len(found & leaked) / len(leaked):.3f}, ", end="")
        print(f"precision {len(found & (leaked | had)) / max(1, len(found)):.3f}; read and compared in {seconds:.1f} s")
        for on_leak in ("warn", "drop"):
            recipe = Recipe(
                recipe_version=1,
                name=on_leak,
                strategy={"kind": "full"},
                augment={"preset": "none"},
                data={"root": str(root), "val": 0.0, "image_size": 32, "batch_size": 64, "on_leak": on_leak},
                model={"name": "test_resnet", "weights": "none"},
                report={"enabled": False},
                train={"epochs": arguments.epochs, "learning_rate": 0.003},
            )
            run = fit(recipe, runs_dir=Path(folder) / "runs")
            evaluation = run.evaluate()
            clean = evaluation.without_leaks
            text = f"{on_leak}: accuracy {evaluation.accuracy.format()}"
            print(text + (f", without leaks {clean.accuracy.format()}" if clean else ""))


if __name__ == "__main__":
    main()
