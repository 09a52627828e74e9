"""Coverage and width of intervals of macro-F1, simulated on balanced, unequal and long-tailed classes.

    python benchmarks/macro_intervals.py [--sets 2000] [--kind main] [--others]

A population is a matrix of probabilities of (true class, predicted class); a sample has n images of it. An interval
covers where it holds the macro-F1 of the population. Methods: tlkit's, also where the truth is the mean over the
classes that the sample has; the classes' intervals combined by MOVER and widened by √2, about what tlkit had before;
with --others, of every tenth sample, the percentile bootstrap of the matrix (500 resamples) and the logit-t interval
with the delta method's variance. Kinds: main = 2 to 10 classes, rates .1 to .9, n ≥ 50; hard = few images of a class,
rates near 1, long tails; rare = one class has 2 to 10 % of the images.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from tlkit.arrays import Floats, Ints
from tlkit.evaluation.class_intervals import f1_bounds, macro_f1_estimate
from tlkit.stats.confusion_scores import CONFUSION_SCORES, margins_of_rows, score_influences, score_replicates
from tlkit.stats.influence import bounded_estimate, spread_of
from tlkit.stats.macro_f1 import class_f1
from tlkit.stats.means import mover_distances

LEVEL = 0.95
PRESENT = "tlkit, of the classes present"
PLACE = CONFUSION_SCORES.index("macro_f1")
Bounds = tuple[float, float]


def population(shares: Floats, rates: Floats, spread: Floats | None = None) -> Floats:
    """Return probabilities (C, C) of classes with these shares and recalls; errors go where `spread` (C, C) says."""
    size = len(shares)
    off = (np.ones((size, size)) if spread is None else spread) * (1 - np.eye(size))
    off /= off.sum(axis=1, keepdims=True)
    return shares[:, None] * (np.diag(rates) + (1 - rates)[:, None] * off)


def populations(rng: np.random.Generator) -> Iterator[tuple[str, str, Floats, int]]:
    """Yield kind, name, probabilities and number of images."""
    for size in (2, 3, 5, 10):
        for rate in (0.1, 0.3, 0.5, 0.7, 0.9):
            for n in (50, 100, 400):
                if size < 10 or n > 50:
                    p = population(np.full(size, 1 / size), np.full(size, rate))
                    yield "main", f"{size} classes, rate {rate}, n {n}", p, n
    for shares in ((0.3, 0.7), (0.1, 0.3, 0.6), (0.1, 0.1, 0.2, 0.2, 0.4)):
        for rate in (0.5, 0.7, 0.9):
            for n in (50, 200):
                spread = rng.dirichlet(np.ones(len(shares)), size=len(shares)) + 1e-9
                p = population(np.array(shares), np.full(len(shares), rate), spread)
                yield "main", f"shares {shares}, rate {rate}, n {n}", p, n
    for size, n in ((2, 20), (2, 100), (5, 50), (10, 50), (10, 200), (50, 500)):
        for rate in (0.7, 0.97):
            recall = np.clip(rng.normal(rate, (1 - rate) / 3, size), 0.05, 0.995)
            yield "hard", f"{size} classes, rate {rate}, n {n}", population(np.full(size, 1 / size), recall), n
    for size, largest in ((10, 200), (20, 200), (50, 500)):
        images = np.maximum((largest / np.arange(1, size + 1) ** 1.3).round(), 2)
        for rare in (0.05, 0.3, 0.8):
            spread = np.tile(images, (size, 1))  # errors go to frequent classes
            p = population(images / images.sum(), np.linspace(0.9, rare, size), spread)
            yield "hard", f"long tail, {size} classes, rarest {rare}, n {images.sum():.0f}", p, int(images.sum())
    for shares in ((0.98, 0.02), (0.95, 0.05), (0.9, 0.1), (0.6, 0.35, 0.05)):
        for rate in (0.5, 0.9):
            for n in (60, 200):
                p = population(np.array(shares), np.full(len(shares), rate))
                yield "rare", f"shares {shares}, rate {rate}, n {n}", p, n


def intervals(confusion: Ints, rng: np.random.Generator, *, resample: bool) -> Iterator[tuple[str, Bounds]]:
    """Yield the name of a method and its interval."""
    found = macro_f1_estimate(confusion, LEVEL)
    assert found.value is not None
    yield "tlkit", (found.low, found.high)
    low, high = (end[confusion.sum(axis=1) > 0] for end in f1_bounds(confusion, LEVEL))
    down, up = mover_distances(class_f1(confusion), low, high)
    yield "MOVER × √2", (found.value - math.sqrt(2) * down, found.value + math.sqrt(2) * up)
    if resample:
        true, guess = (np.repeat(one, confusion.ravel()) for one in np.indices(confusion.shape).reshape(2, -1))
        margins = margins_of_rows(true, guess, len(confusion))
        influence = score_influences(true, guess, margins)[:, PLACE]
        delta = bounded_estimate(found.value, spread_of(influence, None), n=len(true), least=len(true))
        yield "logit-t", (delta.low, delta.high)
        drawn = score_replicates(confusion, rng=rng, replicates=500)[:, PLACE]
        yield "bootstrap", tuple(np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--kind", choices=["main", "hard", "rare"])
    parser.add_argument("--others", action="store_true")
    given = parser.parse_args()
    methods = ["tlkit", PRESENT, "MOVER × √2", *(("logit-t", "bootstrap") if given.others else ())]
    every: dict[tuple[str, str], list[float]] = defaultdict(list)
    print(f"| population | macro-F1 | {' | '.join(methods)} |\n|---|---|{'---|' * len(methods)}")
    for kind, name, p, n in populations(np.random.default_rng(5)):
        if given.kind not in (None, kind):
            continue
        rng, held, width = np.random.default_rng(0), defaultdict(list), defaultdict(list)
        f1 = 2 * np.diagonal(p) / (p.sum(axis=0) + p.sum(axis=1))
        truth = float(f1.mean())
        for place, sample in enumerate(rng.multinomial(n, p.ravel() / p.sum(), size=given.sets)):
            for method, (low, high) in intervals(
                sample.reshape(p.shape), rng, resample=given.others and place % 10 == 0
            ):
                held[method].append(low <= truth <= high)
                if method == "tlkit":
                    own = f1[sample.reshape(p.shape).sum(axis=1) > 0].mean()
                    held[PRESENT].append(low <= own <= high)
                    width[PRESENT].append(min(high, 1) - max(low, 0))
                width[method].append(min(high, 1) - max(low, 0))
        cells = [f"{np.mean(held[method]):.3f} ({np.mean(width[method]):.3f})" for method in methods]
        for method, hits in held.items():
            every[kind, method].append(float(np.mean(hits)))
        print(f"| {name} | {truth:.3f} | {' | '.join(cells)} |", flush=True)
    for (kind, method), shares in every.items():
        print(f"{kind}, {method}: {min(shares):.3f} to {max(shares):.3f} in {len(shares)} populations")


if __name__ == "__main__":
    main()
