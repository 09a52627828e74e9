"""Coverage and width of intervals of macro AUROC and macro average precision, simulated.

    python benchmarks/area_intervals.py [--sets 2000]

A population has logits that are standard normal, and larger by `signal` for the true class; a sample has n images of
it, of two classes at least. Beside tlkit's intervals, those of average precision that it had before: the linearised
variance around the value less the part of each positive in its own precision, on the log odds scale.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np
from scipy.special import expit, logit, stdtrit

from tlkit.arrays import Floats, Ints
from tlkit.evaluation.full_scores import one_vs_rest_ranking
from tlkit.stats.influence import mean_df, spread_of
from tlkit.stats.one_vs_rest import areas

LEVEL = 0.95
LARGE = 400_000
Bounds = tuple[float, float]
POPULATIONS: list[tuple[int, tuple[float, ...], float]] = [
    *[(n, (0.5, 0.5), signal) for n in (50, 100, 400) for signal in (0.0, 0.5, 1.0, 1.5)],
    (60, (0.4, 0.6), 1.2),
    *[(n, (0.2, 0.8), 1.0) for n in (50, 100, 200)],
    *[(n, (0.3, 0.3, 0.4), signal) for n in (50, 100) for signal in (0.5, 1.2)],
    *[(n, (0.1, 0.3, 0.6), signal) for n in (100, 200) for signal in (0.5, 2.0)],
    *[(n, (0.2,) * 5, signal) for n in (50, 100, 400) for signal in (0.0, 1.0, 2.0)],
    *[(n, (0.1,) * 10, signal) for n in (100, 200, 400) for signal in (0.0, 0.2, 1.0, 2.0)],
    *[(n, (0.1, 0.9), signal) for n in (50, 100, 200, 400) for signal in (0.0, 0.5, 1.0, 2.0)],
]


def draw(n: int, shares: tuple[float, ...], signal: float, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Return true classes (N,) and scores (N, C)."""
    y = rng.choice(len(shares), size=n, p=shares)
    logits = rng.standard_normal((n, len(shares)))
    logits[np.arange(n), y] += signal
    proba = np.exp(logits)
    return y, proba / proba.sum(axis=1, keepdims=True)


def earlier(y: Ints, proba: Floats) -> Bounds:
    """Return the interval of macro average precision that tlkit had before."""
    found = [areas(proba[:, code], y == code, np.ones(len(y))) for code in range(proba.shape[1])]
    each = [one[1] for one in found if one is not None]
    spreads = [spread_of(one.influence, None, most_df=one.variance_df) for one in each]
    whole = spread_of(np.mean([one.influence for one in each], axis=0), None)
    df = min(whole.df, mean_df([s.variance for s in spreads], [s.df for s in spreads], of_mean=whole.variance))
    value = float(np.mean([one.value - one.bias for one in each]))
    if not (whole.variance > 0 and 0 < value < 1):
        return value, value
    half = float(stdtrit(max(df, 1.0), (1 + LEVEL) / 2)) * np.sqrt(whole.variance) / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000)
    given = parser.parse_args()
    names = ("AUROC", "average precision", "AP before")
    every: dict[str, list[tuple[float, float]]] = defaultdict(list)
    print(f"| population | {' | '.join(names[:2])} | {' | '.join(names)} |\n|---|{'---|' * 5}")
    for n, shares, signal in POPULATIONS:
        y, proba = draw(LARGE, shares, signal, np.random.default_rng(99))
        large = [areas(proba[:, code], y == code) for code in range(len(shares))]
        truth = [float(np.mean([one[kind].value for one in large if one is not None])) for kind in range(2)]
        rng, held, width = np.random.default_rng(7), defaultdict(list), defaultdict(list)
        for _ in range(given.sets):
            y, proba = draw(n, shares, signal, rng)
            found = one_vs_rest_ranking(proba, lambda code, y=y: y == code, None, confidence=LEVEL).macro
            if found[0].value is None:
                continue  # the sample has one class
            bounds = [(one.low, one.high) for one in found] + [earlier(y, proba)]
            for name, true, (low, high) in zip(names, (*truth, truth[1]), bounds, strict=True):
                held[name].append(low <= true <= high)
                width[name].append(high - low)
        for name, true in zip(names, (*truth, truth[1]), strict=True):
            every[name].append((true, float(np.mean(held[name]))))
        cells = [f"{np.mean(held[name]):.3f} ({np.mean(width[name]):.3f})" for name in names]
        what = f"{len(shares)} classes {min(shares):g}-{max(shares):g}, signal {signal}, n {n}"
        print(f"| {what} | {truth[0]:.3f} | {truth[1]:.3f} | {' | '.join(cells)} |", flush=True)
    for name, shares_held in every.items():
        inside = [held for true, held in shares_held if 0.1 <= true <= 0.9]
        outside = sum(not 0.93 <= one <= 0.97 for one in inside)
        ends = f"{min(inside):.3f} to {max(inside):.3f}"
        print(f"{name}, values .1 to .9: {ends}; {outside} of {len(inside)} outside 93 to 97 %")


if __name__ == "__main__":
    main()
