"""Folders of tiny images that can be learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (210, 50, 40)}


def write_images(folder: Path, colour: tuple[int, int, int], count: int, *, seed: int, size: int = 40) -> None:
    """Write noisy images of one colour: easy to tell apart, never identical."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = np.clip(np.array(colour) + rng.normal(0, 30, (size, size, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")


def write_image_folder(root: Path, *, classes: tuple[str, ...] = ("blue", "red"), **splits: int) -> Path:
    """Write a folder of images: split -> images per class."""
    for split, count in (splits or {"": 10}).items():
        for position, label in enumerate(classes):
            write_images(root / split / label, COLOURS[label], count, seed=100 * len(split) + position)
    return root
