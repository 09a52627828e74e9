"""Duration of all metrics with intervals on 100,000 images of 100 classes, compared with a loop over scikit-learn.

    OMP_NUM_THREADS=1 python benchmarks/metric_speed.py [--images 100000] [--classes 100] [--replicates 1000]

The loop resamples rows and calls scikit-learn's functions for the same metrics. Three of its replicates are measured,
the others extrapolated.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn import metrics as sk

from tlkit.evaluation import evaluate
from tlkit.predictions import Predictions


def data(n, classes, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    logits = rng.standard_normal((n, classes))
    logits[np.arange(n), y] += 3.0
    proba = np.exp(logits)
    return y, proba / proba.sum(axis=1, keepdims=True)


def one_replicate(y, guess, proba, classes):
    """Compute what `evaluate` gives: averages, classes, correlations, areas, losses."""
    labels = np.arange(classes)
    for average in ("macro", "micro", "weighted", None):
        sk.precision_recall_fscore_support(y, guess, labels=labels, average=average, zero_division=0.0)
    sk.accuracy_score(y, guess)
    sk.balanced_accuracy_score(y, guess)
    sk.top_k_accuracy_score(y, proba, k=5, labels=labels)
    sk.matthews_corrcoef(y, guess)
    sk.cohen_kappa_score(y, guess)
    sk.cohen_kappa_score(y, guess, weights="quadratic")
    for code in labels:
        sk.roc_auc_score(y == code, proba[:, code])
        sk.average_precision_score(y == code, proba[:, code])
    sk.log_loss(y, proba, labels=labels)
    sk.brier_score_loss(y, proba, labels=labels)


def main(n, classes, replicates, measured=3):
    y, proba = data(n, classes)
    predictions = Predictions.build(
        classes=[f"class {i}" for i in range(classes)], path=np.arange(n).astype(str), y_true=y, proba=proba
    )
    evaluate(predictions.take(np.arange(min(n, 1000))), replicates=10)  # imports
    ours, ours_cpu = [], []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        evaluate(predictions, replicates=replicates)
        ours.append(time.perf_counter() - wall)
        ours_cpu.append(time.process_time() - cpu)
    guess, rng = proba.argmax(axis=1), np.random.default_rng(0)
    theirs, theirs_cpu = [], []
    for _ in range(measured):
        rows = rng.integers(0, n, n)
        drawn = y[rows], guess[rows], proba[rows]
        wall, cpu = time.perf_counter(), time.process_time()
        one_replicate(*drawn, classes)
        theirs.append(time.perf_counter() - wall)
        theirs_cpu.append(time.process_time() - cpu)
    print(f"{n:,} images, {classes} classes, {replicates:,} replicates")
    print(f"  tlkit, every metric with its interval: {min(ours):.2f} s, CPU {min(ours_cpu):.2f} s (least of 3)")
    each, each_cpu = float(np.mean(theirs)), float(np.mean(theirs_cpu))
    print(f"  scikit-learn, one replicate (mean of {measured} measured): {each:.2f} s, CPU {each_cpu:.2f} s")
    print(f"  scikit-learn, {replicates:,} replicates, extrapolated: {each * replicates:,.0f} s")
    wall_ratio, cpu_ratio = each * replicates / min(ours), each_cpu * replicates / min(ours_cpu)
    print(f"  ratio: {wall_ratio:,.0f} by the clock, {cpu_ratio:,.0f} by CPU")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--replicates", type=int, default=1000)
    options = parser.parse_args()
    main(options.images, options.classes, options.replicates)
