"""Golden figures: what the library computes from fixed inputs, frozen as JSON beside this file.

Each function of `CASES` returns the figures of one part of the library as plain JSON values. `tests/test_golden.py`
computes them again and compares. A change of a figure that is meant is recorded by running this file:

    python tests/golden/make_golden.py [NAME ...]

It writes `NAME.json` for each name, or all of them. A commit that changes a JSON file says in its message why.
Inputs are seeded and made here. No network and no pretrained weights are needed.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlkit.predictions import Predictions

HERE = Path(__file__).parent
WORDS = {"verdict", "standing", "change", "shape", "method", "missing_test", "kind"}
"""Keys whose text is a result, such as a verdict. Other text (sentences, names, notes) is not frozen."""
UNFROZEN = {"seconds", "version"}
CLASSES = ("ant", "bee", "cat")


# plain values


def plain(value: Any, *, key: str = "") -> Any:
    """Return `value` as JSON values: numbers of 12 significant digits, verdicts, None; other text becomes None."""
    if hasattr(value, "to_dict") and not isinstance(value, (pd.DataFrame, pd.Series)):
        value = value.to_dict()
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        found = {str(name): plain(one, key=str(name)) for name, one in value.items() if name not in UNFROZEN}
        return {name: one for name, one in found.items() if one is not None}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(one, key=key) for one in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.12g}") if math.isfinite(value) else str(float(value))
    return value if key in WORDS else None


def digest(*parts: bytes | np.ndarray) -> str:
    """Return the first 16 hex digits of the sha256 over bytes and arrays."""
    found = hashlib.sha256()
    for part in parts:
        found.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else part)
    return found.hexdigest()[:16]


def block_means(pictures: list[np.ndarray], side: int = 16) -> list[float]:
    """Return the means of each picture's blocks of `side` pixels, by channel; the sides are multiples of it."""
    found: list[float] = []
    for one in pictures:
        across, down = one.shape[1] // side, one.shape[0] // side
        found += one.reshape(down, side, across, side, -1).mean(axis=(1, 3)).ravel().tolist()
    return [round(value, 4) for value in found]


# inputs


def first_table() -> Predictions:
    """Return predictions of 720 images in 3 classes, with probabilities, groups, clusters, weights and matched sets.

    Recall of "cat" is lower for the tone "dark"; 5 % of `sex` and of `age` is missing; 12 images have no label. Each
    scene holds one image of each of the four tones.
    """
    rng = np.random.default_rng(14)
    n = 720
    tone = np.array(["dark", "light", "medium", "pale"])[np.arange(n) % 4]
    y = np.repeat(rng.integers(0, 3, n // 4), 4)
    logits = rng.normal(0, 1, (n, 3))
    logits[np.arange(n), y] += np.where((tone == "dark") & (y == 2), 0.8, 2.4)
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sex = np.where(rng.random(n) < 0.05, None, rng.choice(["man", "woman"], n).astype(object))
    age = np.where(rng.random(n) < 0.05, None, rng.integers(18, 80, n).astype(str).astype(object))
    label = np.array(CLASSES, dtype=object)[y]
    label[rng.permutation(n)[:12]] = None
    groups = pd.DataFrame(
        {
            "tone": tone,
            "sex": sex,
            "age": age,
            "scene": [f"s{i // 4:03d}" for i in range(n)],
            "site": [f"site{i:02d}" for i in rng.integers(0, 30, n)],
            "w": rng.uniform(0.5, 2.0, n).round(3).astype(str),
            "size": rng.choice(["small", "medium", "large", "huge"], n, p=[0.3, 0.35, 0.33, 0.02]),
            "tags": rng.choice(["a", "b", "a;b", "b;c", "c"], n),
        }
    )
    paths = [f"{i:04d}.jpg" for i in range(n)]
    return Predictions.build(classes=CLASSES, path=paths, y_true=label, proba=proba, groups=groups)


def second_table() -> Predictions:
    """Return predictions of 600 of those images by another model, two classes merged worse, without probabilities."""
    first = first_table().labelled
    rng = np.random.default_rng(15)
    rows = np.sort(rng.permutation(len(first))[:600])
    first = first.take(rows)
    wrong = rng.random(len(first)) < np.where(first.y_true == 1, 0.3, 0.08)
    y_pred = np.where(wrong, (first.y_true + 1) % 3, first.y_true)
    return Predictions.build(
        classes=CLASSES,
        path=first.path,
        y_true=np.array(CLASSES, dtype=object)[first.y_true],
        y_pred=np.array(CLASSES, dtype=object)[y_pred],
        groups=first.groups,
    )


def points(n: int = 240, *, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, 16) of three overlapping Gaussian classes, and their codes (N,)."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.normal(size=(3, 16))[y] * 0.7 + rng.normal(size=(n, 16))
    return x.astype(np.float32), y.astype(np.int64)


def picture(seed: int, size: tuple[int, int] = (96, 72)) -> Any:
    """Return a PIL image of smooth noise with some detail, of (width, height)."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    detail = rng.normal(0, 8, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + detail, 0, 255).astype(np.uint8))


# the judging side


def evaluation() -> dict[str, Any]:
    """Return the evaluations of both tables."""
    from tlkit.evaluation.evaluation import evaluate

    first = first_table()
    leaked = first.path[:40].tolist()
    found = {
        "first": evaluate(first, top_k=(1, 2), leaked=leaked),
        "second_90": evaluate(second_table(), confidence=0.9, seed=3),
    }
    return {name: {**plain(one), "confusion": plain(one.confusion)} for name, one in found.items()}


def audit() -> dict[str, Any]:
    """Return audits of the first table under different options, with their criteria."""
    from tlkit.audit.audit import audit_groups

    first = first_table()

    def audited(**options: Any) -> dict[str, Any]:
        found = audit_groups(first, draws=2000, **options)
        frozen = plain(found)
        if "cluster_by" not in options:  # most of the numbers, and computed alike
            del frozen["profiles"]
        return {"verdict": found.verdict, "criteria": plain(found.criteria), **frozen}

    return {
        "plain": audited(by=["tone", "sex"]),
        "profiles": plain(audit_groups(first, by="tone", draws=100).profiles),
        "cuts": audited(
            by=["age:quantiles=4", "size:order=small,medium,large,huge", "tags:separator=;"], max_intersection_order=1
        ),
        "edges": audited(by="age:bins=30,60", tolerance=0.1, confidence=0.9, alpha=0.1, guaranteed=True),
        "criteria": audited(by="sex", criteria=("equalized_odds", "demographic_parity", "four_fifths"), positive="cat"),
        "each_class": audited(by="tone", metrics=("recall", "precision"), min_group_size=60, tolerance=0.02),
        "clusters": audited(by="tone", cluster_by="site", tolerance=0.2),
        "pairs": audited(by="tone", pair_by="scene", tolerance=0.02, alpha=0.2),
        "weights": audited(by="tone", weights="w", tolerance=0.25),
        "weights_and_clusters": audited(by="sex", weights="w", cluster_by="site"),
        "intersections": audited(by=["tone", "sex", "size"], max_intersection_order=3, min_group_size=15),
    }


def explain() -> dict[str, Any]:
    """Return what lies behind the gaps of the first table: independent images, clusters, weights, a training table."""
    from tlkit.audit import explain_gaps

    first = first_table()
    training = first.labelled.groups.iloc[:300].assign(label="ant")
    order = {"size": ("small", "medium", "large", "huge")}
    return {
        "plain": plain(explain_gaps(first, by=["tone", "size"], order=order, replicates=200)),
        "training": plain(explain_gaps(first, by="sex", training=training, replicates=200, confidence=0.9)),
        "clusters": plain(explain_gaps(first, by=["tone", "size"], order=order, cluster_by="site")),
        "weights": plain(explain_gaps(first, by="tone", weights="w")),
    }


def compare() -> dict[str, Any]:
    """Return comparisons of the two tables."""
    from tlkit.audit.model_comparison import compare_predictions

    first, second = first_table(), second_table()
    return {
        "overall": plain(compare_predictions(first, second)),
        "groups": plain(
            compare_predictions(first, second, by=["tone", "sex"], leaked=first.path[:50].tolist(), confidence=0.9)
        ),
    }


def search(**options: Any) -> Any:
    """Return the slices found in 900 images of which dark ones are recognised worse."""
    from tlkit.audit.options import AuditOptions
    from tlkit.audit.slices.slice_search import search_slices

    rng = np.random.default_rng(21)
    n = 900
    columns = pd.DataFrame(
        {
            "brightness": rng.uniform(0, 255, n).round(3),
            "sharpness": rng.beta(2, 5, n).round(6),
            "file_type": rng.choice(["JPEG", "PNG"], n),
            "camera": rng.choice(["A", "B", None], n),
        }
    )
    y = rng.integers(0, 3, n)
    y_pred = np.where(rng.random(n) < np.where(columns["brightness"] < 60, 0.55, 0.93), y, (y + 1) % 3)
    predictions = Predictions.build(classes=CLASSES, path=[f"{i}.jpg" for i in range(n)], y_true=y, y_pred=y_pred)
    return search_slices(predictions, columns=columns, **{"options": AuditOptions(), **options})


def slices() -> dict[str, Any]:
    """Return slices of images alone and of grouped images."""
    from tlkit.audit.options import AuditOptions

    grouped = search(units=np.arange(900) // 3, max_conditions=1, options=AuditOptions(seed=2))
    return {"alone": plain(search()), "units": plain(grouped)}


GATES = """\
gates_version: 1
{more}
tolerances:
  - {{by: tone, tolerance: 0.08}}
  - {{by: [tone, sex], tolerance: 0.2}}
  - {{by: sex, metric: recall, class_name: cat, tolerance: 0.1}}
limits:
  - {{by: tone, at_least: 0.7}}
  - {{by: sex, metric: false_positive_rate, class_name: ant, at_most: 0.3}}
no_worse_than: {{baseline: other.csv, by: [sex], margin: 0.1}}
"""


def gates_of(folder: Path, *, more: str = "") -> Any:
    """Return a report of gates on the second table against the first; their file lies in the folder."""
    from tlkit.audit.gates.gate_verdicts import judge_gates
    from tlkit.audit.rates import METRICS
    from tlkit.recipe.gates_file import load_gates

    path = folder / "gates.yaml"
    path.write_text(GATES.format(more=more), encoding="utf-8")
    return judge_gates(second_table(), load_gates(path, metrics=METRICS), baseline=first_table())


def gates() -> dict[str, Any]:
    """Return reports of gates for independent images, clusters, weights."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, more in {"plain": "", "clusters": "cluster_by: site", "weights": "weights: w"}.items():
            report = gates_of(Path(folder), more=more)
            found[name] = {"verdict": report.verdict, **plain(report)}
    return found


def statistics() -> dict[str, Any]:
    """Return statistics of fixed counts, without those that tests/stats compares with another library."""
    from tlkit.stats import (
        association,
        bootstrap,
        calibration,
        cluster_sampling,
        dependent_samples,
        hypothesis_tests,
        intervals,
        means,
        ordered_trend,
        paired,
        power,
        ranking,
        selective_risk,
        shrinkage,
        strata,
        worst_group,
    )

    rng = np.random.default_rng(8)
    k, n = np.array([3, 40, 77, 9]), np.array([10, 60, 90, 9])
    right = rng.random(200) < 0.8
    other = rng.random(200) < 0.7
    side = rng.integers(0, 2, 200)
    kind = rng.integers(0, 3, 200)
    score = rng.beta(3, 2, 200)
    units = cluster_sampling.Units(rng.uniform(0.5, 2.0, 200), rng.integers(0, 25, 200))
    counts = np.bincount(side * 3 + kind, minlength=6).reshape(2, 3)
    hits = np.bincount((side * 3 + kind)[right], minlength=6).reshape(2, 3)
    pairs = [paired.Pairs(50, 10, 3, 7), paired.Pairs(20, 2, 9, 4)]
    found = {
        "wilson_bounds": intervals.wilson_bounds(k, n),
        "newcombe_bounds": intervals.newcombe_bounds(k, n, k[::-1], n[::-1]),
        "correlated_bounds": intervals.newcombe_bounds(k, n, k[::-1], n[::-1], correlation=0.3),
        "cluster_moments": dependent_samples.cluster_moments(rng.integers(0, 3, (12, 2)), np.full((12, 2), 3)),
        "stratified_exact": dependent_samples.stratified_exact([1, 2, 2], [4, 3, 4], [4, 4, 5], [8, 7, 8]),
        "max_gap_normal": dependent_samples.max_gap_normal([0.7, 0.8, 0.9], [30.0, 60.0, 50.0], draws=2000),
        "score_test": dependent_samples.score_test(8, 10, 30, 50),
        "mean": means.mean_estimate(score, highest=1.0),
        "mean_of_rates": means.mean_of_rates(k, n),
        "clustered_mean": means.clustered_mean(score, units, highest=1.0),
        "bootstrap": bootstrap.percentile_estimate(
            5 / 55,
            bootstrap.bootstrap_replicates(
                [5, 20, 30], lambda c: c[..., 0] / c.sum(axis=-1), rng=np.random.default_rng(1), replicates=500
            ),
            n=55,
        ),
        "calibration_error": calibration.calibration_error(score, right),
        "calibration_by_width": calibration.calibration_error(score, right, binning="width", weights=units.weight),
        "calibration_by_chance": calibration.null_calibration_error(score),
        "shrink": shrinkage.shrink(k, n),
        "shrink_likelihood": shrinkage.shrink(k, n, method="likelihood"),
        "kish_n": shrinkage.kish_n(units.weight),
        "cramers_v": association.cramers_v(counts),
        "clustered_v": association.clustered_v(side, kind, units),
        "ordered": ordered_trend.ordered_rates(k, n),
        "clustered_ordered": ordered_trend.clustered_ordered_rates(right, kind, 3, units),
        "paired_difference": paired.paired_difference(pairs[0]),
        "clustered_difference": paired.clustered_difference(right, other, units),
        "pairs_needed": paired.pairs_needed(0.05, 0.2),
        "detectable_difference": paired.detectable_paired_difference(100, 0.2),
        "detectable_gap": power.detectable_gap(40, 160, 0.85),
        "images_needed": power.images_needed(400, 0.85, gap=0.1),
        "images_per_group": power.images_per_group(0.8, 0.9),
        "null_gap": power.null_gap(5, 50, 0.8),
        "auroc": ranking.auroc(score, right),
        "aurc": selective_risk.aurc(score, right),
        "fpr_at": ranking.false_positive_rate_at(score[right], score[~right]),
        "clustered_area": ranking.clustered_area(
            score[right], score[~right], high_units=units.take(right), low_units=units.take(~right)
        ),
        "kitagawa_split": strata.kitagawa_split(hits, counts, rng=np.random.default_rng(1), replicates=200),
        "clustered_kitagawa_split": strata.clustered_kitagawa_split(right, units, side=side, kind=kind, kinds=3),
        "clustered_mantel_haenszel": strata.clustered_mantel_haenszel(right, units, side=side, stratum=kind),
        "max_gap": hypothesis_tests.max_gap(k, n, draws=2000),
        "omnibus": hypothesis_tests.omnibus(k, n, draws=2000),
        "worst_rates": worst_group.worst_rates(pairs),
        "worst_change": worst_group.worst_change(pairs),
    }
    return {name: plain(value) for name, value in found.items()}


# features


def features() -> dict[str, Any]:
    """Return figures of heads, label issues, the learning curve, the advisor's scores and repaired heads.

    Their solvers iterate, so they are compared less closely than the others.
    """
    from tlkit.analysis.feature_scores import knn_leave_one_out, log_me, probe
    from tlkit.analysis.label_issues import find_label_issues
    from tlkit.analysis.learning_curve import learning_curve
    from tlkit.features.folds import assign_folds
    from tlkit.features.heads import fit_head
    from tlkit.features.repair import GroupedFeatures, fit_candidates

    x, y = points()
    n = len(y)
    keys = [f"{row:03d}.jpg" for row in range(n)]
    noisy = y.copy()
    noisy[:12] = (noisy[:12] + 1) % 3
    heads = {}
    for kind in ("logistic", "lda", "ridge", "linear_svm", "knn"):
        head = fit_head(x, y, kind=kind, classes=CLASSES)
        heads[kind] = {
            "settings": plain(dict(head.settings)),
            "temperature": plain(head.temperature),
            "proba": plain(head.predict_proba(points(6, seed=4)[0])),
            "accuracy": plain(head.out_of_fold_accuracy),
        }
    labels = find_label_issues(x, noisy, classes=CLASSES, paths=keys, splits=["train"] * n, digests=keys, head="ridge")
    suspects = [{"row": int(one.path[:3]), "score": plain(one.score), "issue": one.issue} for one in labels.suspects]
    curve = learning_curve(x, y, classes=CLASSES, kind="ridge", keys=keys, repeats=2)
    attribute = (np.arange(n) // 7 % 2).astype(np.int64)
    part = GroupedFeatures(x, y, attribute, assign_folds(keys, y).assignments.reshape(-1)[:n])
    linear = fit_head(x, y, kind="logistic", classes=CLASSES).parameters
    scores = x @ linear.weight.T + linear.bias
    candidates = fit_candidates(part, part, classes=3, attributes=2, original=linear, scores=scores)
    return {
        "heads": heads,
        "labels": {"wrong": plain(labels.wrong), "accuracy": plain(labels.accuracy), "suspects": suspects},
        "curve": {
            "points": [{"images": plain(one.images), "accuracy": plain(one.accuracy)} for one in curve.points],
            "gain": plain(curve.gain(n)),
        },
        "scores": {
            "log_me": plain(log_me(x, y, classes=CLASSES)),
            "knn": plain(knn_leave_one_out(x, y, classes=CLASSES).accuracy),
            "probe": plain(probe(x, y, classes=CLASSES, kind="logistic").accuracy),
        },
        "repaired": {one.method.name: int((one.y_pred == y).sum()) for one in candidates},
    }


def three_backbones() -> list[tuple[Any, np.ndarray]]:
    """Return made-up measurements of three backbones, and which of 100 images each gets right."""
    from tlkit.analysis.advice import AdvisedBackbone
    from tlkit.stats.estimate import Estimate
    from tlkit.stats.intervals import wilson

    made = []
    for name, start, stop, ms in (("weak", 0, 60, 1.0), ("best", 0, 95, 30.0), ("quick", 3, 96, 7.0)):
        right = (np.arange(100) >= start) & (np.arange(100) < stop)
        latency, accuracy = Estimate(ms, 0.9 * ms, 1.2 * ms, n=20), wilson(int(right.sum()), 100)
        facts = ("hub", "apache-2.0", (224, 224), 64, 11_176_512, 1_813_561_344)
        made.append((AdvisedBackbone(name, *facts, latency, 20.0, accuracy, wilson(80, 100), -0.1), right))
    return made


# data


def splits() -> dict[str, Any]:
    """Return, as digests, which image lies in which split or fold, and the orders of epochs."""
    from tlkit.data.loading.sampler import balanced_order, buffered_order, epoch_order, part_of_epoch
    from tlkit.data.splits.hold_out import SplitPlan, hold_out
    from tlkit.features.folds import assign_folds
    from tlkit.samples import Samples

    rows = [(f"{name}/{i:03d}.png", name) for name in CLASSES for i in range(50)]
    table = pd.DataFrame(rows, columns=["path", "label"], dtype="str").assign(split="train", digest="")
    table["patient"] = [f"p{(7 * i) % 40}" for i in range(len(table))]
    table["day"] = [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(len(table))]
    samples = Samples(Path(), CLASSES, table.astype("str"))
    plans = {
        "seed_0": SplitPlan(val=0.2, test=0.2),
        "seed_1": SplitPlan(val=0.2, test=0.2, seed=1),
        "unstratified": SplitPlan(val=0.1, test=0.3, stratify=False),
        "groups": SplitPlan(val=0.2, test=0.2, group_by="patient"),
        "time": SplitPlan(val=0.2, test=0.2, time_column="day"),
        "fold_3": SplitPlan(val=0.2, folds=5, fold=3),
        "fold_of_groups": SplitPlan(folds=4, fold=1, group_by="patient"),
    }
    found: dict[str, Any] = {}
    for name, plan in plans.items():
        held = hold_out(samples, plan).table
        counts = held["split"].value_counts()
        found[name] = {
            "images": {split: int(counts.get(split, 0)) for split in ("train", "val", "test")},
            "digest": digest("\n".join(held["split"]).encode()),
        }
    y = np.arange(60) % 3
    keys = [f"{i}.jpg" for i in range(60)]
    targets = np.array([0] * 30 + [1] * 6 + [2] * 11)
    shard, offset = (np.arange(90) // 30).astype(np.int32), (np.arange(90) % 30 * 512).astype(np.int64)
    order = epoch_order(50, shuffle=True, seed=3, epoch=2)
    found["folds"] = assign_folds(keys, y, folds=5, seed=1).assignments.reshape(-1).tolist()
    found["epoch"] = order.tolist()
    found["part"] = part_of_epoch(order, batch_size=4, rank=1, processes=3).tolist()
    found["balanced"] = balanced_order(targets, seed=0, epoch=1).tolist()
    found["buffered"] = digest(buffered_order(shard, offset, buffer=20, seed=0, epoch=1))
    return found


def images() -> dict[str, Any]:
    """Return digests or means of augmented pixels, perceptual hashes, and the duplicates of made images."""
    from tlkit.data.augment.transforms import build_transform, sample_id_of
    from tlkit.data.checks.duplicates import find_duplicates
    from tlkit.data.checks.fingerprints import Fingerprints, fingerprint
    from tlkit.preprocess import Preprocess

    pixels = np.asarray(picture(0, (160, 120)))
    found: dict[str, Any] = {"sample_id": str(sample_id_of("red/000.png"))}
    for resize in ("crop", "letterbox", "squash"):
        preprocess = Preprocess(image_size=(32, 48), resize=resize)
        found[resize] = digest(build_transform(preprocess)(pixels))
        for augment in ("light", "medium", "heavy"):
            transform = build_transform(preprocess, augment=augment)
            keys = [(seed, epoch, sample) for seed in (0, 1) for epoch in (0, 1) for sample in (5, 2**64 - 1)]
            drawn = [transform(pixels, seed=s, epoch=e, sample_id=i) for s, e, i in keys]
            # scaling and warps differ in single levels between processors, so means of blocks are frozen
            found[f"{resize}_{augment}"] = block_means(drawn)
    listed = build_transform(
        Preprocess(image_size=(32, 32)), augment=[{"name": "Rotate"}, {"name": "GaussNoise", "p": 1}]
    )
    found["list"] = digest(listed(pixels, seed=0, epoch=0, sample_id=1))
    made = [picture(seed) for seed in range(12)]
    made += [made[0].resize((48, 36)), made[1].transpose(0), made[2].transpose(2), made[3].copy()]
    prints = [fingerprint(image) for image in made]
    names = [str(place) for place in range(15)] + ["3"]
    same = find_duplicates(Fingerprints.of(names, prints))
    found["hashes"] = [f"{int(one.hash):016x}" for one in prints]
    found["thumbnails"] = digest(*[one.thumbnail for one in prints])
    found["duplicates"] = {"groups": [list(group) for group in same.alike], "threshold": str(plain(same.threshold))}
    return found


# training

RECIPE = """\
recipe_version: 1
name: golden
data: {{root: {root}, batch_size: 8, num_workers: 0, image_size: 32, val: 0.25, test: 0.25}}
model: {{name: test_resnet, weights: none}}
train: {{epochs: 2, learning_rate: 0.01, device: cpu}}
report: {{enabled: false}}
"""
RUNS = {
    "frozen": "augment: none\nstrategy: frozen\nfeatures: {engine: torch}\n",
    "full": "augment: light\nstrategy: full\n",
}


def training() -> dict[str, Any]:
    """Return `metrics.csv` and the test probabilities of two tiny runs, frozen and full."""
    from PIL import Image

    import tlkit

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for place, label in enumerate(("blue", "green", "red")):
            (root / "data" / label).mkdir(parents=True)
            for number in range(16):
                noise = np.random.default_rng(100 * place + number).normal(0, 60, (40, 40, 3))
                base = np.roll([90, 110, 170], place)
                made = Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))
                made.save(root / "data" / label / f"{number:03d}.png")
        for name, more in RUNS.items():
            path = root / f"{name}.yaml"
            path.write_text(RECIPE.format(root=root / "data") + more, encoding="utf-8")
            run = tlkit.fit(path, {"name": name}, runs_dir=root / "runs")
            history = run.history.select_dtypes("number")
            predictions = run.predictions("test")
            found[name] = {
                "metrics": {column: plain(values.to_numpy()) for column, values in history.items()},
                "proba": plain(np.asarray(predictions.proba, dtype=np.float64).round(7)),
                "y_true": predictions.y_true.tolist(),
            }
    return found


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "evaluation": evaluation,
    "audit": audit,
    "explain": explain,
    "compare": compare,
    "slices": slices,
    "gates": gates,
    "statistics": statistics,
    "features": features,
    "splits": splits,
    "images": images,
    "training": training,
}


def write(name: str) -> Path:
    """Write one case, one top-level value a line, and return its file."""
    values = CASES[name]()
    lines = [f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in values.items()]
    path = HERE / f"{name}.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return path


def main() -> None:
    """Write the golden files that are named, or all."""
    for name in sys.argv[1:] or CASES:
        path = write(name)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
