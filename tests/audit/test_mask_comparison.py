"""Two models of masks on the same images: paired differences of IoU and Dice, gates, and slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from messages import saying
from scipy import stats

from tlkit.analysis import find_task_slices
from tlkit.audit.gates.gate_verdicts import limit_p
from tlkit.audit.options import AuditOptions
from tlkit.audit.task_comparison import TaskComparison, compare_task_models
from tlkit.errors import PredictionsError, RecipeError
from tlkit.evaluation import evaluate_masks
from tlkit.evaluation.metric_comparison import compare_metric
from tlkit.evaluation.task_figures import figure_of
from tlkit.predictions import MaskPredictions, NumberPredictions
from tlkit.runs.gate_run import gate
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.task_measures import figures_of, measure_task

CLASSES = ("back", "cat", "dog")
FIGURES = ("mean_iou", "mean_dice", "image_iou", "pixel_accuracy", "iou:cat", "dice:dog")


def pair(seed: int, n: int = 80, *, gain: float = 0.0, dark: float = 0.0, scenes: int = 0):
    """Return true masks and those of two models; the second errs in fewer pixels by `gain`, both more in the dark."""
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, scenes or n, n)
    light = rng.choice(["day", "night"], n)
    true = rng.integers(0, 3, (n, 10, 10))
    true[rng.random(n) < 0.4] %= 2  # some images show no dog
    true[:, 0, 0] = -1
    level = (rng.uniform(0.1, 0.5, scenes)[scene] if scenes else rng.uniform(0.1, 0.5, n)) + dark * (light == "night")
    other = rng.integers(0, 3, true.shape)
    errs = [rng.random(true.shape) < (level * (1 - better))[:, None, None] for better in (0.0, gain)]
    groups = pd.DataFrame({"light": light, "scene": scene.astype(str)})
    called = [np.where(wrong | (true < 0), other, true) for wrong in errs]
    return true, called, groups


def tables(true, called, groups):
    path = [f"{row}.png" for row in range(len(true))]
    return [
        MaskPredictions.build(classes=CLASSES, path=path, masks=zip(true, one, strict=True), groups=groups)
        for one in called
    ]


def value_of(true, called, name, kept):
    """Return a figure by the pixels themselves, over the images `kept`."""
    known = true[kept] >= 0

    def ratio(place, true, called):
        truly, said = true == place, called == place
        both = (truly & said).sum()
        return (both / (truly | said).sum(), 2 * both / (truly.sum() + said.sum())) if (truly | said).any() else None

    a, b = true[kept][known], called[kept][known]
    if name == "pixel_accuracy":
        return (a == b).mean()
    if name == "image_iou":
        found = []
        for one, other, there in zip(true[kept], called[kept], known, strict=True):
            own = [ratio(place, one[there], other[there]) for place in range(3)]
            found.append(np.mean([each[0] for each in own if each is not None]))
        return np.mean(found)
    kind, _, label = name.partition(":")
    which = int(kind.endswith("dice"))
    if label:
        return ratio(CLASSES.index(label), a, b)[which]
    return np.mean([each[which] for place in range(3) if (each := ratio(place, a, b)) is not None])


def test_every_figure_is_that_of_the_pixels_and_of_the_evaluation():
    true, called, groups = pair(0)
    table, _ = tables(true, called, groups)
    assert list(figures_of(table)) == ["mean_iou", "mean_dice", "image_iou", "pixel_accuracy"]
    found = evaluate_masks(table)
    for name in FIGURES:
        measured = measure_task(table, name)
        assert measured.value == pytest.approx(value_of(true, called[0], name, np.arange(len(true))), abs=1e-12)
        assert measured.value == pytest.approx(figure_of(found, name).value, abs=1e-12)
        assert measured.influence.mean() == pytest.approx(0, abs=1e-12)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(true))
    units = Units(weight=weight, unit=np.arange(len(true)))
    weighted = evaluate_masks(table.with_groups(pd.DataFrame({"path": table.path, "w": weight})), weights="w")
    for name in FIGURES:
        assert measure_task(table, name, units).value == pytest.approx(figure_of(weighted, name).value, abs=1e-12)


@pytest.mark.parametrize("name", FIGURES)
def test_the_variance_of_a_difference_is_that_of_the_jackknife_over_the_images(name):
    """Efron & Stein 1981: (n − 1)/n Σ (θ₋ᵢ − θ̄)²."""
    true, called, groups = pair(1, n=60, gain=0.1)
    every = np.arange(len(true))
    without = [np.delete(every, row) for row in every]
    left_out = np.array(
        [value_of(true, called[1], name, one) - value_of(true, called[0], name, one) for one in without]
    )
    error = np.sqrt((len(every) - 1) / len(every) * ((left_out - left_out.mean()) ** 2).sum())
    found = compare_task_models(*tables(true, called, groups), AuditOptions(), metric=name).main
    half = (found.difference.high - found.difference.low) / 2
    assert found.difference.value == pytest.approx(found.second - found.first)
    assert half == pytest.approx(error * stats.t.ppf(0.975, len(every) - 1), rel=0.12)


def test_the_mean_iou_of_images_is_compared_by_the_paired_t_test():
    """With the degrees of freedom that the kurtosis of the differences leaves."""
    one, two = tables(*pair(2, gain=0.1))
    means = [np.nanmean(table.image_iou, axis=1) for table in (one, two)]
    theirs, n = stats.ttest_rel(means[1], means[0]), len(one)
    df = 2 / (2 / (n - 1) + max(stats.kurtosis(means[1] - means[0]), 0) / n)
    found = compare_task_models(one, two, AuditOptions(), metric="image_iou").main
    assert found.p == pytest.approx(2 * stats.t.sf(abs(theirs.statistic), df), rel=1e-6)
    half = stats.t.ppf(0.975, df) * stats.sem(means[1] - means[0])
    middle = (means[1] - means[0]).mean()
    assert (found.difference.low, found.difference.high) == (pytest.approx(middle - half), pytest.approx(middle + half))


def test_a_better_model_is_better_overall_by_class_and_group_and_the_result_is_stored():
    one, two = tables(*pair(3, n=150, gain=0.4))
    found = compare_task_models(one, two, AuditOptions().with_overrides(by=["light"]), names=("old", "new"))
    assert (found.task, found.main.figure, found.main.change) == ("segmentation", "mean_iou", "better")
    rows = {(row.by, row.name): row for row in found.rows}
    for name in CLASSES:
        assert rows["(class)", name].change == "better"
    for name in ("day", "night"):
        inside = (one.groups["light"] == name).to_numpy()
        assert rows["light", name].first == pytest.approx(evaluate_masks(one.take(inside)).mean_iou.value)
        assert rows["light", name].n == inside.sum()
    assert TaskComparison.from_dict(found.to_dict()) == found
    (table,) = found.tables()
    assert saying("new is better than old", "mIoU", "IoU of cat") == " ".join(table.notes)


def test_equal_models_are_seldom_told_apart():
    called_different = 0
    for seed in range(200):
        found = compare_task_models(*tables(*pair(seed, n=40)), AuditOptions(), metric="mean_iou")
        called_different += found.main.change != "not distinguishable"
    assert called_different <= 200 * (0.05 + 2 * np.sqrt(0.05 * 0.95 / 200))


def test_images_of_one_scene_are_one_unit():
    true, called, groups = pair(5, n=120, scenes=12)
    rng = np.random.default_rng(0)
    better = rng.uniform(0, 1, 12)[groups["scene"].astype(int)]
    called[1] = np.where(rng.random(true.shape) < better[:, None, None] * (true >= 0), true, called[0])
    widths = []
    for cluster in (None, "scene"):
        options = AuditOptions().with_overrides(cluster_by=cluster)
        found = compare_task_models(*tables(true, called, groups), options, metric="mean_iou").main
        widths.append(found.difference.high - found.difference.low)
    assert widths[1] > 1.5 * widths[0]


def test_classes_are_matched_by_name_in_any_order():
    one, two = tables(*pair(6, gain=0.2))
    order = (2, 0, 1)
    turned = two.with_classes([CLASSES[place] for place in order], order)
    assert turned.classes == ("dog", "back", "cat")
    assert evaluate_masks(turned).mean_iou.value == pytest.approx(evaluate_masks(two).mean_iou.value)
    assert np.array_equal(turned.image_iou, two.image_iou[:, order], equal_nan=True)
    assert compare_task_models(one, turned, AuditOptions()) == compare_task_models(one, two, AuditOptions())
    fewer = replace(two, classes=("back", "cat", "fox"))
    with pytest.raises(PredictionsError) as caught:
        compare_task_models(one, fewer, AuditOptions())
    assert saying("dog", "fox", "same classes") == str(caught.value)


def test_other_truth_other_tasks_and_unknown_figures_are_refused():
    true, called, groups = pair(7)
    one, two = tables(true, called, groups)
    moved = true.copy()
    moved[3, 5] = 1
    other = tables(moved, called, groups)[1]
    with pytest.raises(PredictionsError) as caught:
        compare_task_models(one, other, AuditOptions())
    assert saying("1 of 80 images", "3.png", "same true masks") == str(caught.value)
    numbers = NumberPredictions.build(path=one.path, y_true=np.zeros(80), y_pred=np.zeros(80))
    with pytest.raises(PredictionsError, match="segmentation, and second of regression"):
        compare_task_models(one, numbers, AuditOptions())
    for metric, words in (("iou:fox", ("fox", "back")), ("macro_f1", ("mean_iou", "iou:CLASS"))):
        with pytest.raises(PredictionsError) as caught:
            compare_task_models(one, two, AuditOptions(), metric=metric)
        assert saying(*words) == str(caught.value)


def test_images_that_one_model_lacks_and_void_ones_are_left_out():
    true, called, groups = pair(8, n=40)
    true[0] = -1
    one, two = tables(true, called, groups)
    found = compare_task_models(one, two.take(np.arange(38)), AuditOptions())
    assert (found.images, found.left_out, found.unlabelled) == (37, 2, 1)


def test_three_models_are_compared_pair_by_pair_and_by_a_class():
    one, two = tables(*pair(9, n=100, gain=0.4))
    found = compare_metric({"a": one, "b": two, "c": one}, "iou:cat")
    rows = {(row.first, row.second): row for row in found.changes}
    alone = compare_task_models(one, two, AuditOptions(), metric="iou:cat").main
    assert rows["a", "b"].difference.value == pytest.approx(alone.difference.value)
    assert rows["a", "c"].difference.value == 0


@pytest.fixture
def judge(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def judged(predictions, text: str, **options):
        (tmp_path / "gates.yaml").write_text(f"gates_version: 1\n{text}\n")
        return gate(predictions, "gates.yaml", options=AuditOptions().with_overrides(**options))

    return judged


def test_gates_are_about_the_iou_of_images_by_group_and_class(judge):
    table, _ = tables(*pair(10, n=160, dark=0.3))
    report = judge(
        table,
        "tolerances: [{by: light, metric: mean_iou, tolerance: 0.05}]\n"
        "limits:\n  - {by: light, metric: iou, class_name: cat, at_least: 0.5}\n"
        "  - {by: light, metric: mean_iou, at_least: 0.2}",
    )
    iou, night = table.image_iou, (table.groups["light"] == "night").to_numpy()
    rows = {(row.kind, row.rate, row.group): row for row in report.rows}
    gap = rows["tolerance", "mean IoU", "night"]
    means = np.nanmean(iou, axis=1)
    assert gap.verdict == "FAIL"
    assert gap.value.value == pytest.approx(means[night].mean() - means[~night].mean())
    low = rows["at least", "IoU of cat", "night"]
    assert (low.verdict, low.value.value) == ("FAIL", pytest.approx(iou[night, 1].mean()))
    assert low.p_holm == pytest.approx(4 * stats.ttest_1samp(iou[night, 1], 0.5, alternative="less").pvalue, rel=1e-6)
    assert rows["at least", "mean IoU", "day"].verdict == "PASS"
    every = judge(table, "limits: [{by: light, metric: iou, at_least: 0.01}]")
    assert {row.rate for row in every.rows} == {f"IoU of {name}" for name in CLASSES}


def test_the_test_of_a_limit_keeps_its_error_where_the_interval_ends_at_one():
    cut = Estimate(0.97, 0.9, 1.0, n=20)  # by Student's t 0.97 ± 0.07
    whole = Estimate(0.97, 0.9, 1.04, n=20)
    given = {"floor": False, "confidence": 0.95, "of_losses": False}
    assert limit_p(cut, 20, 0.92, **given) == pytest.approx(limit_p(whole, 20, 0.92, **given))


def test_no_worse_than_a_baseline_is_about_miou(judge, tmp_path):
    one, two = tables(*pair(11, n=120, gain=0.4))
    one.to_parquet(tmp_path / "old.parquet")
    two.to_parquet(tmp_path / "new.parquet")
    found = judge(two, "no_worse_than: {baseline: old.parquet, by: [light], margin: 0.02}")
    assert (found.verdict, {row.rate for row in found.rows}) == ("PASS", {"mIoU"})
    report = judge(one, "no_worse_than: {baseline: new.parquet, metric: 'iou:cat', margin: 0.02}")
    place = one.classes.index("cat")
    shown = np.isfinite(one.image_iou[:, place]) | np.isfinite(two.image_iou[:, place])
    assert (report.verdict, report.rows[0].n, report.images) == ("FAIL", shown.sum(), 120)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tolerances: [{by: light, metric: accuracy, tolerance: 0.1}]", ("accuracy", "mean_iou, iou")),
        ("tolerances: [{by: light, metric: mean_iou, class_name: cat, tolerance: 0.1}]", ("mean_iou", "metric: iou")),
        ("limits: [{by: light, metric: iou, at_least: 2}]", ("at_least is 2", "0 to 1")),
        ("limits: [{by: light, metric: iou, class_name: fox, at_least: 0.5}]", ("fox", "back, cat, dog")),
        ("pair_by: scene\ntolerances: [{by: light, metric: mean_iou, tolerance: 0.1}]", ("pair_by", "cluster_by")),
    ],
)
def test_gates_that_do_not_apply_are_refused_with_their_place(judge, text, words):
    with pytest.raises((PredictionsError, RecipeError)) as caught:
        judge(tables(*pair(12, scenes=40))[0], text)
    assert saying("gates.yaml", *words) == str(caught.value)


def test_slices_find_a_planted_group_with_a_larger_loss_of_iou():
    table, _ = tables(*pair(13, n=300, dark=0.3))
    found = find_task_slices(table, ["light"])
    assert (found.task, found.figure) == ("segmentation", "loss of IoU")
    assert [one.name for one in found.confirmed] == ["light is night"]
    assert found.overall.value == pytest.approx(1 - np.nanmean(table.image_iou, axis=1).mean())
    quiet = find_task_slices(tables(*pair(14, n=300))[0], ["light"])
    assert not quiet.confirmed


def rare(rng, k, n=40, groups=None):
    """Return two equally good models; the first k images alone show the third class, each found to its own share."""
    cells = []
    for _ in range(2):
        found = []
        for row in range(n):
            own = np.array([200, 150, 50 if row < k else 0])
            right = np.round(rng.beta(7, 3, 3) * own).astype(int)
            found.append(np.column_stack([0 * own, np.diag(right)]))
            found[-1][[0, 1, 2], [2, 1, 1]] += own - right
        cells.append(found)
    path = [f"{row}.png" for row in range(n)]
    return [MaskPredictions.of_cells(classes=CLASSES, path=path, cells=one, groups=groups) for one in cells]


def test_a_class_that_one_image_or_cluster_shows_leaves_means_without_interval_and_test(tmp_path):
    groups = pd.DataFrame({"light": ["day", "night"] * 20, "scene": [f"s{row // 4}" for row in range(40)]})
    one, two = rare(np.random.default_rng(0), 1, groups=groups)
    reason = "dog is shown by one image"
    for table in (one, two):
        found = evaluate_masks(table).mean_iou
        assert (found.low, found.high) == (None, None)
        assert reason in found.note
        assert found.value == pytest.approx(measure_task(table, "mean_iou").value)
    found = compare_task_models(one, two, AuditOptions().with_overrides(by=["light"]))
    rows = {(row.by, row.name, row.figure): row for row in found.rows}
    for key in (("(all)", "all images", "mean_iou"), ("light", "day", "mean_iou"), ("(class)", "dog", "iou:dog")):
        assert (rows[key].p, rows[key].difference.low, rows[key].difference.note) == (None, None, reason)
        assert rows[key].first is not None
    assert rows["light", "night", "mean_iou"].p is not None
    assert compare_metric({"a": one, "b": two}, metric="mean_iou").changes[0].p is None
    file = tmp_path / "g.yaml"
    file.write_text("gates_version: 1\nno_worse_than: {baseline: " + f"{tmp_path}/old.parquet, margin: 0.03}}\n")
    one.to_parquet(tmp_path / "old.parquet")
    (row,) = gate(two, file).rows
    assert (row.verdict, row.value.note) == ("NOT ENOUGH DATA", reason)
    four = rare(np.random.default_rng(0), 4, groups=groups)
    assert evaluate_masks(four[0]).mean_iou.low is not None
    assert "dog is shown by the images of one cluster" in evaluate_masks(four[0], cluster_by="scene").mean_iou.note
    clustered = compare_task_models(*four, AuditOptions().with_overrides(cluster_by="scene")).main
    assert (clustered.p, clustered.difference.note) == (None, "dog is shown by the images of one cluster")


@pytest.mark.parametrize("k", [2, pytest.param(3, marks=pytest.mark.series)])
def test_equal_models_are_rarely_told_apart_by_a_class_that_few_images_show(k):
    rng, rejected, held, samples = np.random.default_rng(k), 0, 0, 80
    truth = np.mean([evaluate_masks(rare(rng, k)[0]).mean_iou.value for _ in range(80)])
    for _ in range(samples):
        one, two = rare(rng, k)
        rejected += compare_task_models(one, two, AuditOptions(), metric="mean_iou").main.p < 0.05
        found = evaluate_masks(one).mean_iou
        held += found.low <= truth <= found.high
    assert rejected <= stats.binom.ppf(0.99, samples, 0.05)
    assert held >= stats.binom.ppf(0.01, samples, 0.95)


def test_the_variance_of_a_class_is_that_of_the_images_that_show_it():
    """A ratio over equal denominators is the mean of the k images that show the class."""
    one, two = rare(np.random.default_rng(5), 6)
    share = [table.sums[0][:6, 2] / 50 for table in (one, two)]
    found = compare_task_models(one, two, AuditOptions(), metric="iou:dog").main
    assert found.p == pytest.approx(stats.ttest_rel(*share).pvalue, rel=1e-6)
