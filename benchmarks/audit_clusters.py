"""Coverage of the intervals of profiles and explanations for clustered images, with and without cluster methods.

Every cell draws test sets of clusters of 15 images on average with a shared effect on correctness, confidence and
score, and counts how often 95 % intervals contain the true value, which is computed from 40,000 clusters.

    OMP_NUM_THREADS=1 python benchmarks/audit_clusters.py --runs 400
"""

from __future__ import annotations

import argparse
from functools import cache

import numpy as np
from scipy.special import expit

from tlkit.stats.association import adjusted_gap, clustered_gap, clustered_v, cramers_v
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.means import clustered_mean, clustered_mean_of_rates, mean_estimate, mean_of_rates
from tlkit.stats.ordered_trend import clustered_ordered_rates, ordered_rates
from tlkit.stats.ranking import auroc, clustered_area
from tlkit.stats.strata import clustered_kitagawa_split, clustered_mantel_haenszel, kitagawa_split, mantel_haenszel

IMAGES = 15  # mean size of a cluster
CLASSES = 3
DEFFS = (1, 2, 3)  # approximate design effects


def sample(generator, clusters, deff, *, alike, layout="apart", few=None):
    """Return cluster, group, class, confidence, score and correctness of each image."""
    size = np.full(clusters, IMAGES)
    if not alike:
        size = generator.lognormal(0, 0.9, clusters)
        size = np.maximum(2, np.round(size / size.mean() * IMAGES)).astype(int)
    unit = np.repeat(np.arange(clusters), size)
    first = clusters // 2 if few is None else few
    side = {
        "one": np.zeros(len(unit), dtype=int),
        "apart": (unit >= first).astype(int),
        "across": (generator.random(len(unit)) < 0.6).astype(int),
    }[layout]
    effect = np.sqrt(9 * (deff - 1) / (IMAGES - 1)) * generator.normal(size=clusters)
    frequency = np.array([[0.6, 0.25, 0.15], [0.3, 0.4, 0.3]])[side].cumsum(axis=1)
    kind = (generator.random(len(unit))[:, None] > frequency).sum(axis=1).clip(0, CLASSES - 1)
    right = generator.random(len(unit)) < expit(2.2 - 0.6 * kind + effect[unit])
    sure = expit(1.5 + right + 0.6 * effect[unit] + generator.normal(size=len(unit)))
    score = 1.8 * (kind == 0) + 0.4 * effect[unit] + generator.normal(size=len(unit))
    return unit, side, kind, sure, score, right


def of_a_group(unit, _side, kind, sure, score, right):
    """Return the estimates of a group profile, with and without cluster methods."""
    units, truly = Units(np.ones(len(unit)), unit), kind == 0
    gap, loss, images = sure - right, (sure - right) ** 2, np.bincount(kind, minlength=CLASSES)
    good = np.bincount(kind, weights=right, minlength=CLASSES)
    return {
        "confidence - accuracy": (clustered_mean(gap, units, lowest=-1), mean_estimate(gap, lowest=-1)),
        "Brier score": (clustered_mean(loss, units, highest=1), mean_estimate(loss, highest=1)),
        "macro recall": (
            clustered_mean_of_rates(units.summed(kind, CLASSES, right), units.summed(kind, CLASSES), images=images),
            mean_of_rates(good, images),
        ),
        "AUROC": (
            clustered_area(score[truly], score[~truly], high_units=units.take(truly), low_units=units.take(~truly)),
            auroc(score, truly),
        ),
    }


def of_two_groups(unit, side, kind, _sure, _score, right):
    """Return the estimates of a comparison of two groups, with and without cluster methods."""
    units = Units(np.ones(len(unit)), unit)
    cell = side * CLASSES + kind
    n = np.bincount(cell, minlength=2 * CLASSES).reshape(2, CLASSES)
    k = np.bincount(cell, weights=right, minlength=2 * CLASSES).reshape(2, CLASSES).astype(int)
    ours = clustered_kitagawa_split(right, units, side=side, kind=kind, kinds=CLASSES)
    plain = kitagawa_split(k, n, rng=np.random.default_rng(0), replicates=200)
    others = np.eye(CLASSES)[:, 1:]
    filled = n.ravel() > 0
    return {
        "class mix": (ours.mix, plain.mix),
        "rate": (ours.rate, plain.rate),
        "pooled odds": (
            clustered_mantel_haenszel(right, units, side=side, stratum=kind).pooled,
            mantel_haenszel(k, n).pooled,
        ),
        "adjusted gap": (
            clustered_gap(right, units, member=side == 0, others=others, pattern=kind),
            adjusted_gap(
                k.ravel()[filled],
                n.ravel()[filled],
                member=np.repeat([1, 0], CLASSES)[filled],
                others=np.vstack([others, others])[filled],
            ),
        ),
    }


def held(found, truth):
    """Return for each estimate whether there is an interval, and whether it contains the true value."""
    return {
        name: [(one.low is not None, one.low is not None and one.low <= truth[name] <= one.high) for one in pair]
        for name, pair in found.items()
    }


@cache
def truth_of(judge, layout, deff):
    """Return the estimates of 40,000 clusters."""
    found = judge(*sample(np.random.default_rng(0), 40_000, deff, alike=True, layout=layout))
    return {name: pair[1].value for name, pair in found.items()}


def coverage(runs, judge, layouts):
    """Print the lowest coverage over the design effects, by number and sizes of clusters."""
    for layout, clusters, few in layouts:
        for alike in (True, False):
            lowest = {}
            for deff in DEFFS:
                truth = truth_of(judge, layout, deff)
                generator = np.random.default_rng(clusters)
                rows = [
                    held(judge(*sample(generator, clusters, deff, alike=alike, layout=layout, few=few)), truth)
                    for _ in range(runs)
                ]
                for name in truth:
                    there, inside = np.array([row[name] for row in rows]).sum(axis=0).T
                    shares = (*(inside / np.maximum(there, 1)), 1 - there[0] / runs)
                    before = lowest.get(name, (1.0, 1.0, 0.0))
                    lowest[name] = (*np.minimum(before[:2], shares[:2]), max(before[2], shares[2]))
            line = "  ".join(f"{name} {a:.3f} ({b:.3f}; {c:.2f})" for name, (a, b, c) in lowest.items())
            size = f"{few} v {clusters - few}" if few else str(clusters)
            print(f"{layout:6}  {size:7}  {'equal' if alike else 'unequal':7}  {line}", flush=True)


def alarms(runs):
    print("\nFalse alarms: largest share of p < .05 over the design effects (without cluster methods)")
    for layout, clusters in (("apart", 8), ("apart", 20), ("apart", 40), ("across", 5), ("across", 10), ("across", 20)):
        for alike in (True, False):
            most = np.zeros((4, 2))
            for deff in DEFFS:
                generator, hits, tests = np.random.default_rng(clusters), np.zeros((4, 2)), np.zeros((4, 2))
                for _ in range(runs):
                    unit, _, _, _, _, right = sample(generator, clusters, deff, alike=alike)
                    units = Units(np.ones(len(unit)), unit)
                    place = (unit if layout == "apart" else generator.integers(0, 4, len(unit))) % 4
                    two = np.where(generator.random(len(unit)) < 0.5, generator.integers(0, 3, clusters)[unit], 0)
                    ours, plain = (
                        clustered_ordered_rates(right, place, 4, units),
                        ordered_rates(np.bincount(place, weights=right, minlength=4), np.bincount(place, minlength=4)),
                    )
                    table = np.bincount(place * 3 + two, minlength=12).reshape(4, 3)
                    p = [
                        [None if one is None else get(one) for one in (ours, plain)]
                        for get in (lambda one: one.trend.p, lambda one: one.any.p, lambda one: one.bend_p)
                    ] + [[one and one.p for one in (clustered_v(place, two, units), cramers_v(table))]]
                    tests += [[one is not None for one in pair] for pair in p]
                    hits += [[one is not None and one < 0.05 for one in pair] for pair in p]
                most = np.maximum(most, hits / np.maximum(tests, 1))
            line = "  ".join(
                f"{name} {a:.3f} ({b:.3f})" for name, (a, b) in zip(("trend", "any", "bend", "V"), most, strict=True)
            )
            print(f"{layout:6}  {clusters:7d}  {'equal' if alike else 'unequal':7}  {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    runs = parser.parse_args().runs
    print(f"{runs} test sets per cell: lowest coverage over design effects of 1, 2 and 3")
    print("(without cluster methods; largest share of test sets without an interval, left out)\nOne group")

    coverage(runs, of_a_group, [("one", clusters, None) for clusters in (5, 10, 20, 40)])
    print("\nTwo groups")
    apart = [("apart", clusters, few) for clusters, few in ((10, 5), (33, 3), (20, 10), (40, 20))]
    coverage(runs, of_two_groups, apart + [("across", clusters, None) for clusters in (5, 10, 20)])
    alarms(runs)


if __name__ == "__main__":
    main()
