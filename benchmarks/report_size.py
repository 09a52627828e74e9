"""Measures the report of many test images: bytes of the page, seconds and peak memory of writing it.

    python benchmarks/report_size.py [--images 10000] [--classes 100] [--groups 3] [--folder FOLDER]

Images are noise of 256 × 256 pixels as JPEG, since noise compresses worst; predictions, groups, nearest images and heat
maps are synthetic, one in ten predictions is wrong. Each figure is of one process of its own.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tlkit.audit.heat_maps import HeatMaps, ImageHeatMap
from tlkit.predictions import Predictions
from tlkit.runs.directory import RunDirectory
from tlkit.runs.stored_measurements import MOST_HEAT_MAPS

SIDE = 256
RECIPE = """\
recipe_version: 1
name: big
data: {{root: {root}, metadata: meta.csv, groups: [{groups}]}}
model: {{name: resnet18, weights: none}}
strategy: frozen
audit: {{by: [{groups}]}}
"""


def write_run(folder: Path, *, images: int, classes: int, groups: int) -> Path:
    """Write a run with so many test images, and the images; return its folder."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {number:04d}" for number in range(classes))
    y = np.arange(images) % classes
    paths = [f"test/{names[code]}/{number:05d}.jpg" for number, code in enumerate(y)]
    noise = [jpeg(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(20)]
    root = folder / "photos"
    root.mkdir(parents=True)
    for number, data in enumerate(noise):
        (root / f"noise{number}.jpg").write_bytes(data)
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).hardlink_to(root / f"noise{number % len(noise)}.jpg")
    columns = {f"group{number}": rng.choice(["a", "b", "c", "d", "e"], images) for number in range(groups)}
    wrong = rng.random(images) < np.where(columns["group0"] == "a", 0.3, 0.07)
    logits = rng.normal(0, 1, (images, classes))
    logits[np.arange(images), np.where(wrong, rng.permutation(y), y)] += 6
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame({"path": paths, "label": np.array(names)[y], "split": "test", **columns})
    run = folder / "runs" / "big"
    (run / "predictions").mkdir(parents=True)
    (run / "recipe.yaml").write_text(RECIPE.format(root=root, groups=", ".join(columns)))
    (run / "run.json").write_text('{"format_version": 1, "status": "finished", "updated": "2026-12-01T00:00:00+00:00"}')
    environment = {"tlkit": "0.1.0", "data": {"root": str(root), "fingerprint": "0" * 64, "classes": list(names)}}
    (run / "environment.json").write_text(json.dumps(environment))
    table.assign(digest=[f"{number:064x}" for number in range(images)]).to_csv(run / "split.csv", index=False)
    predictions = Predictions.build(classes=names, path=paths, y_true=y, proba=proba, groups=pd.DataFrame(columns))
    predictions.to_parquet(run / "predictions" / "test.parquet")
    picture = base64.b64encode(noise[0]).decode()
    errors = np.flatnonzero(predictions.y_pred != y)
    worst = errors[np.argsort(proba[errors, y[errors]])][:MOST_HEAT_MAPS]
    maps = HeatMaps("grad_cam", {paths[row]: ImageHeatMap(names[predictions.y_pred[row]], picture) for row in worst})
    RunDirectory.open(run).heat_maps.write_text(json.dumps({"test": maps.to_dict()}))
    return run


def jpeg(pixels: np.ndarray) -> bytes:
    """Return an image as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="write the run here and keep it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = write_run(
            given.folder or Path(temporary), images=given.images, classes=given.classes, groups=given.groups
        )
        for what in ("evaluates, audits and explains as well", "results are stored"):
            begun = time.perf_counter()
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            subprocess.run([sys.executable, "-m", "tlkit", "report", str(run)], check=True, capture_output=True)
            passed, child = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
            print(
                f"{given.images:,} images, {given.classes} classes, {given.groups} columns ({what}): "
                f"{(run / 'report.html').stat().st_size / 1e6:.2f} MB, {passed:.1f} s, CPU "
                f"{child.ru_utime - before:.1f} s, peak memory {child.ru_maxrss / 1024:.0f} MiB"
            )


if __name__ == "__main__":
    main()
