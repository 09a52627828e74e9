from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from messages import saying
from tables_of_predictions import predictions_of

from tlkit.audit.audit import audit_groups
from tlkit.audit.explain import explain_gaps
from tlkit.errors import TlkitError
from tlkit.evaluation import evaluate
from tlkit.render.plots import canvas, plot_confusion, plot_groups, plot_heat, plot_history, plot_per_class, to_svg

pytestmark = pytest.mark.figures

HISTORY = pd.DataFrame(
    {
        "epoch": [0, 1, 2],
        "train_loss": [0.7, 0.4, 0.3],
        "val_loss": [0.6, 0.5, np.nan],
        "val_accuracy": [0.7, 0.8, 0.85],
        "learning_rate": [1e-3, 5e-4, 0.0],
    }
)
SCRIPTS = ["cat", "猫", "собака", "قطة", "कुत्ता", "$x_1$ 50%_a", "🐝", "<script>alert(1)</script>"]


@pytest.fixture
def ax():
    """Axes of a figure without pyplot."""
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


def evaluation_of(classes, *, n=200, accuracy=0.8, seed=0):
    random = np.random.default_rng(seed)
    y_true = random.integers(0, len(classes), n)
    wrong = (y_true + 1 + random.integers(0, max(len(classes) - 1, 1), n)) % len(classes)
    y_pred = np.where(random.random(n) < accuracy, y_true, wrong)
    return evaluate(predictions_of(y_true, y_pred, classes=classes))


def audit_of(groups, right, **options):
    """Return an audit by `groups`, where `right` says which images are predicted right."""
    wrong = [int(not good) for good in right]
    return audit_groups(
        predictions_of([0] * len(wrong), wrong, classes=("cat", "dog"), light=groups), by="light", **options
    )


def tick_texts(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def draw(ax):
    ax.figure.canvas.draw()


def test_confusion_shows_counts_and_class_sizes(ax):
    evaluation = evaluate(predictions_of("0001", "0011", classes=("ants", "bees")))
    assert plot_confusion(evaluation, ax) is ax
    draw(ax)
    assert tick_texts(ax.xaxis) == ["ants", "bees"]
    assert tick_texts(ax.yaxis) == ["ants (n = 3)", "bees (n = 1)"]
    assert sorted((text.get_position(), text.get_text()) for text in ax.texts) == [
        ((0, 0), "2"),
        ((1, 0), "1"),
        ((1, 1), "1"),
    ]
    np.testing.assert_allclose(ax.images[0].get_array().filled(0), [[2 / 3, 1 / 3], [0, 1]])
    assert ax.get_xlabel() == "predicted class"
    assert ax.get_ylabel() == saying("true class", "images")


def test_confusion_of_more_than_40_classes_shows_the_most_frequent_confusions(ax):
    classes = [f"class {i}" for i in range(41)]
    assert plot_confusion(evaluation_of(classes[:40])).images
    evaluation = evaluation_of(classes, n=500)
    plot_confusion(evaluation, ax)
    draw(ax)
    pairs = evaluation.most_confused(25)
    assert not ax.images
    assert [bar.get_width() for bar in ax.patches] == pairs["images"].tolist()
    assert tick_texts(ax.yaxis)[0] == f"{pairs['true'][0]} → {pairs['predicted'][0]}"
    assert texts(ax)[0] == f"{pairs['images'][0]} of {pairs['support'][0]}"
    errors = int(evaluation.confusion.sum() - np.trace(evaluation.confusion))
    assert ax.get_title(loc="left") == saying("25", pairs["images"].sum(), errors)
    assert ax.get_xlabel() == saying("500", "41", "mistaken", "classes")


def test_many_classes_without_errors_show_no_errors(ax):
    plot_confusion(evaluation_of([str(i) for i in range(50)], accuracy=1.0), ax)
    draw(ax)
    assert texts(ax) == ["no errors"]


def test_per_class_draws_recall_and_interval_lowest_first(ax):
    evaluation = evaluation_of(["a", "b", "c"], n=60)
    plot_per_class(evaluation, ax)
    draw(ax)
    order = sorted(evaluation.per_class, key=lambda result: result.recall.value)
    assert tick_texts(ax.yaxis) == [f"{result.name} (n = {result.support})" for result in order]
    *drawn, mean = ax.lines
    for position, (result, interval, point) in enumerate(zip(order, drawn[::2], drawn[1::2], strict=True)):
        assert list(interval.get_xdata()) == [result.recall.low, result.recall.high]
        assert (point.get_xdata()[0], point.get_ydata()[0]) == (result.recall.value, position)
    assert mean.get_xdata()[0] == evaluation.balanced_accuracy.value
    assert ax.get_xlabel() == saying("95%", "recall", "interval")
    assert ax.get_ylabel() == saying("class", "lowest", "recall")


def test_a_class_without_images_has_a_label_but_no_point(ax):
    evaluation = evaluate(predictions_of("0", "0", classes="ab"))
    plot_per_class(evaluation, ax)
    draw(ax)
    assert tick_texts(ax.yaxis) == ["a (n = 1)", "b (n = 0)"]
    assert texts(ax) == [saying("images", "class")]


def test_groups_shows_rates_sizes_overall_accuracy_failures_and_small_groups(ax):
    groups = ["day"] * 200 + ["night"] * 100 + ["dusk"] * 7
    right = [True] * 190 + [False] * 10 + [True] * 50 + [False] * 50 + [True] * 7
    audit = audit_of(groups, right)
    assert plot_groups(audit, ax) is ax
    draw(ax)
    assert tick_texts(ax.yaxis) == ["day (n = 200)", "dusk (n = 7)", "night (n = 100)"]
    assert texts(ax) == [saying("7", "images", "rate")]
    points = {line.get_ydata()[0]: line for line in ax.lines if len(line.get_xdata()) == 1}
    assert points[0].get_xdata()[0] == 0.95
    assert points[2].get_xdata()[0] == 0.5
    assert points[2].get_marker() == "D"
    assert audit.group_table("light").row(("night",)).verdict == "FAIL"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [f"all images {247 / 307:.3f} (n = 307)", "FAIL, below the rest", "FAIL, above the rest"]
    assert (points[0].get_marker(), points[0].get_color() != points[2].get_color()) == ("^", True)
    assert ax.get_xlabel() == saying("95%", "accuracy", "interval")
    assert ax.get_ylabel() == "light"


def test_groups_draws_any_table_of_the_audit_and_suggests_names_for_unknown_columns(ax):
    audit = audit_of(["day", "night"] * 40, [True, True, True, False] * 20, metrics=["accuracy", "recall"])
    plot_groups(audit, ax, by="light", metric="recall", class_name="dog")
    assert ax.get_xlabel() == saying("95%", "recall", "interval")
    with pytest.raises(TlkitError, match=saying("'light'", "mean").pattern):
        plot_groups(audit, by="lihgt")


def test_of_many_classes_or_groups_the_40_lowest_rates_are_shown(ax):
    plot_per_class(evaluation_of([str(i) for i in range(100)], n=1000), ax)
    assert (len(ax.get_yticks()), ax.get_ylabel()) == (40, saying("40", "100", "class", "lowest"))
    groups = [f"site {i}" for i in range(45) for _ in range(20)]
    right = [image < 20 - i % 10 for i in range(45) for image in range(20)]
    shown = plot_groups(audit_of(groups, right), Figure().subplots())
    assert (len(shown.get_yticks()), shown.get_ylabel()) == (40, saying("light", "40 lowest of 45"))


def test_history_draws_loss_and_accuracy_with_gaps_for_missing_values(ax):
    assert plot_history(HISTORY, ax) is ax
    draw(ax)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training loss", "validation loss", "validation accuracy"]
    assert ax.lines[1].get_xdata().tolist() == [0, 1]
    assert ax.get_ylabel() == saying("loss", "cross", "entropy")
    assert ax.get_xlabel() == "epoch (n = 3)"
    right = next(other for other in ax.figure.axes if other is not ax)
    assert right.get_ylabel() == saying("accuracy", "share", "images")
    low, high = right.get_ylim()
    assert low < min(right.get_yticks()) <= max(right.get_yticks()) <= 1 < high  # nothing is right 102 % of the time


def test_history_without_an_epoch_column_names_the_columns(ax):
    with pytest.raises(ValueError, match=saying("'epoch'", "'loss'").pattern):
        plot_history(pd.DataFrame({"loss": [1.0]}), ax)


def test_without_ax_the_figure_belongs_to_pyplot():
    from matplotlib import pyplot

    before = set(pyplot.get_fignums())
    made = plot_history(HISTORY)
    new = set(pyplot.get_fignums()) - before
    assert [pyplot.figure(number) for number in new] == [made.figure]
    pyplot.close(made.figure)


def test_svg_is_reproducible_and_changes_neither_pyplot_nor_its_settings():
    from matplotlib import pyplot

    figures, settings = pyplot.get_fignums(), dict(mpl.rcParams)
    evaluation = evaluation_of(["a", "b", "c"])
    first = to_svg(lambda: plot_confusion(evaluation))
    assert first == to_svg(lambda: plot_confusion(evaluation))
    assert pyplot.get_fignums() == figures
    assert dict(mpl.rcParams) == settings
    assert ET.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in first


@pytest.mark.parametrize("plot", [plot_confusion, plot_per_class, plot_heat])
def test_names_in_any_script_are_drawn_without_a_warning(plot, ax):
    value = explained(SCRIPTS, SCRIPTS, n=3000) if plot is plot_heat else evaluation_of(SCRIPTS)
    draw(plot(value, ax))  # warnings are errors
    svg = to_svg(lambda: plot(value))
    drawn = [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert [name for name in SCRIPTS[:-1] if not any(name in (text or "") for text in drawn)] == []
    assert "<script>" not in svg


def test_letters_without_a_font_become_boxes(ax, monkeypatch):
    monkeypatch.setattr(canvas, "_font_with", lambda letters: None)
    draw(plot_per_class(evaluation_of(["собака", "猫 cat"]), ax))
    assert {label.split(" (")[0] for label in tick_texts(ax.yaxis)} == {"собака", "□ cat"}


def test_missing_letters_are_drawn_with_an_installed_font(ax, monkeypatch):
    monkeypatch.setattr(canvas, "_font_with", lambda letters: "DejaVu Serif")
    text = canvas.drawable(ax.text(0, 0, "猫"))
    assert text.get_fontfamily() == ["DejaVu Sans", "DejaVu Serif"]


def test_the_font_search_finds_a_font_with_the_letters():
    assert canvas._font_with(frozenset("∑")) is not None
    assert canvas._font_with(frozenset("\U0010fffd")) is None


def test_long_names_keep_both_ends(ax):
    names = ["a" * 60 + " left", "b" * 60 + " right"]
    plot_per_class(evaluation_of(names), ax)
    shown = {label.split(" (")[0] for label in tick_texts(ax.yaxis)}
    assert shown == {"aaaaaaaaaaaaaa…aaaaaaaa left", "bbbbbbbbbbbbbb…bbbbbbb right"}


@pytest.mark.parametrize("count", [2, 13, 30, 40, 41, 300])
def test_any_number_of_classes_can_be_drawn(count):
    evaluation = evaluation_of([f"a class with a rather long name {i}" for i in range(count)], n=600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(to_svg(lambda: plot_confusion(evaluation))) < 300_000
        assert len(to_svg(lambda: plot_per_class(evaluation))) < 300_000


def explained(classes, groups, *, bad=(0, 0), n=4000, seed=1):
    """Return one explained column of recalls of .95, but for one group and class with .5."""
    random = np.random.default_rng(seed)
    y, g = random.integers(0, len(classes), n), random.integers(0, len(groups), n)
    right = random.random(n) < np.where((g == bad[0]) & (y == bad[1]), 0.3, 0.95)
    y_pred = np.where(right, y, (y + 1) % len(classes))
    return explain_gaps(
        predictions_of(y, y_pred, classes=classes, g=[groups[i] for i in g]), by="g", replicates=20
    ).column("g")


def test_heat_frames_cells_that_differ_and_writes_every_recall(ax):
    from matplotlib.patches import Rectangle

    column = explained(["ant", "bee", "cat"], ["dark", "light", "medium"], bad=(0, 2))
    plot_heat(column, ax)
    frames = [patch for patch in ax.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    framed = {(round(frame.get_x() + 0.46), round(frame.get_y() + 0.44)) for frame in frames}
    assert (2, 0) in framed  # the complement of the other groups holds the failing one
    assert {x for x, _ in framed} == {2}
    assert len(ax.texts) == 9
    assert ax.get_legend().get_texts()[0].get_text() == saying("0.05", "differs", "complement", "below the rest")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["ant", "bee", "cat"]
    assert ax.get_yticklabels()[0].get_text().startswith("dark (n = ")


def test_heat_of_many_classes_shows_those_with_the_smallest_p_values(ax):
    column = explained([f"class{i:02d}" for i in range(60)], ["a", "b"], bad=(0, 55), n=12000)
    plot_heat(column, ax)
    assert ax.get_xlabel() == "class (30 of 60)"
    assert "class55" in [label.get_text() for label in ax.get_xticklabels()]
