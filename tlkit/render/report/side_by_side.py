"""Several runs on one page: figures, groups and classes beside each other, and the differences image by image."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.audit.redaction import redact
from tlkit.errors import RecipeError, RunError
from tlkit.evaluation.evaluation_tables import summary_table
from tlkit.recipe.yaml_nodes import read_yaml
from tlkit.render.plots import plot_history, plot_runs
from tlkit.render.plots.runs_plot import MOST_RUNS
from tlkit.render.report.glossary import GLOSSARY
from tlkit.render.report.page_section import (
    Claim,
    Figure,
    Fold,
    Grid,
    Page,
    PageSection,
    Part,
    Strip,
    Summary,
    VerdictBadge,
)
from tlkit.render.report.plain_words import verdict_of
from tlkit.render.report.sections.provenance_section import model_sentence
from tlkit.render.report.sections.training_section import kept_sentence
from tlkit.render.report.template import render_to
from tlkit.tables import Column, Table, counted
from tlkit.tables.shares import percent, percent_range, points

if TYPE_CHECKING:
    from tlkit.audit.model_comparison import Comparison
    from tlkit.render.report.run_contents import RunContents
    from tlkit.stats.estimate import Estimate

logger = logging.getLogger(__name__)

MOST_CLASSES = 200


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Runs that are shown on one page.

    Attributes:
        runs: contents by the name of the run; the others are compared with the first.
        comparisons: of the first run with each other one, in their order; None where they have no image in common.
    """

    runs: Mapping[str, RunContents]
    comparisons: tuple[Comparison | None, ...]


def write_side_by_side(path: Path, shown: SideBySide) -> Path:
    """Write several runs side by side as one HTML file like the report of one run; return its path.

    Raises:
        RunError: there are fewer than 2 or more than 6 runs.
    """
    if not 2 <= len(shown.runs) <= MOST_RUNS:
        raise RunError(f"Give 2 to {MOST_RUNS} different runs to see them side by side, not {len(shown.runs)}.")
    found = (_figures(shown), *_groups(shown), _changes(shown), _classes(shown), _settings(shown), _training(shown))
    page = Page(
        title=", ".join(shown.runs),
        kicker=f"{len(shown.runs)} runs side by side",
        summary=_summary(shown),
        sections=tuple(section for section in found if section is not None),
        glossary=tuple(GLOSSARY.items()),
        attribution=next((run.attribution for run in shown.runs.values() if run.attribution), None),
    )
    render_to(path, "report.html.j2", page=page)
    logger.info("Wrote %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path


def _summary(shown: SideBySide) -> Summary:
    strips = tuple(_strip(name, run) for name, run in shown.runs.items())
    trained = tuple(
        Claim(f"{name}: {' '.join(filter(None, (model_sentence(run.recipe_text), kept_sentence(run.kept_epochs))))}")
        for name, run in shown.runs.items()
    )
    audits = tuple(
        Claim(f"{name}, by {', '.join(run.audit.settings.by)}", ("groups-1",), verdict_of(run.audit.group_tables))
        for name, run in shown.runs.items()
        if run.audit is not None and run.audit.group_tables
    )
    questions = (
        ("Which is better", tuple(_differences(shown))),
        ("Are groups served alike", audits),
        ("What the runs are", trained),
    )
    return Summary(None, (), strips, tuple((question, claims) for question, claims in questions if claims))


def _strip(name: str, run: RunContents) -> Strip:
    accuracy = run.evaluation.accuracy
    if accuracy.value is None:
        return Strip(name, "undefined", accuracy.note, None, None, None)
    detail = f"accuracy; {run.evaluation.confidence:.0%} interval {percent_range(accuracy)}; n = {accuracy.n:,}"
    return Strip(name, percent(accuracy.value, n=accuracy.n), detail, accuracy.value, accuracy.low, accuracy.high)


def _differences(shown: SideBySide) -> Iterator[Claim]:
    """Yield a claim on each run against the first, by the images that both predicted."""
    first, *others = shown.runs
    for other, comparison in zip(others, shown.comparisons, strict=True):
        if comparison is None:
            text = f"{first} and {other} have no image in common: their figures are of different images."
            yield Claim(f"{text} Do not compare them.", ("result",), VerdictBadge("? NOT COMPARABLE", "open"))
            continue
        change, images = comparison.overall.difference, counted(comparison.images, "image")
        if change.low is None or change.high is None:
            yield Claim(f"{other} against {first}: {change.note or 'undefined'} ({images}).", ("changes",))
        elif change.low <= 0 <= change.high:
            text = f"{other} and {first} cannot be told apart on the {images} that both predicted: the difference lies"
            yield Claim(f"{text} between {_signed(change.low)} and {_signed(change.high)}.", ("changes",))
        else:
            word, least = ("better", change.low) if change.low > 0 else ("worse", change.high)
            text = f"{other} is {word} than {first} by at least {points(least)} on the {images} that both predicted."
            yield Claim(text, ("changes",))


def _signed(difference: float) -> str:
    return f"{'-' if difference < 0 else '+'}{points(difference)}"


def _figures(shown: SideBySide) -> PageSection:
    """Return the figures over all images, a column for each run."""
    tables = {name: summary_table(run.evaluation) for name, run in shown.runs.items()}
    values = {
        name: dict(zip(table.column("metric"), table.column("value"), strict=True)) for name, table in tables.items()
    }
    metrics = list(dict.fromkeys(metric for one in values.values() for metric in one))
    rows = tuple((metric, *(values[name].get(metric) for name in tables)) for metric in metrics)
    table = Table("figures", "Figures", (Column("metric", "metric"), *_columns(shown)), rows)
    sizes = "; ".join(f"{name}: {run.evaluation.n:,} images of {run.split}" for name, run in shown.runs.items())
    return PageSection("result", "Figures", f"{sizes}.", (Grid(table),))


def _columns(shown: SideBySide) -> tuple[Column, ...]:
    return tuple(Column(f"run {place}", name, "estimate") for place, name in enumerate(shown.runs))


def _groups(shown: SideBySide) -> Iterator[PageSection]:
    """Yield a section for each column or intersection that a run was audited by: accuracy of the groups by run."""
    audits = {name: run.audit for name, run in shown.runs.items() if run.audit is not None}
    tables = {
        name: {table.by: table for table in audit.group_tables if table.metric == "accuracy"}
        for name, audit in audits.items()
    }
    for number, by in enumerate(dict.fromkeys(by for one in tables.values() for by in one), start=1):
        rates: dict[str, dict[str, Estimate]] = {}
        verdicts = []
        for name, audit in audits.items():
            if (table := tables[name].get(by)) is not None:
                most = audit.settings.max_half_width
                rates[name] = {row.name: redact(row.rate, most) for row in table.rows}
                verdicts.append(f"{name}: {verdict_of([table]).text}")
        groups = list(dict.fromkeys(group for one in rates.values() for group in one))
        rows = tuple((group, *(rates.get(name, {}).get(group) for name in shown.runs)) for group in groups)
        grid = Table(f"groups {by}", f"Accuracy by {by}", (Column("group", "group"), *_columns(shown)), rows)
        figure = Figure.draw(
            partial(plot_runs, rates, label="accuracy (share of images), with its interval"),
            alt=f"Accuracy of {len(groups)} groups by {by} in {len(rates)} runs. The numbers are in the table below.",
            caption="A row for each group, a color and a shape for each run; the lines are intervals.",
        )
        yield PageSection(f"groups-{number}", f"Groups: {by}", f"{'; '.join(verdicts)}.", (figure, Grid(grid)))


def _changes(shown: SideBySide) -> PageSection | None:
    """Return the paired comparisons with the first run."""
    made = [one for one in shown.comparisons if one is not None]
    if not made:
        return None
    folds = tuple(Fold(f"{one.first} → {one.second}, image by image", one.tables()) for one in made)
    claim = "Each run against the first, on the images that both predicted: the fairest way to see which is better."
    return PageSection("changes", "Image by image", claim, folds)


def _classes(shown: SideBySide) -> PageSection:
    """Return the recall of each class by run, the largest differences between runs first."""
    rates = {name: {one.name: one.recall for one in run.evaluation.per_class} for name, run in shown.runs.items()}
    names = list(dict.fromkeys(name for one in rates.values() for name in one))

    def spread(name: str) -> float:
        values = [one[name].value for one in rates.values() if name in one]
        known = [value for value in values if value is not None]
        return max(known) - min(known) if known else 0.0

    names.sort(key=lambda name: -spread(name))
    rows = tuple((name, *(one.get(name) for one in rates.values())) for name in names[:MOST_CLASSES])
    table = Table("classes", "Recall by class", (Column("class", "class"), *_columns(shown)), rows)
    ordered = {run: {name: one[name] for name in names if name in one} for run, one in rates.items()}
    figure = Figure.draw(
        lambda: plot_runs(ordered, label="recall (share of the class's images), with its interval"),
        alt=f"Recall of {len(names)} classes in {len(rates)} runs. The numbers are in the table below.",
        caption="The classes whose recall differs most between the runs are on top.",
    )
    claim = f"The recall of “{names[0]}” differs most between the runs."
    return PageSection("classes", "Classes", claim, (figure, Fold("Recall by class in numbers", (table,))))


def _settings(shown: SideBySide) -> PageSection | None:
    """Return the recipe keys whose values differ; None where a recipe cannot be read."""
    try:
        recipes = {
            name: dict(_flat(read_yaml(run.recipe_text, source=f"recipe of {name}").value))
            for name, run in shown.runs.items()
        }
    except (RecipeError, AttributeError):
        return None
    keys = dict.fromkeys(key for one in recipes.values() for key in one)
    differ = [key for key in keys if len({str(one.get(key)) for one in recipes.values()}) > 1]
    rows = tuple((key, *(str(one[key]) if key in one else None for one in recipes.values())) for key in differ)
    columns = (Column("key", "key"), *(Column(f"run {place}", name) for place, name in enumerate(recipes)))
    claim = f"{counted(len(differ), 'recipe key')} differ{'s' if len(differ) == 1 else ''}; all others are the same."
    blocks = (Grid(Table("settings", "Recipe keys that differ", columns, rows)),) if rows else ()
    return PageSection("settings", "Settings", claim, blocks)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _training(shown: SideBySide) -> PageSection | None:
    """Return the training history of each run that has one."""
    parts = []
    for name, run in shown.runs.items():
        history, kept = run.history, tuple(run.kept_epochs)
        if history is not None and not history.empty:
            figure = Figure.draw(
                partial(plot_history, history, kept=kept),
                alt=f"Loss and accuracy of {name} over {len(history)} epochs.",
                caption="Loss on the left axis, accuracy on the right one.",
            )
            parts.append(Part(name, (figure,), claims=tuple(filter(None, (kept_sentence(kept),)))))
    claim = "Loss and accuracy by epoch; the gray bar is the epoch whose weights the model has."
    return PageSection("training", "Training", claim, tuple(parts)) if parts else None
