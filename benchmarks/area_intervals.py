"""Coverage and width of intervals of AUROC and average precision, and of their differences, simulated.

    python benchmarks/area_intervals.py [--sets 2000] [--pairs]

A population has logits that are standard normal, and larger by `signal` for the true class; a sample has n images of
it, of two classes at least. Columns: the means over the classes, and the class with the fewest images. With --pairs the
difference of two models by `compare`: the second one's logits have a correlation of .6 with the first one's, and a
signal that is larger by 0 or .5.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from tlkit.arrays import Floats, Ints
from tlkit.evaluation.full_scores import one_vs_rest_ranking
from tlkit.evaluation.measure import measure
from tlkit.evaluation.metric_comparison import _change, _Side
from tlkit.predictions import Predictions
from tlkit.stats.estimate import Estimate
from tlkit.stats.one_vs_rest import areas

LEVEL = 0.95
LARGE = 400_000
KINDS = ("AUROC", "AP")
COLUMNS = (*KINDS, *(f"{kind} of the rarest class" for kind in KINDS))
Population = tuple[int, tuple[float, ...], float]
POPULATIONS: list[Population] = [
    *[(n, (0.5, 0.5), signal) for n in (50, 100, 400) for signal in (0.0, 0.5, 1.0, 1.5)],
    (60, (0.4, 0.6), 1.2),
    *[(n, (0.2, 0.8), signal) for n in (50, 100, 200) for signal in (0.5, 1.0)],
    *[(n, (0.3, 0.3, 0.4), signal) for n in (50, 100) for signal in (0.5, 1.2)],
    *[(n, (0.1, 0.3, 0.6), signal) for n in (50, 100, 200) for signal in (0.5, 1.0, 2.0)],
    *[(n, (0.2,) * 5, signal) for n in (50, 100, 400) for signal in (0.0, 1.0, 2.0)],
    *[(n, (0.05, 0.1, 0.15, 0.3, 0.4), signal) for n in (100, 400) for signal in (0.5, 1.0, 2.0)],
    *[(n, (0.1,) * 10, signal) for n in (100, 200, 400) for signal in (0.0, 0.2, 1.0, 2.0)],
    *[(n, (0.1, 0.9), signal) for n in (50, 100, 200, 400) for signal in (0.0, 0.5, 1.0, 2.0)],
    *[(n, (0.05, 0.95), signal) for n in (100, 400) for signal in (0.0, 0.5, 1.0, 2.0)],
]
PAIRS: list[Population] = [
    *[(n, (0.1, 0.9), signal) for n in (50, 100, 400) for signal in (0.0, 0.5, 1.0)],
    *[(n, (0.5, 0.5), signal) for n in (50, 100) for signal in (0.5, 1.0)],
    *[(n, (0.1,) * 10, signal) for n in (100, 400) for signal in (0.5, 1.0)],
]


def probabilities(logits: Floats, y: Ints, signal: float) -> Floats:
    """Return scores (N, C) of logits, with the signal added to those of the true classes."""
    raised = logits.copy()
    raised[np.arange(len(y)), y] += signal
    proba = np.exp(raised)
    return proba / proba.sum(axis=1, keepdims=True)


def draw(n: int, shares: tuple[float, ...], signal: float, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Return true classes (N,) and scores (N, C)."""
    y = rng.choice(len(shares), size=n, p=shares)
    return y, probabilities(rng.standard_normal((n, len(shares))), y, signal)


def truth(shares: tuple[float, ...], signal: float) -> list[float]:
    """Return the true values of the columns."""
    y, proba = draw(LARGE, shares, signal, np.random.default_rng(99))
    large = [areas(proba[:, code], y == code) for code in range(len(shares))]
    by_kind = [[one[kind].value for one in large if one is not None] for kind in range(2)]
    return [*(float(np.mean(one)) for one in by_kind), *(one[0] for one in by_kind)]


def true_macro_f1(shares: tuple[float, ...], signal: float) -> float:
    """Return the macro-F1 of the population."""
    y, proba = draw(LARGE, shares, signal, np.random.default_rng(99))
    guess, size = proba.argmax(axis=1), len(shares)
    right, support, predicted = (np.bincount(one, minlength=size) for one in (y[guess == y], y, guess))
    return float((2 * right / (support + predicted)).mean())


def covered(estimates: list[tuple[float, Estimate]], held: list[bool], width: list[float]) -> None:
    for true, one in estimates:
        if one.low is not None and one.high is not None:
            held.append(one.low <= true <= one.high)
            width.append(one.high - one.low)


def single(sets: int) -> None:
    every: dict[str, list[tuple[float, float]]] = defaultdict(list)
    print(f"| population | true values | {' | '.join(COLUMNS)} |\n|---|{'---|' * 5}")
    for n, shares, signal in POPULATIONS:
        true, rng = truth(shares, signal), np.random.default_rng(7)
        held: dict[str, list[bool]] = defaultdict(list)
        width: dict[str, list[float]] = defaultdict(list)
        for _ in range(sets):
            y, proba = draw(n, shares, signal, rng)
            found = one_vs_rest_ranking(proba, lambda code, y=y: y == code, None, confidence=LEVEL)
            for name, value, one in zip(COLUMNS, true, (*found.macro, *found.per_class[0]), strict=True):
                covered([(value, one)], held[name], width[name])
        for name, value in zip(COLUMNS, true, strict=True):
            every[name].append((value, float(np.mean(held[name]))))
        cells = [f"{np.mean(held[name]):.3f} ({np.mean(width[name]):.3f})" for name in COLUMNS]
        what = f"{len(shares)} classes {min(shares):g}-{max(shares):g}, signal {signal}, n {n}"
        print(f"| {what} | {' '.join(f'{one:.3f}' for one in true)} | {' | '.join(cells)} |", flush=True)
    for name, shares_held in every.items():
        inside = [held for true, held in shares_held if 0.0995 <= true <= 0.9]
        low, high = sum(one < 0.93 for one in inside), sum(one > 0.97 for one in inside)
        ends = f"{min(inside):.3f} to {max(inside):.3f}"
        print(f"{name}, values .1 to .9: {ends}; of {len(inside)} {low} below 93 %, {high} above 97 %")


def pairs(sets: int) -> None:
    metrics = {"AUROC": "auroc", "AP": "average_precision", "macro-F1": "macro_f1"}
    print(f"| population | signal of the second | {' | '.join(metrics)} |\n|---|---|---|---|---|")
    for n, shares, signal in PAIRS:
        for more in (0.0, 0.5):
            true = [
                one - other
                for one, other in zip(
                    (*truth(shares, signal + more)[:2], true_macro_f1(shares, signal + more)),
                    (*truth(shares, signal)[:2], true_macro_f1(shares, signal)),
                    strict=True,
                )
            ]
            rng, names = np.random.default_rng(7), [f"c{i}" for i in range(len(shares))]
            held: dict[str, list[bool]] = defaultdict(list)
            width: dict[str, list[float]] = defaultdict(list)
            for _ in range(sets):
                y = rng.choice(len(shares), size=n, p=shares)
                one, other = rng.standard_normal((2, n, len(shares)))
                models = {
                    name: Predictions.build(
                        classes=names, path=np.arange(n).astype(str), y_true=y, proba=probabilities(logits, y, plus)
                    )
                    for name, logits, plus in (
                        ("first", one, signal),
                        ("second", 0.6 * one + 0.8 * other, signal + more),
                    )
                }
                for kind, value in zip(metrics, true, strict=True):
                    # `compare_metric` without the intervals of the single models, which cost 100 times as much
                    first, second = (
                        _Side(name, (name,), (measure(table, metrics[kind]),)) for name, table in models.items()
                    )
                    change = _change(first, second, None, None, confidence=LEVEL, level=1 - LEVEL, resolve=0.02)
                    covered([(value, change.difference)], held[kind], width[kind])
            cells = [f"{np.mean(held[kind]):.3f} ({np.mean(width[kind]):.3f})" for kind in metrics]
            what = f"{len(shares)} classes {min(shares):g}-{max(shares):g}, signal {signal}, n {n}"
            print(f"| {what} | {signal + more} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--pairs", action="store_true")
    given = parser.parse_args()
    (pairs if given.pairs else single)(given.sets)


if __name__ == "__main__":
    main()
