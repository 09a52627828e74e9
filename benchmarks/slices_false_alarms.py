"""False alarm rate and power of the slice search, on simulated test sets.

    python benchmarks/slices_false_alarms.py [--runs 400] [--images 200 1000] [--dark 0.9 0.7 0.75 0.6]

False alarms: all images have the same error rate. Power: dark images (brightness below 51 of 255, a fifth of them) have
a higher one. Columns: brightness, contrast, sharpness, aspect, file type and eight clusters, drawn at random.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from tlkit.audit.options import AuditOptions
from tlkit.audit.slices.slice_search import search_slices
from tlkit.predictions import Predictions

CLASSES = 4


def sample(seed: int, images: int, *, accuracy: float, dark: float) -> tuple[Predictions, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    columns = pd.DataFrame(
        {
            "brightness": rng.uniform(0, 255, images),
            "contrast": rng.gamma(4, 10, images),
            "sharpness": rng.beta(2, 5, images),
            "aspect": rng.choice([0.75, 1.0, 1.33], images),
            "file_type": rng.choice(["JPEG", "PNG"], images),
            "cluster": rng.integers(1, 9, images).astype(str),
        }
    )
    y = rng.integers(0, CLASSES, images)
    right = rng.uniform(size=images) < np.where(columns["brightness"] < 51, dark, accuracy)
    predictions = Predictions.build(
        classes=[f"class {i}" for i in range(CLASSES)],
        path=[f"{seed}/{i}.jpg" for i in range(images)],
        y_true=y,
        y_pred=np.where(right, y, (y + 1) % CLASSES),
    )
    return predictions, columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--images", type=int, nargs="+", default=[200, 1000])
    parser.add_argument(
        "--dark", type=float, nargs="+", default=[0.9, 0.7, 0.75, 0.6], help="accuracies of dark images"
    )
    arguments = parser.parse_args()
    runs = arguments.runs
    print(f"{runs} runs each; share of runs")
    print("images  accuracy  dark   any slice  brightness confirmed  any shortcut")
    for images in arguments.images:
        for accuracy, dark in ((0.9, 0.9), (0.7, 0.7), (0.9, 0.75), (0.9, 0.6)):
            if dark not in arguments.dark:
                continue
            reports = []
            for seed in range(runs):
                predictions, columns = sample(seed, images, accuracy=accuracy, dark=dark)
                reports.append(search_slices(predictions, columns=columns, options=AuditOptions(seed=seed)))
            confirmed = np.mean([bool(report.confirmed) for report in reports])
            planted = np.mean(
                [any(s.conditions[0].text.startswith("brightness below") for s in r.confirmed) for r in reports]
            )
            shortcut = np.mean([any(one.tells(0.05) for one in report.shortcuts) for report in reports])
            print(
                f"{images:6}  {accuracy:8}  {dark:4}   {confirmed:9.3f}  {planted:20.3f}  {shortcut:12.3f}", flush=True
            )


if __name__ == "__main__":
    main()
