"""`Advice`: ranking, paired tests, Pareto front, sentences, storage and plots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from messages import saying, says
from statsmodels.stats.contingency_tables import mcnemar as oracle_mcnemar
from statsmodels.stats.multitest import multipletests

from tlkit.analysis.advice import AdvisedBackbone, LeftOut, rank_backbones
from tlkit.analysis.advice_tables import advice_sentences
from tlkit.render.plots import plot_advice, to_svg
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson

N = 100
UNAVAILABLE = LeftOut("vit", "hub", "unavailable", "not <here>")
UNLICENSED = LeftOut("bit", "hub", "license", "cc-by-nc-4.0", ("mit", "apache-2.0"))


def backbone(name, correct, ms, **more):
    ended = {
        "weights": "hub",
        "license": "apache-2.0",
        "image_size": (224, 224),
        "width": 64,
        "parameters": 11_176_512,
        "macs": 1_813_561_344,
        "images_per_s": 20.0,
        "knn": wilson(80, N),
        "log_me": -0.1,
    } | more
    latency = Estimate(ms, 0.9 * ms, 1.2 * ms, n=20)
    return AdvisedBackbone(name=name, latency_ms=latency, probe=wilson(int(correct.sum()), N), **ended), correct


def right_on(*images):
    return np.isin(np.arange(N), np.concatenate([np.arange(start, stop) for start, stop in images]))


@pytest.fixture
def three():
    return [
        backbone("weak", right_on((0, 60)), 1.0),
        backbone("best", right_on((0, 95)), 30.0),
        backbone("quick", right_on((3, 96)), 7.0),
    ]


def advice(backbones, **more):
    return rank_backbones(backbones, classes=2, folds=5, machine="a machine", **more)


def test_ranks_by_the_probe_and_suggests_the_fastest_of_the_tied(three):
    found = advice(three)
    assert [one.name for one in found.backbones] == ["best", "quick", "weak"]
    assert [one.name for one in found.tied] == ["quick"]
    assert found.suggested.name == "quick"
    assert advice_sentences(found)[:3] == [
        saying("best", "0.950 [0.888, 0.978]", "100 images", "5 folds"),
        saying("1 other", "McNemar", "Holm"),
        saying("best, quick", "quick (7 ms)"),
    ]
    assert yaml.safe_load(found.recipe()) == {"model": {"name": "quick", "weights": "hub"}}


def test_a_significantly_best_backbone_is_suggested_however_slow(three):
    found = advice(three[:2])
    assert found.tied == () and found.suggested.name == "best"
    assert advice_sentences(found)[1] == saying("the other", "McNemar", "Holm")


def test_backbones_that_are_right_on_the_same_images_are_tied():
    found = advice([backbone("one", right_on((0, 50)), 3.0), backbone("two", right_on((0, 50)), 2.0)])
    (pair,) = found.contrasts
    assert pair.p is None and not pair.resolved
    assert found.best.name == found.suggested.name == "two"  # equally accurate, so the quicker one leads


@pytest.mark.parametrize("seed", [0, 1])
def test_p_values_are_those_of_statsmodels(seed):
    masks = np.random.default_rng(seed).random((4, N)) < np.array([[0.9], [0.85], [0.7], [0.6]])
    found = advice([backbone(str(i), mask, 1.0 + i) for i, mask in enumerate(masks)])
    expected = []
    for pair in found.contrasts:
        a, b = masks[int(pair.first)], masks[int(pair.second)]
        table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        expected.append(oracle_mcnemar(table, exact=True).pvalue)
        assert pair.difference.value == pytest.approx(a.mean() - b.mean()) and pair.difference.value >= 0
    assert [pair.p for pair in found.contrasts] == pytest.approx(expected)
    adjusted = multipletests(expected, method="holm")[1]
    assert [pair.p_holm for pair in found.contrasts] == pytest.approx(adjusted)


def test_the_pareto_front_of_accuracy_and_latency():
    masks = {"a": 60, "b": 80, "c": 70, "d": 95, "e": 95}
    ms = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.0, "e": 10.0}
    found = advice([backbone(name, right_on((0, masks[name])), ms[name]) for name in masks])
    assert [one.name for one in found.pareto] == ["a", "b", "d"]


def test_strongly_regularized_weights_get_a_note():
    tags = ["resnet50.tv2_in1k", "resnet50.a1_in1k", "resnet50.tv_in1k", "resnet50"]
    found = advice([backbone(tag, right_on((0, 90)), 1.0) for tag in tags])
    (remark,) = [sentence for sentence in advice_sentences(found) if "smoothing" in sentence]
    assert remark.startswith("resnet50.a1_in1k, resnet50.tv2_in1k: ")


def test_tables_and_notebook_view(three):
    odd = (replace(three[0][0], macs=None, weights="file:my weights.pth", image_size=(64, 32)), three[0][1])
    found = advice([odd, *three[1:]], left_out=[UNAVAILABLE, UNLICENSED])
    assert "sentences" not in found.to_dict()
    ranking, left_out = found.tables()
    assert ranking.column("backbone")[2] == "weak@file:my weights.pth"
    assert ranking.rows[2][5:7] == (None, "64x32")
    assert ranking.column("probe") == tuple(one.probe for one in found.backbones)
    assert left_out.rows == (("vit", "hub", "not <here>"), ("bit", "hub", saying("cc-by-nc-4.0", "mit, apache-2.0")))
    assert found.recipe() in ranking.notes[-1]
    page = found._repr_html_()
    assert "not &lt;here&gt;" in page and "Not distinguishable" in page
    assert says(advice_sentences(advice([odd]))[0], "weak@file:my weights.pth", "only one", "0.600")
    recipe = {"model": {"name": "weak", "weights": "file:my weights.pth"}}
    assert yaml.safe_load(advice([odd]).recipe()) == recipe


def test_plot_has_a_point_with_intervals_per_backbone_and_the_front(three):
    found = advice(three)
    ax = plot_advice(found)
    points = {(line.lines[0].get_xdata()[0], line.lines[0].get_ydata()[0]) for line in ax.containers}
    assert points == {(one.latency_ms.value, one.probe.value) for one in found.backbones}
    front = next(line for line in ax.lines if line.get_label() == "Pareto front")
    assert list(front.get_xdata()) == [1.0, 7.0, 30.0]
    assert "n = 100" in ax.get_ylabel() and "a machine" in ax.get_xlabel()
    assert to_svg(lambda: plot_advice(found)).startswith("<svg")


@pytest.mark.parametrize(
    ("ms", "low", "high"), [(23.5, 21.0, 25.5), *((ms, ms, 1.0001 * ms) for ms in (15.45, 9.995, 0.1234567, 1000.0))]
)
def test_plot_of_one_backbone_is_marked_and_has_ticks_but_no_front(three, ms, low, high):
    ax = plot_advice(advice([(replace(three[0][0], latency_ms=Estimate(ms, low, high, n=20)), three[0][1])]))
    (first, last), ticks = ax.get_xlim(), ax.get_xticks()
    assert 3 <= len(ticks) <= 8
    assert first <= min(ticks) and max(ticks) <= last
    assert ms == 23.5 or last >= 1.49 * first
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["suggested"]
