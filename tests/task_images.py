"""A tiny list of images with several labels, a number and a grade each, that can be learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SPLITS = {"train": 48, "val": 40, "test": 40}
RECIPE = """\
recipe_version: 1
name: {name}
task: {task}
data: {{root: {root}, manifest: {root}/list.csv, groups: [light], image_size: 32, num_workers: 0, batch_size: 16{data}}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: {strategy}
train: {{epochs: {epochs}, learning_rate: {rate}{train}}}
audit: {{by: [light], min_group_size: 5}}
"""
DATA = {
    "multilabel": "",
    "regression": ", columns: {label: bright}",
    "ordinal": ", columns: {label: many}, grades: [none, one, two]",
}


def write_task_images(root: Path, *, seed: int = 0, shuffled: bool = False) -> Path:
    """Write images whose left half is red or not and whose right half is blue or not, and list.csv.

    Its columns: label ("blue;red", "" for none), blue and red (1 or 0), bright (a number), many (none, one or two
    colored halves), split and light (a group of no meaning). `shuffled` gives every image the labels of another one.
    """
    from PIL import Image

    rng, rows = np.random.default_rng(seed), []
    for split, count in SPLITS.items():
        (root / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            red, blue = rng.integers(0, 2, 2)
            bright = int(rng.integers(40, 160))
            pixels = np.full((32, 32, 3), bright, dtype=float)
            pixels[:, :16] += np.array([90, -40, -40]) * red
            pixels[:, 16:] += np.array([-40, -40, 90]) * blue
            pixels += rng.normal(0, 8, pixels.shape)
            path = f"{split}/{number:03d}.png"
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / path)
            names = [name for name, has in (("blue", blue), ("red", red)) if has]
            rows.append(
                {
                    "path": path,
                    "label": ";".join(names),
                    "blue": int(blue),
                    "red": int(red),
                    "bright": bright / 10,
                    "many": ("none", "one", "two")[int(red + blue)],
                    "split": split,
                    "light": "dim" if rng.random() < 0.5 else "full",
                }
            )
    table = pd.DataFrame(rows)
    if shuffled:
        columns = ["label", "blue", "red", "bright", "many"]
        table[columns] = table[columns].to_numpy()[rng.permutation(len(table))]
    table.to_csv(root / "list.csv", index=False)
    return root


def task_recipe(folder: Path, root: Path, task: str, *, name: str = "", strategy: str = "frozen", **given: str) -> Path:
    """Write a recipe of a task; `given` are further keys of data and train, such as train=", mixup: 0.2"."""
    values = {"data": "", "train": "", "epochs": "12", "rate": "0.3", **given}
    values["data"] = DATA[task] + values["data"]
    path = folder / f"{name or task}.yaml"
    path.write_text(RECIPE.format(name=name or task, task=task, root=root, strategy=strategy, **values))
    return path
