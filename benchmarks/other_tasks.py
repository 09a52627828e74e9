"""Judges several labels and numbers: figures on two data sets of scikit-learn, false alarms and coverage by simulation.

python benchmarks/other_tasks.py [SETS [DRAWS]]     SETS simulated data sets without a gap, default 400; DRAWS of val
and test for the coverage of intervals, default 2,000
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import average_precision_score, mean_absolute_error
from sklearn.multiclass import OneVsRestClassifier

from tlkit.audit.multilabel_audit import audit_multilabel
from tlkit.audit.number_audit import audit_numbers
from tlkit.audit.options import AuditOptions
from tlkit.audit.task_comparison import compare_task_models
from tlkit.evaluation.evaluate_numbers import evaluate_numbers
from tlkit.evaluation.label_thresholds import thresholds_for
from tlkit.evaluation.multilabel import evaluate_multilabel
from tlkit.predictions import MultilabelPredictions, NumberPredictions
from tlkit.uncertainty.number_intervals import intervals_for

LABELS = {"even": (0, 2, 4, 6, 8), "prime": (2, 3, 5, 7), "square": (0, 1, 4, 9), "rare": (8,)}


def digits() -> tuple[MultilabelPredictions, MultilabelPredictions]:
    """Return val and test: properties of handwritten digits, by one logistic regression a property on 4 x 4 pixels."""
    images, target = load_digits(return_X_y=True)
    small = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    truth = np.column_stack([np.isin(target, one) for one in LABELS.values()]).astype(int)
    ink = np.where(images.mean(axis=1) > np.median(images.mean(axis=1)), "bold", "thin")
    order = np.random.default_rng(0).permutation(len(target))
    train, val, test = np.split(order, [600, 1000])
    model = OneVsRestClassifier(LogisticRegression(max_iter=2000)).fit(small[train], truth[train])
    return tuple(  # type: ignore[return-value]
        MultilabelPredictions.build(
            labels=list(LABELS),
            path=[f"digit/{row}" for row in rows],
            y_true=truth[rows],
            proba=model.predict_proba(small[rows]),
            groups=pd.DataFrame({"ink": ink[rows]}),
        )
        for rows in (val, test)
    )


def diabetes() -> tuple[NumberPredictions, NumberPredictions]:
    """Return val and test: progression of diabetes after a year, by ridge regression."""
    data, target = load_diabetes(return_X_y=True)
    sex = np.where(data[:, 1] > 0, "2", "1")
    train, val, test = np.split(np.random.default_rng(0).permutation(len(target)), [150, 290])
    model = RidgeCV().fit(data[train], target[train])
    return tuple(  # type: ignore[return-value]
        NumberPredictions.build(
            path=[f"patient/{row}" for row in rows],
            y_true=target[rows],
            y_pred=model.predict(data[rows]),
            groups=pd.DataFrame({"sex": sex[rows]}),
        )
        for rows in (val, test)
    )


def show(name: str, value: object) -> None:
    print(f"{name:<48} {value}")


def examples() -> None:
    val, test = digits()
    plain, chosen = evaluate_multilabel(test), thresholds_for(test, val)
    better = evaluate_multilabel(chosen.apply(test))
    own = average_precision_score(test.y_true, test.proba, average="macro")
    show("digits: mAP", f"{plain.mean_average_precision.format()}, scikit-learn {own:.12f}")
    show("digits: macro F1 at 0.5", plain.macro_f1.format())
    show("digits: macro F1, thresholds of val", better.macro_f1.format())
    show("digits: thresholds", "; ".join(f"{one.label} {one.threshold.format(digits=2)}" for one in chosen.thresholds))
    audit = audit_multilabel(chosen.apply(test), AuditOptions().with_overrides(by="ink"))
    show("digits: audit by ink", f"{audit.verdict}, {audit.tests} tests")
    for table, row, difference in audit.failures:
        show("", f"{row.name}: {table.rate_name} {row.rate.format()}, {difference.format(signed=True)}")
    val, test = diabetes()
    ends = intervals_for(test, val, coverage=0.9).apply(test)
    found = evaluate_numbers(ends)
    show(
        "diabetes: MAE",
        f"{found.mean_absolute_error.format(digits=1)}, scikit-learn "
        f"{mean_absolute_error(test.y_true, test.y_pred):.6f}",
    )
    show("diabetes: R²", found.r_squared.format())
    show(
        "diabetes: coverage of intervals at 90 %",
        f"{found.intervals.coverage.format()}, width {found.intervals.mean_width.format(digits=0)}",
    )
    show("diabetes: audit by sex", audit_numbers(ends, AuditOptions().with_overrides(by="sex")).verdict)


def null_sets(sets: int) -> None:
    """Print in how many sets without a gap any row fails, at a tolerance of 0, and where a planted gap is found."""
    failed, planted, rng = np.zeros(2), np.zeros(2), np.random.default_rng(0)
    for _ in range(sets):
        site, truth = rng.choice(list("abc"), 400), rng.random((400, 4)) < 0.4
        for gap in (0.0, 0.3):
            rate = np.where(truth, 0.8, 0.1)
            rate[site == "b", 2] -= gap * truth[site == "b", 2]
            guess = (rng.random((400, 4)) < rate).astype(int)
            table = MultilabelPredictions.build(
                labels=list("wxyz"),
                path=np.arange(400).astype(str),
                y_true=truth.astype(int),
                y_pred=guess,
                groups=pd.DataFrame({"site": site}),
            )
            audit = audit_multilabel(table, AuditOptions().with_overrides(by="site", tolerance=0.0, draws=100))
            if gap:
                rows = {(one.rate_name, row.name) for one, row, _ in audit.failures}
                planted += [("recall of y", "b") in rows, any(one.class_name != "y" for one, _, _ in audit.failures)]
            else:
                failed[0] += audit.verdict == "FAIL"
        unit = rng.integers(0, 60, 400)
        error = rng.normal(0, 2, 400) + rng.normal(0, 2, 60)[unit]
        truth = rng.normal(0, 10, 400)
        table = NumberPredictions.build(
            path=np.arange(400).astype(str),
            y_true=truth,
            y_pred=truth + error,
            groups=pd.DataFrame({"site": site, "unit": unit.astype(str)}),
        )
        options = AuditOptions().with_overrides(by="site", cluster_by="unit")
        failed[1] += audit_numbers(table, options, mean_tolerance=0.0).verdict == "FAIL"
    show(f"labels: any FAIL in {sets} null sets", f"{failed[0] / sets:.3f}")
    show(f"numbers in clusters: any FAIL in {sets} null sets", f"{failed[1] / sets:.3f}")
    show(
        "planted gap of 0.3 in one label and group: found",
        f"{planted[0] / sets:.3f}; another label fails {planted[1] / sets:.3f}",
    )


def equal_models(sets: int) -> None:
    """Print how often two equally good models of three labels are called different, by mAP and by macro F1."""
    for images in (150, 400):
        called = np.zeros(2)
        for seed in range(sets):
            rng = np.random.default_rng(seed)
            truth = (rng.random((images, 3)) < (0.5, 0.3, 0.15)).astype(int)
            shared = rng.standard_normal((images, 3))
            first, second = (
                MultilabelPredictions.build(
                    labels=list("xyz"),
                    path=np.arange(images).astype(str),
                    y_true=truth,
                    proba=1
                    / (1 + np.exp(-1.5 * (truth - 0.5) - 0.7 * shared - 0.7 * rng.standard_normal((images, 3)))),
                )
                for _ in range(2)
            )
            for place, metric in enumerate(("mean_average_precision", "macro_f1")):
                found = compare_task_models(first, second, AuditOptions(), metric=metric)
                called[place] += found.main.change != "not distinguishable"
        show(f"equal models, {images} images: called different", "mAP {:.4f}, macro F1 {:.4f}".format(*called / sets))


def coverage(draws: int) -> None:
    """Print the mean coverage of intervals at 95 % over draws of val and test: overall, in a noisy and a quiet group.

    The errors of the noisy group are three times as large. The model gives one number, or quantiles that are 30 % too
    narrow; val has 200 images, test 400.
    """
    rng = np.random.default_rng(0)
    ways = ("one margin", "a margin for each group", "quantiles (CQR)", "CQR, a margin for each group")
    found = np.zeros((draws, len(ways), 3))
    for draw in range(draws):
        noisy = rng.random(600) < 0.3
        spread = np.where(noisy, 3.0, 1.0)
        error, half = rng.normal(0, 1, 600) * spread, 0.7 * 1.96 * spread
        groups = pd.DataFrame({"group": np.where(noisy, "noisy", "quiet")})
        for place, way in enumerate(ways):
            ends = {"lower": -half, "upper": half} if "CQR" in way else {}
            val, test = (
                NumberPredictions.build(
                    path=np.arange(600)[part].astype(str),
                    y_true=error[part],
                    y_pred=np.zeros(600)[part],
                    groups=groups[part].reset_index(drop=True),
                    **{name: end[part] for name, end in ends.items()},
                )
                for part in (slice(0, 200), slice(200, 600))
            )
            rule = intervals_for(test, val, coverage=0.95, by="group" if "each group" in way else None)
            covered, own = rule.apply(test).covered, noisy[200:]
            found[draw, place] = covered.mean(), covered[own].mean(), covered[~own].mean()
    for way, (overall, noisy_group, quiet) in zip(ways, found.mean(axis=0), strict=True):
        show(f"coverage at 95 %, {way}", f"{overall:.4f}; noisy group {noisy_group:.4f}, quiet group {quiet:.4f}")


if __name__ == "__main__":
    begin = time.perf_counter()
    examples()
    null_sets(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
    equal_models(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
    coverage(int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
    print(f"{time.perf_counter() - begin:.0f} s")
