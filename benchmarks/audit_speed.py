"""Duration of an audit: compared with fairlearn's bootstrap at 10,000 images, and for 100,000 images of 100 classes.

    python benchmarks/audit_speed.py [--replicates 20] [--no-fairlearn]

fairlearn resamples rows and computes every metric of every group again. Its time is proportional to the number of
replicates, so a few are timed and extrapolated to 1,000. tlkit resamples the table of counts, which has the same
distribution.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from tlkit.audit import audit_groups
from tlkit.predictions import Predictions
from tlkit.stats.bootstrap import bootstrap_replicates


def timed(function, repeats=3):
    """Return the minimum of several wall times in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def data(n, classes, groups, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, classes, n)
    right = generator.random(n) < 0.85
    guess = np.where(right, y, (y + generator.integers(1, max(classes, 2), n)) % classes)
    return y, guess, np.array([f"group {g}" for g in generator.integers(0, groups, n)])


def predictions(n, classes, groups):
    y, guess, group = data(n, classes, groups)
    return Predictions.build(
        classes=[f"class {i}" for i in range(classes)],
        path=[str(i) for i in range(n)],
        y_true=y,
        y_pred=guess,
        groups=pd.DataFrame({"g": group}),
    )


def count_bootstrap(y, guess, group, replicates):
    """Return accuracy, recall and false positive rate of every group in each replicate, and their gaps and ratios."""
    names, code = np.unique(group, return_inverse=True)
    cells = np.bincount((code * 2 + y) * 2 + guess, minlength=len(names) * 4)

    def statistic(counts):
        c = counts.reshape(len(counts), len(names), 2, 2).astype(float)
        n = c.sum(axis=(2, 3))
        with np.errstate(all="ignore"):
            rates = np.stack(
                [
                    (c[:, :, 0, 0] + c[:, :, 1, 1]) / n,
                    c[:, :, 1, 1] / c[:, :, 1].sum(axis=2),
                    c[:, :, 0, 1] / c[:, :, 0].sum(axis=2),
                ],
                axis=1,
            )
        gaps, ratios = np.ptp(rates, axis=2), rates.min(axis=2) / rates.max(axis=2)
        return np.concatenate([rates.reshape(len(c), -1), gaps, ratios], axis=1)

    drawn = bootstrap_replicates(cells, statistic, rng=np.random.default_rng(0), replicates=replicates)
    return np.quantile(drawn, [0.025, 0.975], axis=0)


def against_fairlearn(replicates, *, with_fairlearn):
    y, guess, group = data(10_000, 2, 5)
    ours = timed(lambda: count_bootstrap(y, guess, group, 1000))
    whole = predictions(10_000, 2, 5)
    audit = timed(
        lambda: audit_groups(whole, by="g", metrics=("accuracy", "recall", "false_positive_rate"), draws=1000)
    )
    print("10,000 images, 5 groups, accuracy, recall and false positive rate, 1,000 replicates")
    print(f"  tlkit, bootstrap of counts (rates, gaps, ratios): {ours * 1e3:.1f} ms")
    print(f"  tlkit, whole audit with intervals, tests and verdicts: {audit * 1e3:.1f} ms")
    if not with_fairlearn:
        return
    from fairlearn.metrics import MetricFrame, false_positive_rate
    from sklearn.metrics import accuracy_score, recall_score

    def theirs():
        MetricFrame(
            metrics={"accuracy": accuracy_score, "recall": recall_score, "fpr": false_positive_rate},
            y_true=y,
            y_pred=guess,
            sensitive_features=group,
            n_boot=replicates,
            ci_quantiles=[0.025, 0.975],
            random_state=0,
        )

    seconds = timed(theirs, repeats=1)
    per = seconds / replicates
    print(f"  fairlearn, {replicates} replicates: {seconds:.2f} s; 1,000 extrapolated: {per * 1000:.0f} s")
    print(
        f"  ratio to the bootstrap of counts: {per * 1000 / ours:,.0f}; to the whole audit: {per * 1000 / audit:,.0f}"
    )


def large():
    whole = predictions(100_000, 100, 10)
    seconds = timed(lambda: audit_groups(whole, by="g", metrics=("accuracy", "recall"), draws=1000), repeats=2)
    print("100,000 images, 100 classes, 10 groups: accuracy, recall of every class, macro recall, 1,000 permutations")
    print(f"  tlkit, whole audit: {seconds:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--no-fairlearn", action="store_true")
    options = parser.parse_args()
    against_fairlearn(options.replicates, with_fairlearn=not options.no_fairlearn)
    large()
