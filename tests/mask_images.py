"""Small pictures with masks: discs and squares of two colors on gray, with a group of scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tlkit.mask_files import mask_png

SPLITS = {"train": 24, "val": 12, "test": 16}
CLASSES = ("background", "disc", "square")
RECIPE = """\
recipe_version: 1
name: {name}
task: segmentation
data: {{root: {root}, masks: {root}/masks, mask_classes: [background, disc, square], metadata: {root}/metadata.csv,
  groups: [light, scene], image_size: 64, num_workers: 0, batch_size: 8{data}}}
augment: {augment}
model: {{name: test_resnet, weights: none{model}}}
strategy: {strategy}
train: {{epochs: {epochs}, learning_rate: {rate}{train}}}
audit: {{by: [light], min_group_size: 4{audit}}}
"""


def scene(rng, *, side=48, light="day"):
    """Return a picture (H, W, 3) and its mask (H, W): a red disc (1), a blue square (2), or both, on gray (0)."""
    mask = np.zeros((side, side), dtype=np.uint8)
    rows, columns = np.mgrid[:side, :side]
    shown = [(1,), (2,), (1, 2)][rng.integers(3)]
    for kind in shown:
        top, left, radius = *rng.integers(12, side - 12, 2), rng.integers(6, 11)
        across = np.hypot(rows - top, columns - left) if kind == 1 else np.maximum(abs(rows - top), abs(columns - left))
        mask[across <= radius] = kind
    colors = np.array([[110, 110, 110], [210, 40, 40], [40, 40, 210]])
    pixels = colors[mask] + rng.normal(0, 12, (side, side, 3))
    return np.clip(pixels * (0.5 if light == "night" else 1), 0, 255).astype(np.uint8), mask


def write_mask_images(root: Path, *, seed: int = 0, shuffled: bool = False) -> Path:
    """Write pictures in SPLIT/NAME.png, masks in masks/SPLIT/NAME.png, and metadata.csv; `shuffled` swaps masks."""
    rng, rows = np.random.default_rng(seed), []
    for split, count in SPLITS.items():
        lights = ["day" if number % 2 else "night" for number in range(count)]
        made = [scene(rng, light=light) for light in lights]
        masks = [mask for _, mask in made]
        order = rng.permutation(count) if shuffled else np.arange(count)
        (root / split).mkdir(parents=True, exist_ok=True)
        (root / "masks" / split).mkdir(parents=True, exist_ok=True)
        for number, (pixels, _) in enumerate(made):
            Image.fromarray(pixels).save(root / split / f"{number:03d}.png")
            (root / "masks" / split / f"{number:03d}.png").write_bytes(mask_png(masks[order[number]]))
            rows.append((f"{split}/{number:03d}.png", lights[number], f"{split}-{number // 2}"))
    pd.DataFrame(rows, columns=["path", "light", "scene"]).to_csv(root / "metadata.csv", index=False)
    return root


def mask_recipe(folder: Path, root: Path, *, name: str = "masks", **given: str) -> Path:
    """Write a recipe for these pictures and return its path."""
    values = {"data": "", "augment": "none", "model": "", "strategy": "frozen", "epochs": "3", "rate": "0.01"}
    path = folder / f"{name}.yaml"
    path.write_text(RECIPE.format(name=name, root=root, **{**values, "train": "", "audit": "", **given}))
    return path
