"""Two detectors on the same images: paired differences of average precision and recall, gates, and slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from messages import saying

from tlkit.analysis import find_task_slices
from tlkit.audit.detection_audit import audit_detection
from tlkit.audit.options import AuditOptions
from tlkit.audit.task_comparison import TaskComparison, compare_task_models
from tlkit.box_labels import BoxLabel
from tlkit.errors import PredictionsError, RecipeError
from tlkit.evaluation.detection import evaluate_detection
from tlkit.evaluation.metric_comparison import compare_metric
from tlkit.evaluation.task_figures import figure_of
from tlkit.predictions import DetectionPredictions
from tlkit.runs.gate_run import gate
from tlkit.stats.box_matching import average_precisions
from tlkit.stats.box_measures import MatchedBoxes, objects_of_images, precision_influence
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.measured import paired_spread
from tlkit.stats.task_measures import figures_of, measure_task

CATEGORIES = ("cat", "dog", "ox")
FIGURES = (*("average_precision", "average_precision_50", "average_precision_75", "recall"), "recall:ox")


def pair(
    seed: int, n: int = 80, *, gain: float = 0.0, dark: float = 0.0, scenes: int = 0
) -> list[DetectionPredictions]:
    """Return two detectors of the same objects; the second misses fewer by `gain`, both more in the dark."""
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, scenes or n, n)
    light = rng.choice(["day", "night"], n)
    ease = rng.uniform(0.5, 0.9, scenes or n)[scene] - dark * (light == "night")
    truth = []
    for _ in range(n):
        boxes = [
            (CATEGORIES[rng.integers(3)], *rng.uniform(0, 200, 2), *rng.uniform(20, 120, 2))
            for _ in range(rng.integers(0, 5))
        ]
        truth.append([BoxLabel(*box, crowd=rng.random() < 0.05) for box in boxes])
    tables = []
    for better in (0.0, gain):
        found = []
        for row, boxes in enumerate(truth):
            here = []
            for one in boxes:
                if rng.random() < ease[row] + better:
                    box = np.array(one[1:5]) + rng.normal(0, 0.05, 4) * one.width
                    called = CATEGORIES.index(one.name) if rng.random() < 0.9 else int(rng.integers(3))
                    here.append((called, np.clip(box, 1, None).tolist(), float(rng.beta(4, 2))))
            for _ in range(rng.poisson(0.5)):
                box = [*rng.uniform(0, 200, 2), *rng.uniform(20, 120, 2)]
                here.append((int(rng.integers(3)), box, float(rng.beta(2, 4))))
            found.append(here)
        tables.append(
            DetectionPredictions.build(
                categories=CATEGORIES,
                path=[f"{row}.png" for row in range(n)],
                truth=truth,
                found=found,
                groups=pd.DataFrame({"light": light, "scene": scene.astype(str)}),
            )
        )
    return tables


def area(boxes: MatchedBoxes, weight: np.ndarray, category: int, overlap: int) -> float:
    """Return the area under the interpolated precision, prediction by prediction."""
    total = sum(
        weight[image]
        for image, own, crowd in zip(boxes.truth.image, boxes.truth.category, boxes.truth.crowd, strict=True)
        if own == category and not crowd
    )
    kept, match = boxes.matches.kept, boxes.matches.match[overlap]
    rows = [row for row in range(len(kept)) if boxes.found.category[kept[row]] == category]
    rows.sort(key=lambda row: -boxes.found.value[kept[row]])
    right = wrong = 0.0
    precisions, gains = [], []
    for row in rows:
        own = weight[boxes.found.image[kept[row]]]
        is_right = match[row] >= 0 and not boxes.truth.crowd[match[row]]
        right += own * is_right
        wrong += own * (match[row] < 0)
        precisions.append(right / max(right + wrong, 1e-300))
        gains.append(own * is_right)
    return sum(gain * max(precisions[place:]) for place, gain in enumerate(gains)) / total


def test_values_are_those_of_the_evaluation_and_the_influence_is_the_derivative_of_the_area():
    table, _ = pair(0)
    boxes, found = MatchedBoxes.of(table), evaluate_detection(table, replicates=10)
    assert list(figures_of(table)) == list(FIGURES[:4])
    for name in FIGURES:
        measured = measure_task(boxes, name)
        assert measured.value == pytest.approx(figure_of(found, name).value, abs=1e-12)
        assert measured.influence.mean() == pytest.approx(0, abs=1e-10)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(table))
    for category, overlap in ((0, 0), (2, 5), (1, 9)):
        influence = precision_influence(boxes, weight, category=category, overlap=overlap)
        for image in range(0, 80, 7):
            step = np.zeros(len(weight))
            step[image] = 1e-7
            ends = [area(boxes, weight + sign * step, category, overlap) for sign in (1, -1)]
            slope = (ends[0] - ends[1]) / 2e-7 * weight.sum()
            assert influence[image] == pytest.approx(slope, rel=1e-4, abs=1e-5)
        coco = average_precisions(boxes, boxes.matches, weight[None])[0, category, overlap]
        assert area(boxes, weight, category, overlap) == pytest.approx(coco, abs=0.02)
    weighted = evaluate_detection(
        replace(table, images=replace(table.images, groups=pd.DataFrame({"w": weight.astype(str)}))),
        weights="w",
        replicates=10,
    )
    units = Units(weight, np.arange(len(weight)))
    for name in FIGURES:
        assert measure_task(boxes, name, units).value == pytest.approx(figure_of(weighted, name).value, abs=1e-9)


def test_standard_error_of_a_difference_is_near_that_of_a_paired_bootstrap():
    tables = [MatchedBoxes.of(one) for one in pair(3, 300, gain=0.05, scenes=60)]
    scene = tables[0].groups["scene"].astype(int).to_numpy()
    clusters = Units(np.ones(300), np.unique(scene, return_inverse=True)[1])
    rng = np.random.default_rng(0)
    for units in (None, clusters):
        unit = np.arange(300) if units is None else units.unit
        many = unit.max() + 1
        drawn = rng.multinomial(many, np.full(many, 1 / many), size=300)[:, unit].astype(float)
        means = [average_precisions(one, one.matches, drawn).mean(axis=(1, 2)) for one in tables]
        spread = paired_spread(*(measure_task(one, "average_precision", units) for one in tables), units)
        assert np.sqrt(spread.variance) == pytest.approx((means[1] - means[0]).std(ddof=1), rel=0.15)


def test_some_of_the_images_have_the_figures_of_a_table_of_them_alone():
    table, _ = pair(5)
    rows = np.flatnonzero(table.groups["light"].to_numpy() == "night")[::-1]
    taken, alone = MatchedBoxes.of(table).take(rows), MatchedBoxes.of(table.take(rows))
    assert taken.path.tolist() == [table.path[row] for row in rows]
    assert (taken.matches.match >= 0).sum() == (alone.matches.match >= 0).sum() > 0
    for name in FIGURES:
        assert measure_task(taken, name).value == pytest.approx(measure_task(alone, name).value, abs=1e-12)
    whole = objects_of_images(MatchedBoxes.of(table))
    for part, all_images in zip(objects_of_images(taken), whole, strict=True):
        assert part.tolist() == all_images[rows].tolist()


def test_a_better_detector_is_better_by_the_main_figure_and_in_the_groups():
    one, two = pair(1, 400, gain=0.25)
    found = compare_task_models(one, two, AuditOptions().with_overrides(by=["light"]), names=("old", "new"))
    assert (found.task, found.main.figure, found.main.change) == ("detection", "average_precision", "better")
    figures = [evaluate_detection(table, replicates=10).average_precision.value for table in (one, two)]
    assert found.main.difference.value == pytest.approx(figures[1] - figures[0])
    assert {row.figure for row in found.rows if row.by == "(class)"} == {f"average_precision:{c}" for c in CATEGORIES}
    night = next(row for row in found.rows if row.name == "night")
    rows = one.groups["light"].to_numpy() == "night"
    own = [evaluate_detection(table.take(rows), replicates=10).average_precision.value for table in (one, two)]
    assert (night.first, night.second) == pytest.approx(own)
    assert night.change == "better"
    assert TaskComparison.from_dict(found.to_dict()) == found
    assert found.tables()[0].rows[0][2] == "AP"
    many = compare_metric({"a": one, "b": two, "c": one}, "average_precision:cat")
    assert [change.change for change in many.changes] == ["better", "not distinguishable", "worse"]
    recall = compare_task_models(one, two, AuditOptions(), metric="recall")
    assert recall.main.change == "better"


def test_equally_good_detectors_are_rarely_called_different():
    tested = [compare_task_models(*pair(seed, 60), AuditOptions(), metric="average_precision") for seed in range(60)]
    called = np.mean([one.main.change != "not distinguishable" for one in tested])
    assert called <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 60)


@pytest.mark.series
@pytest.mark.parametrize(("n", "scenes"), [(60, 0), (200, 0), (200, 40)])
def test_the_level_of_comparisons_holds(n, scenes):
    options = AuditOptions().with_overrides(cluster_by="scene" if scenes else None)
    tables = [pair(seed, n, scenes=scenes) for seed in range(1000, 1400)]
    for metric in ("average_precision", "average_precision_50", "recall"):
        found = [compare_task_models(*tables_of_seed, options, metric=metric).main for tables_of_seed in tables]
        called = np.mean([one.change != "not distinguishable" for one in found])
        assert called <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(tables)), (metric, called)


def test_a_class_in_one_image_has_no_test():
    one, two = pair(2, 40, gain=0.2)
    rows = np.flatnonzero(np.bincount(one.truth.image[one.truth.category == 1], minlength=40) == 0)
    (only,) = np.flatnonzero(np.bincount(one.truth.image[one.truth.category == 1], minlength=40) > 0)[:1]
    kept = np.sort([*rows, only])
    found = compare_task_models(one.take(kept), two.take(kept), AuditOptions())
    dog = next(row for row in found.rows if row.name == "dog")
    assert dog.p is None
    assert "one image" in dog.difference.note
    nothing = compare_task_models(one.take(rows), two.take(rows), AuditOptions())
    assert next(row for row in nothing.rows if row.name == "dog").difference.value is None


def test_models_are_matched_by_names_of_categories_and_disagreement_is_named():
    one, two = pair(4, 60, gain=0.2)
    turned = two.with_categories(("ox", "cat", "dog"), (2, 0, 1))
    options = AuditOptions()
    assert compare_task_models(one, turned, options).main == compare_task_models(one, two, options).main
    moved = replace(two, truth=replace(two.truth, box=two.truth.box + 1.0))
    with pytest.raises(PredictionsError, match=saying("disagree about the truth", "true boxes").pattern):
        compare_task_models(one, moved, options)
    with pytest.raises(PredictionsError, match=saying("categories", "ox").pattern):
        compare_task_models(one, replace(two, categories=("cat", "dog", "cow")), options)
    with pytest.raises(PredictionsError, match=saying("average_precision:cow", "no class 'cow'").pattern):
        compare_task_models(one, two, options, metric="average_precision:cow")


def test_a_group_column_called_image_is_the_users_own():
    table, _ = pair(10, 200, scenes=20)
    renamed = replace(table, images=replace(table.images, groups=table.groups.rename(columns={"scene": "image"})))
    options = AuditOptions().with_overrides(by=["light"])
    by_scene = audit_detection(table, replace(options, cluster_by="scene")).overall[0].value
    assert audit_detection(renamed, replace(options, cluster_by="image")).overall[0].value == by_scene
    alone = audit_detection(renamed, options)
    assert alone.overall[0].value == audit_detection(table, options).overall[0].value != by_scene
    assert audit_detection(renamed, alone.settings).overall == alone.overall
    assert audit_detection(renamed, AuditOptions().with_overrides(by=["image"], max_values=40)).group_tables


def test_average_precision_of_one_cluster_has_no_interval_and_weights_count_in_it(tmp_path):
    table, _ = pair(11, 30)
    all_found = [
        [(table.categories.index(one.name), [*one[1:5]], 0.9) for one in held]
        for held in ([BoxLabel("cat", 5, 5, 40, 40)],) * 30
    ]
    perfect = DetectionPredictions.build(
        categories=CATEGORIES,
        path=table.path,
        truth=[[BoxLabel("cat", 5, 5, 40, 40)]] * 30,
        found=all_found,
        groups=pd.DataFrame({"one": ["a"] * 30, "two": ["a", "b"] * 15, "w": ["1000"] + ["0.001"] * 29}),
    )
    alone = evaluate_detection(perfect, cluster_by="one", replicates=10).average_precision
    assert (alone.value, alone.low, alone.high) == (1.0, None, None)
    assert "cluster" in alone.note
    for given in ({"cluster_by": "two"}, {"weights": "w"}):
        found = evaluate_detection(perfect, **given, replicates=10)
        assert found.average_precision.low == pytest.approx(found.recall.low)
        assert found.recall.low < 0.5
    assert evaluate_detection(perfect, replicates=10).average_precision.low > 0.85


def test_true_boxes_that_differ_by_rounding_alone_are_the_same():
    found = [[(0, [10.0, 10.0, 5.0, 5.0], 0.9)]] * 3
    tables = [
        DetectionPredictions.build(
            categories=["cat"],
            path=["a", "b", "c"],
            truth=[[BoxLabel("cat", left, top, 5, 5) for left, top in places]] * 3,
            found=found,
        )
        for places in (((10.005, 50), (10.005, 10)), ((10.0049, 50), (10.0051, 10)), ((10.0049, 50), (10.0051, 11)))
    ]
    assert compare_task_models(tables[0], tables[1], AuditOptions()).images == 3
    with pytest.raises(PredictionsError, match="true boxes"):
        compare_task_models(tables[0], tables[2], AuditOptions())


@pytest.fixture
def judge(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def judged(predictions, text, **options):
        (tmp_path / "gates.yaml").write_text(f"gates_version: 1\n{text}\n")
        return gate(predictions, "gates.yaml", options=AuditOptions().with_overrides(**options))

    return judged


def test_gates_of_recall_have_the_verdicts_of_the_audit(judge):
    _, table = pair(6, 400, dark=0.4)
    report = judge(table, "tolerances:\n  - {by: light, metric: recall, tolerance: 0.1}")
    options = AuditOptions().with_overrides(by=["light"], tolerance=0.1)
    audited = [
        audit_detection(table, replace(options, positive=name)).group_table("light", metric="recall", class_name=name)
        for name in CATEGORIES
    ]
    values = {(row.rate, row.group): (row.value.value, row.n) for row in report.rows}
    for found in audited:
        for row in found.rows:
            if row.verdict is not None:
                assert values[(found.rate_name, row.name)] == (pytest.approx(row.difference.value), row.rate.n)
    assert (report.verdict, report.exit_code) == ("FAIL", 1)
    limits = judge(table, "limits:\n  - {by: object_size, metric: recall, class_name: cat, at_least: 0.2}")
    assert [row.group for row in limits.rows] == ["small", "medium", "large"]
    audit = audit_detection(table, AuditOptions().with_overrides(by=["object_size"]))
    again = judge(
        table, "limits:\n  - {by: object_size, metric: recall, at_least: 0.01}", cluster_by=audit.settings.cluster_by
    )
    assert {row.verdict for row in again.rows if row.group == "medium"} == {"PASS"}


def test_no_worse_is_about_average_precision(judge, tmp_path):
    one, two = pair(7, 400, gain=0.25)
    one.to_parquet(tmp_path / "old.parquet")
    two.to_parquet(tmp_path / "new.parquet")
    assert judge(two, "no_worse_than: {baseline: old.parquet, by: [light], margin: 0.02}").verdict == "PASS"
    worse = judge(one, "no_worse_than: {baseline: new.parquet, by: [light], margin: 0.02}")
    assert (worse.verdict, worse.rows[0].rate) == ("FAIL", "AP")
    by_recall = judge(two, "no_worse_than: {baseline: old.parquet, metric: recall, margin: 0.02}")
    assert (by_recall.verdict, by_recall.rows[0].rate) == ("PASS", "recall")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tolerances:\n  - {by: light, tolerance: 0.1}", ("gates.yaml:3", "accuracy", "recall")),
        ("limits:\n  - {by: light, metric: recall, class_name: cow, at_least: 0.5}", ("gates.yaml:3", "cow", "cat")),
    ],
)
def test_gates_that_boxes_do_not_have_are_refused_with_their_line(judge, text, words):
    with pytest.raises((RecipeError, PredictionsError), match=saying(*words).pattern):
        judge(pair(0)[0], text)


def test_a_slice_with_more_missed_objects_is_confirmed():
    table, _ = pair(8, 700, dark=0.4)
    found = find_task_slices(table, ["light"])
    assert [one.name for one in found.confirmed] == ["light is night"]
    missed, objects = objects_of_images(MatchedBoxes.of(table))
    assert found.images == int((objects > 0).sum())
    held = objects > 0
    assert found.overall.value == pytest.approx((1 - missed[held] / objects[held]).mean())
    calm, _ = pair(9, 700)
    assert find_task_slices(calm, ["light"]).confirmed == ()
