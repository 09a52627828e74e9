"""The plot of a learning curve: its points are the curve's, and it goes on only where the curve has an answer."""

from __future__ import annotations

import numpy as np
import pytest
from messages import saying

from tlkit.analysis.learning_curve import CurvePoint, LearningCurve
from tlkit.render.plots import plot_curve, to_svg
from tlkit.stats.estimate import Estimate


def curve(points=6):
    law = np.array([0.95, 0.6, 0.5])
    sizes = np.geomspace(8, 200, points)
    measured = tuple(
        CurvePoint(round(n / 2), float(n), Estimate(v, v - 0.05, min(1.0, v + 0.05), n=250), {"C": 0.1})
        for n, v in ((n, float(0.95 - 0.6 * n**-0.5)) for n in sizes)
    )
    return LearningCurve("logistic", 250, 2, measured, law, np.stack([law - [0.01, 0, 0], law]), 5, 3, 0.95)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_points_intervals_and_the_way_on_are_drawn():
    value = curve()
    ax = plot_curve(value)
    (container,) = ax.containers
    assert container.lines[0].get_xdata().tolist() == pytest.approx([point.images for point in value.points])
    assert container.lines[0].get_ydata().tolist() == pytest.approx([point.accuracy.value for point in value.points])
    assert {*labels(ax)} == {"fitted law", "if it goes on so", "all 250 images", "measured"}
    assert "n = 250" in ax.get_ylabel() and "95%" in ax.get_ylabel()
    assert to_svg(lambda: plot_curve(value)).startswith("<svg")


def test_curve_that_cannot_say_has_points_alone():
    assert {*labels(plot_curve(curve(points=4)))} == {"all 250 images", "measured"}


def test_the_way_on_reaches_as_far_as_was_asked():
    ax = plot_curve(curve(), more=400)
    (ahead,) = [line for line in ax.get_lines() if line.get_label() == saying("goes on")]
    assert ahead.get_xdata()[-1] == pytest.approx(650)
    assert "650" in [tick.get_text() for tick in ax.get_xticklabels()]
    assert {*labels(plot_curve(curve(), more=751))} == {"all 250 images", "measured"}  # beyond four times the images
