from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tlkit.analysis.slices_of_tasks import find_task_slices
from tlkit.audit.slices.split_half import search_half
from tlkit.audit.slices.task_slices import TaskSliceReport, image_losses
from tlkit.predictions import MultilabelPredictions, NumberPredictions


def numbers(seed: int, *, factor: float, n: int = 600) -> NumberPredictions:
    rng = np.random.default_rng(seed)
    groups = pd.DataFrame(
        {
            "light": rng.choice(["day", "night", "dusk"], n),
            "camera": rng.choice(["x", "y"], n),
            "size": rng.normal(0, 1, n).round(4).astype(str),
        }
    )
    error = rng.normal(0, 2, n) * np.where(groups["light"] == "night", factor, 1)
    return NumberPredictions.build(path=np.arange(n).astype(str), y_true=np.zeros(n), y_pred=error, groups=groups)


def test_a_planted_slice_of_larger_errors_is_confirmed_by_welchs_kind_of_test_on_the_other_half():
    table = numbers(0, factor=2.5)
    found = find_task_slices(table)
    first = found.confirmed[0]
    assert first.name == "light is night"
    tested = ~search_half(table.path.tolist(), np.arange(len(table)))
    inside = table.groups["light"].to_numpy() == "night"
    losses = np.abs(table.errors)
    ours, others = losses[tested & inside], losses[tested & ~inside]
    assert first.tested.value == pytest.approx(ours.mean())
    assert first.difference.value == pytest.approx(ours.mean() - others.mean())
    expected = stats.ttest_ind(ours, others, equal_var=False).pvalue
    assert first.p < 1e-4
    assert expected < 1e-4
    assert TaskSliceReport.from_dict(found.to_dict()) == found
    assert found.tables()[0].rows[0][0] == "light is night"


def test_slices_of_equal_errors_are_rarely_confirmed():
    found = [bool(find_task_slices(numbers(seed, factor=1)).confirmed) for seed in range(30)]
    assert np.mean(found) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 30)


def test_the_error_of_an_image_with_several_labels_is_the_share_of_wrong_known_ones():
    table = MultilabelPredictions.build(
        labels=["a", "b"], path=["x", "y"], y_true=[[1, -1], [0, 1]], y_pred=[[0, 1], [1, 1]]
    )
    name, losses = image_losses(table)
    assert (name, losses.tolist()) == ("share of wrong labels", [1.0, 0.5])


def test_slices_of_labels_are_found():
    rng = np.random.default_rng(3)
    n = 500
    light, truth = rng.choice(["day", "night"], n), rng.random((n, 3)) < 0.4
    wrong = rng.random((n, 3)) < np.where(light == "night", 0.4, 0.1)[:, None]
    table = MultilabelPredictions.build(
        labels=["a", "b", "c"],
        path=np.arange(n).astype(str),
        y_true=truth.astype(int),
        y_pred=(truth ^ wrong).astype(int),
        groups=pd.DataFrame({"light": light}),
    )
    found = find_task_slices(table)
    assert [one.name for one in found.confirmed] == ["light is night"]
    assert found.overall.value == pytest.approx(wrong.mean())


def test_the_mean_share_of_wrong_labels_has_an_interval_of_at_most_1():
    rng = np.random.default_rng(0)
    n = 60
    right = rng.random((n, 2)) < 0.02
    table = MultilabelPredictions.build(
        labels=["a", "b"],
        path=np.arange(n).astype(str),
        y_true=np.ones((n, 2), dtype=int),
        y_pred=right.astype(int),
        groups=pd.DataFrame({"light": rng.choice(["day", "night"], n)}),
    )
    found = find_task_slices(table)
    assert found.overall.value == pytest.approx(1 - right.mean())
    assert 0 < found.overall.low < found.overall.value < found.overall.high <= 1
    for one in found.slices:
        assert one.searched.high is None or one.searched.high <= 1
        assert one.tested.high is None or one.tested.high <= 1
