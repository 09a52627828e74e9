"""Error rates of an audit's verdicts and coverage of its intervals, on simulated test sets.

    python benchmarks/audit_false_alarms.py [--runs 400] [--only independent|rates|clusters]

Every run draws one test set of 5 groups with known true rates and computes the verdicts of `audit_groups`: groups
versus complements, Fisher's test with Holm's correction, Newcombe's interval versus the tolerance. The part `rates`
draws one group of few clusters, five times as often; the part `clusters` draws two such groups.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy.special import ndtri

from tlkit.audit.estimators import SamplingDesign, designed_estimates, independent_estimates
from tlkit.audit.group_vs_rest import untested_table
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import Rate
from tlkit.audit.row_intervals import difference_estimate, rate_estimate
from tlkit.audit.verdicts import assign_verdicts, verdict
from tlkit.stats.bootstrap import bootstrap_replicates
from tlkit.stats.dependent_samples import cluster_moments, effective_size
from tlkit.stats.hypothesis_tests import max_gap
from tlkit.stats.intervals import clopper_pearson_bounds, newcombe_bounds, wilson_bounds


def verdicts(rates, n, *, tolerance, runs, seed):
    """Return the verdicts of all groups, shape (runs, groups)."""
    generator = np.random.default_rng(seed)
    groups = len(rates)
    cells = GroupMembership(("g",), tuple((str(i),) for i in range(groups)), np.empty(0, dtype=np.int64))
    options = AuditOptions(tolerance=tolerance, draws=100)  # verdicts do not use the permutations
    sizes = np.append(np.full(groups, n), 0)
    found = []
    for _ in range(runs):
        k = np.append(generator.binomial(n, rates), 0)
        estimates = independent_estimates(cells, k=k, n=sizes, options=options)
        untested = untested_table(cells, Rate("accuracy"), estimates, images=sizes, options=options)
        (table,), _ = assign_verdicts([untested], options)
        found.append([row.verdict for row in table.rows])
    return np.array(found)


def false_alarms_and_power(runs):
    print(f"5 groups, true rate .9 in all but one; {runs} test sets each: share with any FAIL, and with all PASS")
    print("n per group  rate of the one  tolerance  any FAIL  one PASS  all PASS")
    for n in (50, 200, 1000):
        for one in (0.90, 0.85, 0.75):
            for tolerance in (0.0, 0.02, 0.05):
                found = verdicts([one, 0.9, 0.9, 0.9, 0.9], n, tolerance=tolerance, runs=runs, seed=n)
                fail = (found == "FAIL").any(axis=1).mean()
                passed, whole = (found[:, 0] == "PASS").mean(), (found == "PASS").all(axis=1).mean()
                print(f"{n:11d}  {one:15.2f}  {tolerance:9.2f}  {fail:8.3f}  {passed:8.3f}  {whole:8.3f}")


def largest_gap(runs):
    print(f"\nThe largest gap without a true gap, p = .9, {runs} test sets: share of false alarms at 5 %")
    print("groups  n per group  percentile interval of the gap excludes 0  permutation p < .05  mean gap  expected")
    for groups, n in ((2, 200), (5, 200), (10, 100), (20, 50), (5, 1000)):
        generator = np.random.default_rng(groups)
        apart = low_p = gap = expected = 0.0
        for run in range(runs):
            k = generator.binomial(n, 0.9, groups)
            test = max_gap(k, np.full(groups, n), draws=1000, seed=run)
            cells = np.ravel(np.column_stack([k, n - k]))
            drawn = bootstrap_replicates(
                cells,
                lambda c: np.ptp(c[:, ::2] / np.maximum(c[:, ::2] + c[:, 1::2], 1), axis=1),
                rng=generator,
                replicates=300,
            )
            apart += np.quantile(drawn, 0.025) > 0
            low_p += test.p < 0.05
            gap, expected = gap + test.gap, expected + test.expected
        shares = f"{apart / runs:42.3f}  {low_p / runs:19.3f}"
        print(f"{groups:6d}  {n:11d}  {shares}  {gap / runs:8.4f}  {expected / runs:8.4f}")


def coverage():
    print("\nExact coverage of 95 % intervals of a rate")
    print("    n     p  Wilson  Clopper-Pearson")
    for n, p in ((10, 0.95), (20, 0.95), (50, 0.95), (50, 0.99), (100, 0.99), (300, 0.95)):
        k = np.arange(n + 1)
        pmf = np.array([math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)])
        shares = []
        for bounds in (wilson_bounds, clopper_pearson_bounds):
            low, high = bounds(k, np.full(n + 1, n))
            shares.append(pmf[(low <= p) & (p <= high)].sum())
        print(f"{n:5d}  {p:.2f}  {shares[0]:6.3f}  {shares[1]:15.3f}")
    print("\nSimulated coverage of 95 % intervals of a difference (Newcombe), 20,000 draws")
    print("   n1    n2    p1    p2  coverage")
    generator = np.random.default_rng(0)
    for n1, n2, p1, p2 in ((20, 1000, 0.95, 0.95), (50, 500, 0.9, 0.9), (200, 800, 0.9, 0.8), (30, 30, 0.99, 0.9)):
        k1, k2 = generator.binomial(n1, p1, 20_000), generator.binomial(n2, p2, 20_000)
        low, high = newcombe_bounds(k1, n1, k2, n2)
        inside = ((low <= p1 - p2) & (p1 - p2 <= high)).mean()
        print(f"{n1:5d} {n2:5d}  {p1:.2f}  {p2:.2f}  {inside:8.3f}")


def all_intervals_at_once(draws):
    print(f"\nSimultaneous intervals of an audit, 3,000 images, p = .9, {draws:,} test sets: half width in standard")
    print("errors at which 95 % of test sets contain all true differences (max-t), and by Bonferroni")
    print("columns                        differences  max-t  Bonferroni  width saved  all inside at 1.96")
    generator = np.random.default_rng(0)
    for name, (a, b, recall) in {
        "5 groups": (5, 1, False),
        "5 groups, accuracy and recall": (5, 1, True),
        "5 x 3 groups, crossed": (5, 3, False),
        "5 x 3 groups, crossed, recall": (5, 3, True),
    }.items():
        first, second, label, right = (axis.ravel() for axis in np.indices((a, b, 2, 2)))
        chance = np.where(right == 1, 0.9, 0.1) / (a * b * 2)
        groups = [first == i for i in range(a)] + ([second == j for j in range(b)] if b > 1 else [])
        groups += [(first == i) & (second == j) for i in range(a) for j in range(b)] if b > 1 else []
        bases = [np.ones(len(first), bool)] + [label == 1] * recall
        counts = generator.multinomial(3000, chance, size=draws)
        far = []
        for base in bases:
            for group in groups:
                (k, n), (rest_k, rest_n) = (
                    (counts @ (side & base & (right == 1)), counts @ (side & base)) for side in (group, ~group)
                )
                pooled = (k + rest_k) / (n + rest_n)
                far.append(np.abs(k / n - rest_k / rest_n) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / rest_n)))
        largest = np.max(far, axis=0)
        reach, bonferroni = np.quantile(largest, 0.95), ndtri(1 - 0.025 / len(far))
        saved, inside = 1 - reach / bonferroni, (largest <= 1.96).mean()
        print(f"{name:30} {len(far):11d}  {reach:5.2f}  {bonferroni:10.2f}  {saved:10.1%}  {inside:18.3f}")


def rates_of_clusters(runs):
    print(f"\nOne rate of few clusters of {IMAGES} images on average, {runs:,} test sets per cell: coverage of 95 %")
    print("intervals, lowest over design effects of 1, 1.5, 2 and 3, and mean width at 3. First two: effective size")
    print("by Korn and Graubard, with Wilson's ends and with theirs, Clopper and Pearson's. tlkit, by default and")
    print("guaranteed: the same with fewer degrees of freedom for variances from few clusters")
    print("clusters  rate  sizes    Wilson         Korn-Graubard  tlkit          guaranteed")
    for clusters in (5, 10, 20, 40):
        generator = np.random.default_rng(clusters)
        for rate in (0.5, 0.8, 0.9, 0.97):
            for alike in (True, False):
                found = [cluster_intervals(generator, clusters, rate, deff, alike, runs) for deff in (1, 1.5, 2, 3)]
                line = "  ".join(
                    f"{min(held):.3f} {widths[-1]:.3f}  "
                    for held, widths in (zip(*method, strict=True) for method in zip(*found, strict=True))
                )
                print(f"{clusters:8d}  {rate:.2f}  {'equal' if alike else 'unequal':7}  {line}".rstrip(), flush=True)


def cluster_intervals(generator, clusters, rate, deff, alike, runs):
    """Return coverage and mean width of the intervals of the four methods."""
    n = np.stack([sizes_of(generator, clusters, alike) for _ in range(runs)], axis=1)
    correlation = (deff - 1) / (IMAGES - 1)
    at = np.full(n.shape, rate)
    if correlation:
        at = generator.beta(rate * (1 / correlation - 1), (1 - rate) * (1 / correlation - 1), n.shape)
    right, found = generator.binomial(n, at), []
    for part in np.array_split(np.arange(runs), math.ceil(runs / 250)):  # covariances among rates: (250, 250)
        moments = cluster_moments(right[:, part], n[:, part])
        ends = []
        for df in (moments.df, moments.rate_df):
            size = effective_size(
                moments.rate,
                np.diagonal(moments.covariance),
                images=n[:, part].sum(axis=0),
                clusters=moments.clusters,
                df=df,
            )
            ends += [bounds(moments.rate * size, size) for bounds in (wilson_bounds, clopper_pearson_bounds)]
        found.append(ends)
    low, high = np.moveaxis(np.concatenate(found, axis=-1), 1, 0)  # (methods, runs)
    return list(zip(((low <= rate) & (rate <= high)).mean(axis=1), (high - low).mean(axis=1), strict=True))


CLUSTERS = ((2, 2), (3, 3), (4, 4), (6, 6), (10, 10), (20, 20), (40, 40), (2, 40), (4, 40), (10, 40))
IMAGES = 15  # mean size of a cluster


def sizes_of(generator, clusters, alike):
    """Return the size of each cluster: equal, or lognormal with the largest several times the smallest."""
    if alike:
        return np.full(clusters, IMAGES)
    drawn = generator.lognormal(0, 0.9, clusters)
    return np.maximum(1, np.round(drawn / drawn.mean() * IMAGES)).astype(int)


def clustered(generator, layout, clusters, rates, deff, alike):
    """Return group, cluster and correctness of the images of one test set.

    Args:
        layout: "apart" = every cluster belongs to one group; "across" = every cluster has images of both groups, whose
            rates vary with it; "matched" = the same, compared within the clusters.
        clusters: number of clusters of each group; the first number for both groups unless "apart".
        rates: true rate of each group.
        deff: design effect of clusters of IMAGES images.
        alike: whether all clusters have the same size.
    """
    correlation = (deff - 1) / (IMAGES - 1)
    own = clusters if layout == "apart" else (clusters[0],)
    unit_sizes = np.concatenate([sizes_of(generator, count, alike) for count in own])
    side = np.repeat(range(len(own)), own)
    unit = np.repeat(np.arange(len(unit_sizes)), unit_sizes)
    group = side[unit] if layout == "apart" else (generator.random(len(unit)) < 0.6).astype(int)
    base = np.array(rates)[side]
    at = base
    if correlation:
        at = generator.beta(base * (1 / correlation - 1), (1 - base) * (1 / correlation - 1))
    other = 1.0 if layout == "apart" else np.where(group == 1, rates[1] / rates[0], 1.0)
    return group, unit, generator.random(len(unit)) < at[unit] * other


def two_groups(group, unit, right, *, matched, tolerance):
    """Return rate, difference and verdict of the first group in an audit: two groups make one test."""
    cells = GroupMembership(("g",), (("a",), ("b",)), group)
    options = AuditOptions(tolerance=tolerance, min_group_size=1, draws=100, cluster_by="unit")
    images = np.append(np.bincount(group, minlength=2), 0)
    sample = designed_estimates(
        cells, SamplingDesign(unit=unit, paired=matched), counts=right, base=np.ones(len(right), bool), options=options
    )
    draft = untested_table(cells, Rate("accuracy"), sample, images=images, options=options)
    difference = difference_estimate(sample, 0, confidence=options.confidence) if draft.tested[0] else None
    return (
        rate_estimate(sample, 0, confidence=options.confidence),
        difference,
        verdict(difference, draft.p[0], tolerance=tolerance, alpha=0.05),
    )


def few_clusters(runs):
    print(
        f"\nTwo groups of few clusters of {IMAGES} images on average, no gap, tolerance 0; true rates .6, .9 and .97,"
    )
    print(f"{runs} test sets each: share with a FAIL by design effect, lowest coverage of the intervals")
    print("layout   clusters  sizes    FAIL at 1, 2, 3      difference   rate   | gap .15, tolerance .05: FAIL  PASS")
    for layout in ("apart", "across", "matched"):
        for clusters in CLUSTERS:
            if layout != "apart" and clusters[0] != clusters[1]:
                continue
            for alike in (True, False):
                generator = np.random.default_rng(sum(clusters))
                fails, held, inside = [], [], []
                for deff in (1, 2, 3):
                    rows = []
                    for rate in (0.6, 0.9, 0.97):
                        found = [
                            two_groups(
                                *clustered(generator, layout, clusters, (rate, rate), deff, alike),
                                matched=layout == "matched",
                                tolerance=0.0,
                            )
                            for _ in range(runs)
                        ]
                        rows += found
                        differences = [difference for _, difference, _ in found if difference is not None]
                        held.append(np.mean([one.low <= 0 <= one.high for one in differences]))
                        of_rates = [one for one, _, _ in found if one.low is not None]
                        inside.append(np.mean([one.low <= rate <= one.high for one in of_rates]))
                    fails.append(np.mean([one == "FAIL" for _, _, one in rows]))
                found = [
                    two_groups(
                        *clustered(generator, layout, clusters, (0.8, 0.95), 2, alike),
                        matched=layout == "matched",
                        tolerance=0.05,
                    )[2]
                    for _ in range(runs)
                ]
                power, wrong = found.count("FAIL") / runs, found.count("PASS") / runs
                name, shares = f"{clusters[0]} v {clusters[1]}", " ".join(f"{share:.3f}" for share in fails)
                print(
                    f"{layout:8} {name:8}  {'equal' if alike else 'unequal':7}  {shares}    {min(held):10.3f}  "
                    f"{min(inside):6.3f}  | {power:28.3f}  {wrong:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", choices=("independent", "rates", "clusters"))
    options = parser.parse_args()
    if options.only not in ("rates", "clusters"):
        false_alarms_and_power(options.runs)
        largest_gap(options.runs)
        coverage()
        all_intervals_at_once(20_000)
    if options.only not in ("clusters", "independent"):
        rates_of_clusters(5 * options.runs)
    if options.only not in ("rates", "independent"):
        few_clusters(options.runs)
