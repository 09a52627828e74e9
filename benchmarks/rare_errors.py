"""Coverage of the intervals of losses and calibration errors where errors hardly occur, simulated.

    python benchmarks/rare_errors.py [--sets 600]

A model of two classes is right with one probability and about as sure as another; "calibrated" has logits of a normal
distribution that are true. Each cell is the share of 95 % intervals that hold the true value, and their mean width:
Student's interval of the mean, `mean_by_outcome`, and the debiased calibration error (confidence, 60 images and more).
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import expit

from tlkit.arrays import Floats, Ints
from tlkit.stats.brier import brier_losses
from tlkit.stats.calibration import log_losses, opposite_classes
from tlkit.stats.means import mean_by_outcome, mean_estimate
from tlkit.stats.reliability import bins_for, calibration_errors

LARGE = 400_000
MODELS = ((0.8, 0.95), (0.9, 0.9), (0.97, 0.97), (0.97, 0.999), (0.99, 0.99), (0.999, 0.999), "calibrated")
SIZES = (60, 150, 500)
NAMES = ("log loss", "Brier", "confidence − accuracy")


def draw(model: tuple[float, float] | str, n: int, rng: np.random.Generator) -> tuple[Ints, Floats, Floats]:
    """Return true classes (N,), probabilities (N, 2) and the probability that the prediction is right (N,)."""
    if isinstance(model, str):
        second = expit(3 * rng.standard_normal(n))
        y = (rng.random(n) < second).astype(np.int64)
        return y, np.stack([1 - second, second], axis=1), np.maximum(second, 1 - second)
    accuracy, confidence = model
    y = rng.integers(0, 2, n)
    guess = np.where(rng.random(n) < accuracy, y, 1 - y)
    sure = np.clip(confidence + rng.uniform(-0.9, 0.9, n) * (1 - confidence), 0.5, 1)
    proba = np.empty((n, 2))
    proba[np.arange(n), guess], proba[np.arange(n), 1 - guess] = sure, 1 - sure
    return y, proba, np.full(n, accuracy)


def values(y: Ints, proba: Floats) -> tuple[list[tuple[Floats, Floats]], Floats, Floats]:
    """Return each loss with what it would be otherwise, the confidence, and whether the image is right."""
    guess, sure = proba.argmax(axis=1), proba.max(axis=1)
    other, right = opposite_classes(proba, y, guess), guess == y
    losses = [(loss(proba, y), loss(proba, other)) for loss in (log_losses, brier_losses)]
    return [*losses, (sure - right, sure - ~right)], sure, right


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=600)
    sets = parser.parse_args().sets
    rng = np.random.default_rng(0)
    heads = [f"{name}, {kind}" for name in NAMES for kind in ("Student", "now")]
    print(f"| accuracy, confidence | n | {' | '.join(heads)} | ECE, debiased |\n|---|---|{'---|' * 7}")
    for model in MODELS:
        y, proba, chance = draw(model, LARGE, rng)
        parts, sure, _ = values(y, proba)
        true, order = [float(one.mean()) for one, _ in parts], np.argsort(sure, kind="stable")
        for n in SIZES:
            bins = np.array_split(order, bins_for(n))
            error = sum(abs(float((sure[rows] - chance[rows]).mean())) * len(rows) for rows in bins) / LARGE
            found: list[list[tuple[bool, float]]] = [[] for _ in range(7)]
            for _ in range(sets):
                y, proba, _ = draw(model, n, rng)
                parts, own, right = values(y, proba)
                estimates = []
                for (value, otherwise), name in zip(parts, NAMES, strict=True):
                    lowest = -1.0 if name == NAMES[2] else 0.0
                    estimates.append(mean_estimate(value, lowest=lowest))
                    estimates.append(mean_by_outcome(value, ~right, otherwise, lowest=lowest))
                estimates.append(calibration_errors(own, right, draws=100).debiased)
                for place, (one, truth) in enumerate(
                    zip(estimates, [*np.repeat(true, 2).tolist(), error], strict=True)
                ):
                    if one.low is None or one.high is None:
                        found[place].append((False, 0.0))
                    else:
                        found[place].append((one.low <= truth <= one.high, one.high - one.low))
            cells = [f"{np.mean([h for h, _ in one]):.3f} ({np.mean([w for _, w in one]):.3f})" for one in found]
            what = model if isinstance(model, str) else "{:g}, {:g}".format(*model)
            print(f"| {what} | {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
