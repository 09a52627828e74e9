"""The learning curve plot: measured points, and an extrapolation where the curve has a forecast."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.analysis.learning_curve import CurvePoint, LearningCurve
from tlkit.render.plots import plot_curve, to_svg
from tlkit.stats.estimate import Estimate

pytestmark = pytest.mark.figures


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


def test_points_intervals_and_extrapolation_are_drawn():
    value = curve()
    ax = plot_curve(value)
    (container,) = ax.containers
    assert container.lines[0].get_xdata().tolist() == pytest.approx([point.images for point in value.points])
    assert container.lines[0].get_ydata().tolist() == pytest.approx([point.accuracy.value for point in value.points])
    assert {*labels(ax)} == {"fitted power law", "extrapolation", "all 250 images", "measured"}
    assert "n = 250" in ax.get_ylabel() and "95%" in ax.get_ylabel()
    assert to_svg(lambda: plot_curve(value)).startswith("<svg")


def test_a_curve_without_a_forecast_has_points_only():
    assert {*labels(plot_curve(curve(points=4)))} == {"all 250 images", "measured"}


def test_the_extrapolation_ends_at_the_requested_number_of_images():
    ax = plot_curve(curve(), more=400)
    (forecast,) = [line for line in ax.get_lines() if line.get_label() == "extrapolation"]
    assert forecast.get_xdata()[-1] == pytest.approx(650)
    assert "650" in [tick.get_text() for tick in ax.get_xticklabels()]
    assert {*labels(plot_curve(curve(), more=751))} == {"all 250 images", "measured"}  # beyond four times the images
