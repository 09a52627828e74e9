"""A logistic head on many features, beside scikit-learn's LogisticRegression at equal loss.

    python benchmarks/large_heads.py [--images 100000] [--width 1280] [--classes 100] [--c 0.01] [--times 3]

Simulated features of correlated columns, whose variances fall as one over their rank, in single precision. Each fit
runs in a process of its own, in alternating order: tlkit's `fit_setting`, and scikit-learn's StandardScaler and
LogisticRegression (lbfgs, its default tolerance). It prints the median wall and CPU seconds, by what the process's peak
memory exceeds that before the fit, in sizes of the features, and the mean training loss with the penalty's share,
computed from the weights alike for both. `--kinds` fits other linear kinds of tlkit, each with its middle setting.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np


def features(images: int, width: int, classes: int) -> tuple[Any, Any]:
    """Return features (N, D) in float32 and codes (N,)."""
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(width, width)))[0].astype(np.float32)
    spread = (1.0 / np.sqrt(np.arange(1, width + 1))).astype(np.float32)
    means = rng.normal(size=(classes, width)).astype(np.float32) * spread * 0.5
    y = rng.integers(0, classes, images)
    x = np.empty((images, width), dtype=np.float32)
    for start in range(0, images, 5000):
        rows = slice(start, start + 5000)
        z = rng.standard_normal((len(y[rows]), width), dtype=np.float32) * spread + means[y[rows]]
        x[rows] = z @ rotation
    return x, y


def objective(x: Any, y: Any, weight: Any, bias: Any, scale: Any, c: float) -> tuple[float, float]:
    """Return mean log loss, and with the penalty's share, of weights (C, D) for features as they are."""
    total = 0.0
    for start in range(0, len(x), 5000):
        rows = slice(start, start + 5000)
        z = x[rows].astype(np.float64) @ weight.T + bias
        z -= z.max(axis=1, keepdims=True)
        total += float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), y[rows]]).sum())
    return total / len(x), total / len(x) + 0.5 * float(((weight * scale) ** 2).sum()) / (c * len(x))


def fit_here(way: str, options: argparse.Namespace) -> None:
    """Fit in this process and print seconds, memory and losses as JSON."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from tlkit.features.heads import FACTS, fit_setting
    from tlkit.features.heads.standardized import feature_mean_and_scale

    x, y = features(options.images, options.width, options.classes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, worked = time.perf_counter(), time.process_time()
    steps = None
    if way == "scikit-learn":
        scaler = StandardScaler(copy=True)
        model = LogisticRegression(C=options.c, max_iter=5000).fit(scaler.fit_transform(x), y)
        weight, steps = model.coef_ / scaler.scale_, int(model.n_iter_[0])
        bias = model.intercept_ - weight @ scaler.mean_
    else:
        grid = FACTS[way].grid
        settings = {"C": options.c} if way == "logistic" else grid[len(grid) // 2]
        head = fit_setting(x, y, kind=way, classes=[str(code) for code in range(options.classes)], settings=settings)
        assert head.linear is not None
        weight, bias = head.linear.weight.astype(np.float64), head.linear.bias.astype(np.float64)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / x.nbytes
    losses = objective(x, y, weight, bias, feature_mean_and_scale(x)[1], options.c)
    print(json.dumps({"s": seconds, "cpu": cpu, "grown": grown, "steps": steps, "losses": losses}))


def main() -> None:
    """Print a line for each way, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--c", type=float, default=0.01)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", default=[], help="other linear kinds of tlkit, such as ridge and lda")
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit:
        fit_here(options.fit, options)
        return
    ways = ["logistic", "scikit-learn", *options.kinds]
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(options.times):
        for way in ways:
            command = [sys.executable, __file__, *sys.argv[1:], "--fit", way]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(way, found[way][-1], flush=True)
    seconds = {way: statistics.median(one["s"] for one in runs) for way, runs in found.items()}
    for way, runs in found.items():
        cpu, grown = statistics.median(one["cpu"] for one in runs), max(one["grown"] for one in runs)
        loss, whole = runs[0]["losses"]
        what = f"loss {loss:.6f}, with penalty {whole:.7f}" if way in ("logistic", "scikit-learn") else ""
        print(f"{way:13} {seconds[way]:8.1f} s  CPU {cpu:8.1f} s  {grown:5.2f} x features  {what}")
    print(f"scikit-learn / tlkit: {seconds['scikit-learn'] / seconds['logistic']:.2f}")


if __name__ == "__main__":
    main()
