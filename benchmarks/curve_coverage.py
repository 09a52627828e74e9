"""Coverage of the learning curve's 95 % interval for the gain from more images.

Usage: python benchmarks/curve_coverage.py [--rounds 30]

Features are simulated from overlapping Gaussian classes: the true gain is the mean difference of accuracy, on 4,000 new
images, of heads with and without the additional images, over 15 draws. tlkit's interval is compared with that of a
bootstrap over images only. A truth within 0.05 points of an interval's end counts as covered. Seeds are fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlkit.analysis.learning_curve import LearningCurve, learning_curve
from tlkit.analysis.power_law import fit_power_law, power_law
from tlkit.features.heads import HeadKind, fit_head

CLASSES = ("a", "b", "c")
SLACK = 0.0005


@dataclass(frozen=True)
class Case:
    kind: HeadKind
    n: int
    width: int
    apart: float
    clusters: bool  # whether a class has two clusters


CASES = (
    Case("ridge", 120, 40, 0.35, clusters=False),
    Case("ridge", 120, 40, 0.25, clusters=False),
    Case("lda", 240, 60, 0.25, clusters=False),
    Case("ridge", 300, 20, 0.5, clusters=True),
    Case("knn", 150, 20, 0.5, clusters=False),
    Case("ridge", 240, 20, 0.8, clusters=False),  # accuracy is near its limit
)
Draw = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def sampler(case: Case) -> Draw:
    """Return a function that draws images of a case."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(3, case.width)) * case.apart
    places = rng.normal(size=(3, 2, case.width)) * (case.apart if case.clusters else 0.0)

    def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(n) % 3
        x = centers[y] + places[y, rng.integers(0, 2, n)] + rng.normal(size=(n, case.width))
        return x.astype(np.float32), y

    return draw


def truths(case: Case, draw: Draw, more: list[int]) -> np.ndarray:
    """Return the true gain of accuracy from each number of additional images."""
    rng = np.random.default_rng(1)
    x_new, y_new = draw(4000, rng)

    def accuracy(n: int) -> float:
        heads = (fit_head(*draw(n, rng), kind=case.kind, classes=CLASSES) for _ in range(15))
        return float(np.mean([(head.predict_proba(x_new).argmax(axis=1) == y_new).mean() for head in heads]))

    return np.array([accuracy(case.n + count) for count in more]) - accuracy(case.n)


def images_only(curve: LearningCurve, right: np.ndarray, more: int) -> tuple[float, float]:
    """Return the interval of a bootstrap over images only."""
    n = right.shape[1]
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=500) / n
    laws = fit_power_law([point.images for point in curve.points], weights @ right.T)
    low, high = np.quantile(np.diff(power_law(laws, [curve.n, curve.n + more]))[:, 0], [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    from tlkit.analysis import learning_curve as module

    seen: list[np.ndarray] = []
    fit = module.fit_curve

    def spy(images: list[float], right: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        seen.append(right)
        return fit(images, right, seed=seed)

    module.fit_curve = spy
    print("| head, images | more | truth | mean forecast | covered | width | images only: covered | width |")
    print("|---|---|---|---|---|---|---|---|")
    for case in CASES:
        draw, more = sampler(case), [case.n // 4, case.n, 2 * case.n]
        found = []
        for seed in range(given.rounds):
            x, y = draw(case.n, np.random.default_rng(100 + seed))
            curve = learning_curve(x, y, classes=CLASSES, kind=case.kind)
            found.append([(curve.gain(count), images_only(curve, seen[-1], count)) for count in more])
        for place, (count, truth) in enumerate(zip(more, truths(case, draw, more), strict=True)):
            stated = [row[place] for row in found if row[place][0].value is not None]
            ours = np.array([(gain.low, gain.high) for gain, _ in stated])
            theirs = np.array([alone for _, alone in stated])
            cells = [f"{100 * np.mean([gain.value for gain, _ in stated]):+.1f}"]
            for ends in (ours, theirs):
                held = (ends[:, 0] - SLACK <= truth) & (truth <= ends[:, 1] + SLACK)
                cells += [f"{held.sum()} of {len(held)}", f"{100 * np.mean(ends[:, 1] - ends[:, 0]):.1f}"]
            print(f"| {case.kind}, {case.n} | {count} | {100 * truth:+.1f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
