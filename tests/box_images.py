"""Small scenes with boxes in COCO's form: discs and squares of two colors on gray, with a group of light."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

SPLITS = {"train": 16, "val": 6, "test": 8}
CLASSES = ("disc", "square")
RECIPE = """\
recipe_version: 1
name: {name}
task: detection
data: {{root: {root}, boxes: {root}/instances.json, metadata: {root}/metadata.csv, groups: [light], image_size: 64,
  num_workers: 0, batch_size: 4{data}}}
augment: {augment}
model: {{name: test_resnet, weights: none, decoder_channels: 64}}
strategy: {strategy}
train: {{epochs: {epochs}, learning_rate: {rate}{train}}}
audit: {{by: [light, object_size], min_group_size: 2}}
"""


def scene(rng, *, height=48, width=64, light="day"):
    """Return a picture (H, W, 3) and its boxes: one or two of a red disc ("disc") and a blue square ("square")."""
    pixels = np.full((height, width, 3), 110.0)
    rows, columns = np.mgrid[:height, :width]
    boxes, halves = [], rng.permutation(2)
    for half in halves[: rng.integers(1, 3)]:
        radius = int(rng.integers(8, 13))
        across = int(rng.integers(radius, width // 2 - radius)) + int(half) * width // 2
        down = int(rng.integers(radius, height - radius))
        kind = int(rng.integers(2))
        away = (np.hypot if kind == 0 else np.maximum)(abs(rows - down), abs(columns - across))
        pixels[away <= radius] = [(210, 40, 40), (40, 40, 210)][kind]
        boxes.append((CLASSES[kind], across - radius, down - radius, 2 * radius + 1, 2 * radius + 1))
    pixels = (pixels + rng.normal(0, 12, pixels.shape)) * (0.5 if light == "night" else 1)
    return np.clip(pixels, 0, 255).astype(np.uint8), boxes


def write_box_images(root: Path, *, seed: int = 0, splits: Mapping[str, int] = SPLITS) -> Path:
    """Write pictures in SPLIT/NAME.png, their boxes in instances.json, and metadata.csv."""
    rng, rows = np.random.default_rng(seed), []
    images, annotations = [], []
    for split, count in splits.items():
        (root / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            light, path = ("day", "night")[number % 2], f"{split}/{number:03d}.png"
            pixels, boxes = scene(rng, light=light)
            Image.fromarray(pixels).save(root / path)
            rows.append((path, light))
            images.append({"id": 100 + len(images), "file_name": path, "height": 48, "width": 64})
            annotations += [
                {"image_id": images[-1]["id"], "category_id": 7 + CLASSES.index(name), "bbox": box, "iscrowd": 0}
                for name, *box in boxes
            ]
    categories = [{"id": 7 + place, "name": name} for place, name in enumerate(CLASSES)]
    annotations = [{"id": number, **one} for number, one in enumerate(annotations)]
    values = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(values), encoding="utf-8")
    pd.DataFrame(rows, columns=["path", "light"]).to_csv(root / "metadata.csv", index=False)
    return root


def box_recipe(folder: Path, root: Path, *, name: str = "boxes", **given: str) -> Path:
    """Write a recipe for these pictures and return its path."""
    values = {"data": "", "augment": "none", "strategy": "frozen", "epochs": "2", "rate": "0.003", "train": ""}
    path = folder / f"{name}.yaml"
    path.write_text(RECIPE.format(name=name, root=root, **{**values, **given}))
    return path
