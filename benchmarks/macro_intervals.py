"""Coverage and width of intervals of macro-F1 and balanced accuracy, simulated on balanced and long-tailed classes.

    python benchmarks/macro_intervals.py [--draws 300]

A population is a confusion matrix of probabilities; a sample holds a fixed number of images of each class. An interval
covers where it holds the mean over the population's classes. Methods: tlkit's; the percentile bootstrap; MOVER of the
classes' intervals, for macro-F1 scaled by the covariance of the classes as estimated (tlkit takes its bound, √2); the
farther of the last two; the delta method. For balanced accuracy and macro-F1: share of samples that it covers, share
where the truth lies below it and above it, and its mean width.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from scipy.stats import norm

from tlkit.arrays import Floats, Ints
from tlkit.evaluation.class_intervals import _resample_macro, f1_bounds, macro_estimates
from tlkit.stats.intervals import wilson_bounds
from tlkit.stats.means import mover_distances

LEVEL = 0.95
Bounds = tuple[float, float]


def macro(confusion: Floats) -> tuple[float, float]:
    """Return balanced accuracy and macro-F1 over the classes that have images."""
    support, right = confusion.sum(axis=1), np.diagonal(confusion)
    present = support > 0
    both = support + confusion.sum(axis=0)
    return float((right[present] / support[present]).mean()), float((2 * right[present] / both[present]).mean())


def delta_variances(confusion: Ints) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the delta-method variance of balanced accuracy and macro-F1, each with that of independent classes."""
    support, predicted, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diagonal(confusion)
    classes = len(support)
    recall = right / np.maximum(support, 1)
    own = recall * (1 - recall) / np.maximum(support, 1)
    both = np.maximum(support + predicted, 1)
    f1 = 2 * right / both
    # influence of an image of cell (i, j) on the sum of F1s
    effect = -(f1 / both)[:, None] - (f1 / both)[None, :] + np.diag(2 / both)
    mean = (confusion * effect).sum(axis=1) / np.maximum(support, 1)
    together = (confusion * (effect - mean[:, None]) ** 2).sum() / classes**2
    ratio = right / np.maximum(both - right, 1)
    slope = 2 / (1 + ratio) ** 2
    alone = (slope**2 * ratio * (1 - ratio) / np.maximum(both - right, 1)).sum() / classes**2
    return (own.sum() / classes**2, own.sum() / classes**2), (together, alone)


def intervals(confusion: Ints, rng: np.random.Generator) -> Iterator[tuple[str, Bounds, Bounds]]:
    """Yield the name of a method and its intervals of balanced accuracy and macro-F1."""
    balanced, f1 = macro_estimates(confusion, rng=rng, confidence=LEVEL, replicates=500)
    yield "tlkit", (balanced.low, balanced.high), (f1.low, f1.high)
    present = confusion.sum(axis=1) > 0
    drawn = _resample_macro(confusion, rng=rng, replicates=500)
    ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    yield "bootstrap", tuple(ends[:, 0]), tuple(ends[:, 1])
    support, right = confusion.sum(axis=1)[present], np.diagonal(confusion)[present]
    both = (confusion.sum(axis=0) + confusion.sum(axis=1))[present]
    recalls, f1s = right / support, 2 * right / both
    value_b, value_f = recalls.mean(), f1s.mean()
    low_b, high_b = wilson_bounds(right, support, LEVEL)
    low_f, high_f = (bounds[present] for bounds in f1_bounds(confusion, LEVEL))
    db, df = mover_distances(recalls, low_b, high_b), mover_distances(f1s, low_f, high_f)
    mover_b = (value_b - db[0], value_b + db[1])
    (vb, _), (together, alone) = delta_variances(confusion)
    ratio = min(together / alone, 2.0) if alone > 0 else 2.0
    scale = math.sqrt(ratio)
    yield "MOVER", mover_b, (value_f - scale * df[0], value_f + scale * df[1])
    wider = (min(ends[0, 1], value_f - scale * df[0]), max(ends[1, 1], value_f + scale * df[1]))
    wider_b = (min(ends[0, 0], mover_b[0]), max(ends[1, 0], mover_b[1]))
    yield "wider, covariance", wider_b, wider
    z = norm.ppf((1 + LEVEL) / 2)
    half_b, half_f = z * math.sqrt(vb), z * math.sqrt(together)
    yield "delta", (value_b - half_b, value_b + half_b), (value_f - half_f, value_f + half_f)


def populations(rng: np.random.Generator) -> Iterator[tuple[str, Floats, Ints]]:
    """Yield name, confusion probabilities by true class (C, C), and the number of images of each class."""

    def errors(recall: Floats, spread: float) -> Floats:
        size = len(recall)
        off = rng.dirichlet(np.full(size, spread), size=size) * (1 - np.eye(size)) + 1e-9 * (1 - np.eye(size))
        off /= off.sum(axis=1, keepdims=True)
        return np.diag(recall) + (1 - recall)[:, None] * off

    for size, images in ((2, 10), (2, 50), (5, 10), (10, 20), (50, 10)):
        for accuracy in (0.7, 0.9, 0.97):
            recall = np.clip(rng.normal(accuracy, (1 - accuracy) / 3, size), 0.05, 0.995)
            yield f"{size} classes of {images}, recall {accuracy}", errors(recall, 1.0), np.full(size, images)
    for size, largest in ((10, 200), (20, 200), (50, 500)):
        images = np.maximum((largest / np.arange(1, size + 1) ** 1.3).round().astype(int), 2)
        for rare in (0.05, 0.3, 0.8):
            recall = np.linspace(0.9, rare, size)
            pull = errors(recall, 1.0)  # errors go to frequent classes
            off = (pull - np.diag(np.diagonal(pull))) * images[None, :]
            off *= ((1 - recall) / off.sum(axis=1))[:, None]
            yield f"long tail, {size} classes, rarest {rare}", np.diag(recall) + off, images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=300)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    for name, p, images in populations(rng):
        truth = macro(p * images[:, None])
        found = defaultdict(list)
        for _ in range(arguments.draws):
            sample = np.stack([rng.multinomial(n, row) for n, row in zip(images, p, strict=True)])
            for method, *both in intervals(sample, rng):
                found[method].append(both)
        print(f"{name}: balanced accuracy {truth[0]:.3f}, macro-F1 {truth[1]:.3f}")
        for method, ends in found.items():
            low, high = np.moveaxis(np.clip(np.array(ends), 0, 1), 2, 0)
            cells = []
            for k in (0, 1):
                below, above = np.mean(truth[k] < low[:, k]), np.mean(truth[k] > high[:, k])
                width = np.mean(high[:, k] - low[:, k])
                cells.append(f"{1 - below - above:.3f} (below {below:.3f}, above {above:.3f}), width {width:.3f}")
            print(f"  {method:18} {cells[0]}   |   {cells[1]}", flush=True)


if __name__ == "__main__":
    main()
