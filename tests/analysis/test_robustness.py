from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from command import invoke
from messages import saying
from run_fixtures import day_and_night, working_in, write_recipe
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

import tlkit
from tlkit.analysis.corruption_figures import corruption_results, difference_of_changes
from tlkit.audit.groups.group_columns import columns_of
from tlkit.audit.options import AuditOptions
from tlkit.data.loading import dataset
from tlkit.errors import TlkitError
from tlkit.evaluation.clustered_figures import units_of
from tlkit.evaluation.robustness_report import RobustnessReport
from tlkit.predictions import Predictions
from tlkit.render.plots import plot_robustness
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import newcombe

NAMES = ["jpeg", "darkness"]
LOSS = {"jpeg": (0, 0.02, 0.05, 0.2, 0.4), "darkness": (0, 0, 0, 0.01, 0.02)}


@pytest.fixture(scope="module")
def made():
    """Clean predictions of 300 images, right at 90 %, and corrupted ones of which more and more are wrong."""
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 3, 300)
    clean = np.where(rng.random(300) < 0.9, y_true, (y_true + 1) % 3)
    light = np.where(np.arange(300) % 3 == 0, "night", "day")
    camera = np.array(["old"] * 10 + ["new"] * 290)
    predictions = Predictions.build(
        classes=["a", "b", "c"],
        path=[f"{i}.png" for i in range(300)],
        y_true=y_true,
        y_pred=clean,
        groups=pd.DataFrame({"light": light, "camera": camera, "burst": (np.arange(300) // 3).astype(str)}),
    )
    extra = np.where(light == "night", 1.5, 0.75)
    corrupted = {
        name: np.stack([np.where(rng.random(300) < share * extra, (clean + 1) % 3, clean) for share in LOSS[name]])
        for name in NAMES
    }
    return predictions, corrupted


def results(made, **given):
    predictions, corrupted = made
    options = AuditOptions(columns=columns_of(["light", "camera"])).with_overrides(min_group_size=20)
    return corruption_results(
        predictions, corrupted, **{"units": None, "options": options, "group_severity": 5} | given
    )


def test_every_loss_is_tested_and_corrected_as_by_statsmodels(made):
    predictions, corrupted = made
    p = []
    for name in NAMES:
        for codes in corrupted[name]:
            one, two = predictions.correct, codes == predictions.y_true
            table = [[(one & two).sum(), (one & ~two).sum()], [(~one & two).sum(), (~one & ~two).sum()]]
            p.append(mcnemar(table, exact=True).pvalue if table[0][1] + table[1][0] else np.nan)
    tested = ~np.isnan(p)
    expected = np.full(len(p), np.nan)
    expected[tested] = multipletests(np.array(p)[tested], method="holm")[1]
    found = [at.p_holm for one in results(made) for at in one.severities]
    assert [np.nan if one is None else one for one in found] == pytest.approx(expected, nan_ok=True)


def test_figures_are_shares_of_the_same_images(made):
    predictions, corrupted = made
    for one in results(made):
        for at, codes in zip(one.severities, corrupted[one.name], strict=True):
            accuracy = (codes == predictions.y_true).mean()
            assert at.accuracy.value == pytest.approx(accuracy)
            assert at.change.value == pytest.approx(accuracy - predictions.correct.mean())
            assert at.change.low <= at.change.value <= at.change.high
            assert at.consistency.value == pytest.approx((codes == predictions.y_pred).mean())
        mean = np.mean([at.change.value for at in one.severities])
        assert one.mean_change.value == pytest.approx(mean)


def test_first_certain_loss_is_the_lowest_severity_and_small_changes_are_no_loss(made):
    jpeg, darkness = results(made)
    certain = [at.severity for at in jpeg.severities if at.certain_loss]
    assert jpeg.verdict == "LOSS"
    assert jpeg.first_loss == min(certain)
    dark = [at.severity for at in darkness.severities if at.certain_loss]
    assert darkness.first_loss == min(dark, default=None)
    assert len(dark) < len(certain) and darkness.mean_change.value > jpeg.mean_change.value
    assert [at.p for at in darkness.severities][:3] == [None] * 3


def test_too_few_images_are_not_enough_data(made):
    predictions, corrupted = made
    few = Predictions.build(
        classes=predictions.classes,
        path=predictions.path[:25],
        y_true=predictions.y_true[:25],
        y_pred=predictions.y_pred[:25],
    )
    found = corruption_results(
        few, {"darkness": corrupted["darkness"][:, :25]}, units=None, options=AuditOptions(), group_severity=3
    )
    assert found[0].verdict == "NOT ENOUGH DATA"
    assert found[0].worst is None


def test_worst_group_is_the_lowest_of_those_that_are_large_enough(made):
    predictions, corrupted = made
    table = predictions.groups.assign(right=corrupted["jpeg"][4] == predictions.y_true, clean=predictions.correct)
    worst = results(made)[0].worst
    sizes = {}
    for by in ("light", "camera", ["light", "camera"]):
        means, counts = table.groupby(by).right.mean(), table.groupby(by).right.size()
        sizes |= {key if isinstance(key, str) else " × ".join(key): value for key, value in means[counts >= 20].items()}
    assert worst.group == min(sizes, key=sizes.get)
    assert worst.accuracy.value == pytest.approx(min(sizes.values()))
    assert worst.groups == len(sizes)
    inside = table.light.eq("night") & (table.camera.eq("new") if "×" in worst.group else True)
    change, rest = (part.right.mean() - part.clean.mean() for part in (table[inside], table[~inside]))
    assert worst.change.value == pytest.approx(change)
    assert worst.extra.value == pytest.approx(change - rest)


def test_difference_of_changes_is_newcombes_for_two_rates():
    one, two = Estimate(0.8, 0.692, 0.877, n=70), Estimate(0.6, 0.490, 0.700, n=80)
    expected = newcombe(56, 70, 48, 80)
    found = difference_of_changes(one, two)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.001)


def test_clusters_widen_the_intervals(made):
    predictions, corrupted = made
    burst = units_of(predictions.groups, "burst")
    same = {"jpeg": np.repeat(corrupted["jpeg"][:, ::3], 3, axis=1)}
    copies = Predictions.build(
        classes=predictions.classes,
        path=predictions.path,
        y_true=np.repeat(predictions.y_true[::3], 3),
        y_pred=np.repeat(predictions.y_pred[::3], 3),
    )
    options = AuditOptions()
    alone, clustered = (
        corruption_results(copies, same, units=units, options=options, group_severity=3)[0].severities[3]
        for units in (None, burst)
    )
    width, wider = (one.change.high - one.change.low for one in (alone, clustered))
    assert wider == pytest.approx(width * 3**0.5, rel=0.15)
    assert clustered.p > alone.p


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("robust")
    with working_in(folder):
        yield tlkit.fit(write_recipe(folder, groups={"light": day_and_night}), runs_dir=folder / "runs")


def test_clean_images_are_those_of_the_run_and_each_is_decoded_once(run, monkeypatch):
    opened, count = dataset.open_rgb, []
    monkeypatch.setattr(dataset, "open_rgb", lambda *given, **more: count.append(1) or opened(*given, **more))
    report = tlkit.robustness(run, NAMES, device="cpu")
    stored = run.predictions()
    assert len(count) == report.n == len(stored)
    assert report.clean.value == stored.correct.mean()
    assert report.columns == ("light",)
    assert RobustnessReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert [table.name for table in report.tables()] == ["robustness", "robustness_groups", "robustness_severities"]
    ax = plot_robustness(report)
    assert [label.get_text().split("\n")[0] for label in ax.get_yticklabels()] == NAMES


def test_result_depends_on_the_seed_and_not_on_batches(run):
    noisy = ["gaussian_noise", "impulse_noise"]
    one, two, other = (
        tlkit.robustness(run, noisy, device="cpu", batch_size=size, seed=seed)
        for size, seed in ((32, 0), (3, 0), (32, 1))
    )
    assert one == two
    assert one.seed != other.seed
    assert [r.severities for r in one.corruptions] == [
        r.severities for r in tlkit.robustness(run, noisy[::-1], device="cpu").corruptions[::-1]
    ]


def test_wrong_arguments_are_refused_with_what_there_is(run):
    for given, words in [
        ({"corruptions": ["jpg"]}, ["'jpg'", "jpeg"]),
        ({"group_severity": 6}, ["6", "1, 2, 3, 4 or 5"]),
        ({"corruptions": NAMES, "by": ["camera"]}, ["'camera'", "light"]),
    ]:
        with pytest.raises(TlkitError) as caught:
            tlkit.robustness(run, **given)
        assert str(caught.value) == saying(*words)


def test_command_line_prints_tables_json_and_a_plot(run, tmp_path):
    plot = tmp_path / "plot.svg"
    result = invoke(
        ["robustness", str(run.path), "--corruption", "jpeg", "--json", "--plot", str(plot)], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout)["corruptions"][0]["name"] == "jpeg"
    assert plot.read_text().startswith("<svg")
