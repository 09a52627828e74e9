"""Coverage of conformal sets, of the risk's interval and of its thresholds, by simulation; abstention on real images.

`python benchmarks/uncertainty.py [--draws 2000]` simulates; `--run RUN --by COLUMN` prints
what abstention and conformal sets do to each group of a run with a val and a test split.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tlkit.runs.run import open_run
from tlkit.stats.conformal import SET_METHODS, conditional_quantiles, conformal_quantile, nonconformity
from tlkit.stats.logit_scaling import fit_scaling
from tlkit.stats.selective_risk import aurc, aurc_estimate, risk_at_coverage, threshold_for_risk
from tlkit.tables import to_lines
from tlkit.uncertainty import assess_abstention, assess_calibration, assess_sets
from tlkit.uncertainty.val_scores import ValScores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--by", action="append", default=[])
    parser.add_argument("--risk", type=float, default=0.1)
    options = parser.parse_args()
    if options.run is not None:
        judge(options.run, options.by, options.risk)
        return
    conformal(options.draws)
    risks(options.draws)
    thresholds(options.draws)


def judge(path: Path, by: list[str], risk: float) -> None:
    run = open_run(path)
    val, test = run.predictions("val"), run.predictions("test")
    tables = [*assess_calibration(test, by=by).tables()[:1]]
    tables += assess_abstention(test, ValScores.of(val), risks=[risk], by=by).tables()
    for condition in ("none", "group"):
        tables += assess_sets(test, val, by=by, condition=condition, method="aps").tables()[:1]
    print("\n".join(to_lines(tables)))


def sample(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities of 5 classes, true classes and groups: 40 % of the images are harder."""
    hard = rng.random(n) < 0.4
    gammas = rng.standard_gamma(np.where(hard[:, None], 0.6, 0.15), size=(n, 5)) + 1e-12
    proba = gammas / gammas.sum(axis=1, keepdims=True)
    return proba, (proba.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1), hard.astype(np.int64)


def conformal(draws: int) -> None:
    rng = np.random.default_rng(0)
    new, truth, group = sample(20_000, rng)
    rows = np.arange(len(new))
    print(f"Mean coverage of sets at 95 % over {draws} draws of 300 calibration images (5 classes, two groups)")
    print("method  one limit  hard  easy   by group: hard  easy   T fitted on the same images")
    for method in SET_METHODS:
        strange, found = nonconformity(new, method)[rows, truth], []
        for place in range(draws):
            proba, y, of = sample(300, rng)
            scores = nonconformity(proba, method)[np.arange(300), y]
            covered = strange <= conformal_quantile(scores, 0.95)
            limits = conditional_quantiles(scores, of, 2, 0.95)
            within = [(strange[group == one] <= limits[one]).mean() for one in (1, 0)]
            scaled = np.nan
            if place < draws // 10:  # as in a run: the temperature comes from the same validation images
                scaling = fit_scaling(proba, y, method="temperature")
                own = nonconformity(scaling.apply(proba), method)[np.arange(300), y]
                hot = nonconformity(scaling.apply(new[:2000]), method)[rows[:2000], truth[:2000]]
                scaled = (hot <= conformal_quantile(own, 0.95)).mean()
            found.append([covered.mean(), covered[group == 1].mean(), covered[group == 0].mean(), *within, scaled])
        mean = np.nanmean(found, axis=0)
        print(
            f"{method:6}  {mean[0]:9.4f}  {mean[1]:.3f} {mean[2]:.3f}  {mean[3]:14.4f} {mean[4]:.4f}  {mean[5]:11.4f}"
        )


def confident(n: int, rng: np.random.Generator, a: float) -> tuple[np.ndarray, np.ndarray]:
    sure = rng.beta(a, 1, size=n) / 2 + 0.5
    return sure, rng.random(n) < sure


def risks(draws: int) -> None:
    rng = np.random.default_rng(1)
    print(f"\nShare of {draws} test sets whose 95 % interval holds the true risk at a coverage, and the true AURC")
    print("error    n     at .5    at .8   at .95    at 1     AURC")
    for a in (1.0, 3.0, 8.0):
        many, right = confident(2_000_000, rng, a)
        truths = {c: (~right[many >= np.quantile(many, 1 - c)]).mean() for c in (0.5, 0.8, 0.95, 1.0)}
        area = aurc(many[:500_000], right[:500_000])
        for n in (50, 150, 500, 2000):
            hits, held = np.zeros(len(truths)), []
            for _ in range(draws):
                one = confident(n, rng, a)
                for place, (coverage, truth) in enumerate(truths.items()):
                    found = risk_at_coverage(*one, coverage)
                    hits[place] += found.low <= truth <= found.high
                found = aurc_estimate(*one)
                if found.low is not None:
                    held.append(found.low <= area <= found.high)
            print(f"{truths[1.0]:.3f} {n:5}  " + "".join(f"{x / draws:8.3f} " for x in hits) + f"{np.mean(held):8.3f}")


def thresholds(draws: int) -> None:
    rng = np.random.default_rng(2)
    draws = min(draws, 500)
    print(
        f"\nThresholds for a risk, delta 5 %, {draws} validation sets: risk exceeded, none found, mean answered share"
    )
    for a in (3.0, 8.0):
        many, right = confident(1_000_000, rng, a)
        order = np.argsort(-many)
        true_risk, falling = (~right[order]).cumsum() / np.arange(1, len(many) + 1), -many[order]
        for n in (150, 500, 2000):
            for risk in (0.02, 0.05, 0.1):
                broken, shares = 0, []
                for _ in range(draws):
                    chosen = threshold_for_risk(*confident(n, rng, a), risk)
                    if chosen.threshold is not None:
                        k = int(np.searchsorted(falling, -chosen.threshold))
                        broken += true_risk[min(k, len(many)) - 1] > risk
                        shares.append(k / len(many))
                none, mean = 1 - len(shares) / draws, np.mean(shares) if shares else np.nan
                print(
                    f"error {1 - right.mean():.3f} n {n:4} risk {risk:.2f}: {broken / draws:.3f} {none:.3f} {mean:.3f}"
                )


if __name__ == "__main__":
    main()
