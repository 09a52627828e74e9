"""The report and the model card of a run of several labels, grades, numbers or masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.audit.task_verdicts import task_verdicts
from tlkit.evaluation.multilabel_result import MultilabelEvaluation
from tlkit.evaluation.task_figures import FIGURE_WORDS, TaskEvaluation, task_figures, task_sentences
from tlkit.render.report.card_metadata import front_matter
from tlkit.render.report.glossary import GLOSSARY
from tlkit.render.report.model_card import NOT_STATED, bullets, escaped, origin_blocks, write_blocks
from tlkit.render.report.page_section import Claim, Figure, Fold, Grid, Page, PageSection, Strip, Summary, VerdictBadge
from tlkit.render.report.plain_words import MARKS
from tlkit.render.report.sections.dataset_section import counts_table, excluded_table, leaks_table
from tlkit.render.report.sections.masks_section import MaskImage, masks_section
from tlkit.render.report.sections.provenance_section import environment_section, model_sentence
from tlkit.render.report.sections.training_section import history_section, kept_sentence
from tlkit.render.report.template import render_to
from tlkit.tables import Table, to_markdown
from tlkit.tables.formatting import SIGNS

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.audit.slices.task_slices import TaskSliceReport
    from tlkit.audit.task_audit_result import TaskAudit
    from tlkit.choices import TrainedTask
    from tlkit.stats.estimate import Estimate


SHOWN = (
    *("mean_average_precision", "macro_f1", "micro_f1", "mean_iou", "mean_dice", "mean_absolute_error"),
    *("quadratic_kappa", "r_squared"),
)
"""Main figures at the top of the page, in order, before those of `SHARES`."""
SHARES = (
    *("mean_average_precision", "macro_f1", "micro_f1", "accuracy", "within_one", "coverage", "mean_iou", "mean_dice"),
    *("image_iou", "pixel_accuracy"),
)
"""Figures from 0 to 1, which are drawn on a scale."""
MOST_CARD_ROWS = 40
HUB_METRICS = {
    "mean_average_precision": "map",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "mean_absolute_error": "mae",
    "root_mean_squared_error": "rmse",
    "r_squared": "r_squared",
    "quadratic_kappa": "cohen_kappa",
    "accuracy": "accuracy",
    "mean_iou": "mean_iou",
    "mean_dice": "dice",
    "pixel_accuracy": "accuracy",
    "average_precision": "map",
}
"""The hub's word for each figure of the card's metadata."""


@dataclass(frozen=True, eq=False)
class TaskContents:
    """A run of another task than one class for each image, with its results for one split.

    Attributes:
        title: heading of the page, name of the model.
        task: what the model says of an image.
        recipe_text: the resolved recipe, YAML.
        environment: versions, device, dataset fingerprint, weights and their licence; may be nested.
        counts: images per label or grade (rows; none for numbers) and split, as `Samples.counts()` gives them.
        sizes: images of each split.
        split: the assessed split.
        evaluation: its evaluation.
        audit: its audit; None without groups.
        slices: undeclared groups with larger errors; None if they were not searched for.
        rule: tables of what val chose: thresholds, or the margin of intervals; empty without val.
        history: one row per epoch, as in metrics.csv.
        kept_epochs: epochs whose weights the model has.
        group_columns: columns that the predictions carry.
        excluded: path and reason of each file that could not be read.
        leaks: assessed images with duplicates in an earlier split.
        notes: further sentences for the reader.
        attribution: attribution of the images.
        chosen_on_split: whether the assessed split also chose the epoch, the thresholds or the intervals.
        trained_on: whether the assessed images are those of training.
        worst: of segmentation, the images with the lowest IoU, the worst first, with their masks.
        mask_colours: of segmentation, the colour of each class but the first, JPEG, base64.
    """

    title: str
    task: TrainedTask
    recipe_text: str
    environment: Mapping[str, Any]
    counts: pd.DataFrame
    sizes: Mapping[str, int]
    split: str
    evaluation: TaskEvaluation
    audit: TaskAudit | None
    rule: tuple[Table, ...] = ()
    slices: TaskSliceReport | None = None
    history: pd.DataFrame | None = None
    kept_epochs: Sequence[int] = ()
    group_columns: Sequence[str] = ()
    excluded: Sequence[tuple[str, str]] = ()
    leaks: pd.DataFrame | None = None
    notes: Sequence[str] = ()
    attribution: str | None = None
    chosen_on_split: bool = False
    trained_on: bool = False
    worst: Sequence[MaskImage] = ()
    mask_colours: Sequence[tuple[str, str]] = ()


def write_task_report(path: Path, run: TaskContents) -> Path:
    """Write one HTML file with summary, audit, figures, training, data and provenance of a run; return its path."""
    sections = tuple(
        section
        for section in (
            _audit_section(run),
            _figures_section(run),
            _slices_section(run),
            _rule_section(run),
            masks_section(run.worst, run.mask_colours),
            history_section(run.history, run.kept_epochs),
            _data_section(run),
            environment_section(run.notes, run.recipe_text, run.environment),
        )
        if section is not None
    )
    page = Page(
        title=run.title,
        kicker=f"Model report · {run.task} · {run.split} split · {run.evaluation.n:,} images",
        summary=_summary(run),
        sections=sections,
        glossary=tuple(GLOSSARY.items()),
        attribution=run.attribution.strip() if run.attribution else None,
    )
    return render_to(path, "report.html.j2", page=page)


def write_task_card(path: Path, run: TaskContents, *, intended_use: str | None = None, overwrite: bool = False) -> Path:
    """Write a model card in Markdown, with the metadata block of the Hugging Face hub; return its path.

    Args:
        path: the file to write.
        run: the run.
        intended_use: the owner's statement of what the model is for.
        overwrite: replace a card with other content.

    Raises:
        RunError: there is a card with other content, perhaps edited by hand.
    """
    evaluation, audit, environment = run.evaluation, run.audit, run.environment
    audited = ["Not assessed: no audit across groups was made."]
    if audit is not None:
        audited = [
            f"By {escaped(', '.join(audit.settings.by))}: **{audit.verdict}**.",
            bullets([f"{one.by}: {one.text}" for one in task_verdicts(audit)]),
            to_markdown([table.head(MOST_CARD_ROWS) for table in audit.tables()[:2]]),
        ]
    blocks = [
        front_matter(
            title=run.title,
            recipe_text=run.recipe_text,
            environment=environment,
            metrics=_hub_metrics(run),
            split=run.split,
        ),
        f"# Model card: {escaped(run.title)}",
        "\n".join(escaped(line) for line in (model_sentence(run.recipe_text), _judged(run)) if line),
        "## Intended use",
        escaped(intended_use) if intended_use else NOT_STATED,
        "## Results",
        to_markdown([table.head(MOST_CARD_ROWS) for table in evaluation.tables()]),
        *(["## Chosen on val", to_markdown(list(run.rule))] if run.rule else []),
        "## Audit across groups",
        *audited,
        "## Limits, and what was not assessed",
        bullets([claim.text for claim in _limits(run)]),
        "## Data",
        escaped(_data_sentence(run)),
        *origin_blocks(environment, run.notes, run.attribution, recipe_text=run.recipe_text),
    ]
    return write_blocks(path, blocks, overwrite=overwrite)


def _summary(run: TaskContents) -> Summary:
    model = " ".join(filter(None, (model_sentence(run.recipe_text), kept_sentence(run.kept_epochs))))
    questions = [
        (
            "What was trained on what",
            (
                *((Claim(model, ("training", "repeat")),) if model else ()),
                Claim(_data_sentence(run), ("data",)),
                Claim(_judged(run), ("result",)),
            ),
        ),
        ("How good it is", tuple(Claim(text, ("result",)) for text in task_sentences(run.evaluation, split=run.split))),
        ("What you cannot conclude", tuple(_limits(run))),
    ]
    audit = run.audit
    verdicts = () if audit is None else task_verdicts(audit)
    return Summary(
        verdict=None if audit is None else VerdictBadge(SIGNS[audit.verdict], MARKS[audit.verdict]),
        verdict_lines=tuple(
            Claim(f"{one.by}: {one.text}", ("audit",), VerdictBadge(SIGNS[one.verdict], MARKS[one.verdict]))
            for one in verdicts
        ),
        strips=tuple(_strips(run)),
        questions=tuple((question, claims) for question, claims in questions if claims),
    )


def _strips(run: TaskContents) -> list[Strip]:
    found, level = task_figures(run.evaluation), f"{run.evaluation.confidence:.0%} interval"
    names = dict.fromkeys((*SHOWN, *SHARES))
    return [_strip(FIGURE_WORDS[name], found[name], level, drawn=name in SHARES) for name in names if name in found]


def _strip(name: str, estimate: Estimate, level: str, *, drawn: bool) -> Strip:
    """Return a figure with its interval; on a scale from 0 to 1 where it is drawn."""
    assert estimate.value is not None, "undefined figures are left out"
    ends = "" if estimate.low is None else f"{level} {estimate.low:.3g} to {estimate.high:.3g}; "
    shown = name if name[1].isupper() else f"{name[0].upper()}{name[1:]}"  # mAP stays as it is
    detail = f"{ends}n = {estimate.n:,} images"
    if not drawn:
        return Strip(shown, f"{estimate.value:.3g}", detail, None, None, None)
    return Strip(shown, f"{estimate.value:.3f}", detail, estimate.value, estimate.low, estimate.high)


def _judged(run: TaskContents) -> str:
    judged = f"Assessed on {run.evaluation.n:,} images of the {run.split} split."
    if run.trained_on:
        return f"{judged} The model was trained on these images: this says nothing about new ones."
    if run.chosen_on_split:
        chosen = (
            "the epoch" if run.task in ("segmentation", "detection") else "the epoch, the thresholds or the intervals"
        )
        judged += (
            f" That split also chose {chosen}, so its figures are somewhat too good; a"
            " test split (data.test) avoids that."
        )
    return judged


def _limits(run: TaskContents) -> list[Claim]:
    found = [Claim("Nothing here says how it does on images of another source than these.", ("data",))]
    if run.audit is None:
        there = f" The data has {', '.join(run.group_columns)}." if run.group_columns else ""
        found.append(Claim(f"Nobody checked whether groups of images are served alike (audit.by).{there}"))
    leaks = 0 if run.leaks is None else int((run.leaks["dropped"] == "").sum())
    if leaks:
        text = f"Of the assessed images {leaks:,} are also in an earlier split, so the figures are too good."
        found.append(Claim(text, ("data",)))
    return found


def _audit_section(run: TaskContents) -> PageSection | None:
    audit = run.audit
    if audit is None:
        return None
    overview, *others = audit.tables()
    verdict = VerdictBadge(SIGNS[audit.verdict], MARKS[audit.verdict])
    claim = f"Each group is compared with its complement; all {audit.tests} tests are corrected together (Holm)."
    failed = [table for table in others if table.name == "failures"]
    folds = [Fold(table.title or table.name, (table,)) for table in others if table not in failed]
    return PageSection("audit", "Audit across groups", claim, (Grid(overview), *map(Grid, failed), *folds), verdict)


def _figures_section(run: TaskContents) -> PageSection:
    first, *others = run.evaluation.tables()
    folds: list[Figure | Fold] = [Fold(table.title or table.name, (table,)) for table in others]
    folds += _called_figure(run.evaluation)
    claim = (
        f"All figures are of {run.evaluation.n:,} images of the {run.split} split; the brackets hold what another "
        "sample of such images could well have given."
    )
    return PageSection("result", "Figures", claim, (Grid(first), *folds))


def _called_figure(evaluation: TaskEvaluation) -> list[Figure]:
    """Return the matrix of labels that are predicted where another one is true; none of one label or of numbers."""
    called = getattr(evaluation, "called", ())
    if not isinstance(evaluation, MultilabelEvaluation) or not called:
        return []
    from tlkit.render.plots.labels_called_plot import plot_labels_called

    return [
        Figure.draw(
            lambda: plot_labels_called(evaluation),
            alt="How often each label is predicted on images that have another one and not it.",
            caption="A row is a label that images have, a column one that they lack; darker = more often predicted.",
        )
    ]


def _slices_section(run: TaskContents) -> PageSection | None:
    found = run.slices
    if found is None:
        return None
    claim = (
        f"{len(found.confirmed)} undeclared groups have a larger {found.figure}, found on one half of the images and "
        "tested on the other."
    )
    return PageSection("slices", "Slices", claim, tuple(map(Grid, found.tables())))


def _rule_section(run: TaskContents) -> PageSection | None:
    if not run.rule:
        return None
    what = "thresholds of the labels were" if run.task == "multilabel" else "intervals were"
    claim = f"The {what} chosen on the val split alone, and are stored in the model."
    return PageSection("rule", "Chosen on val", claim, tuple(map(Grid, run.rule)))


def _data_section(run: TaskContents) -> PageSection:
    from tlkit.render.plots import plot_class_counts

    counts, excluded, leaks = run.counts, excluded_table(run.excluded), leaks_table(run.leaks)
    blocks: list[Figure | Fold] = []
    if len(counts):
        by_class = {str(name): {str(split): int(n) for split, n in row.items()} for name, row in counts.iterrows()}
        what = {"multilabel": "label", "segmentation": "class of pixels", "detection": "class of boxes"}.get(
            run.task, "grade"
        )
        figure = Figure.draw(
            lambda: plot_class_counts(by_class),
            alt=f"Images by {what} and split. The numbers are in the table below.",
            caption=f"One bar for each {what}, colored by split; the smallest one is on top.",
        )
        blocks = [figure, Fold(f"Images by {what} and split", (counts_table(counts, what=what),))]
    found = [table for table in (excluded, leaks) if table is not None and table.rows]
    blocks += [Fold(table.title, (table,)) for table in found]
    claim = _data_sentence(run) + ("" if found else " Every image could be read.")
    return PageSection("data", "Data", claim, tuple(blocks))


def _data_sentence(run: TaskContents) -> str:
    parts = [f"{size:,} {split}" for split, size in run.sizes.items() if size]
    count = len(run.counts)
    words = {"multilabel": f" with {count} labels", "ordinal": f" of {count} grades"}
    words["segmentation"] = f" with masks of {count} classes"
    words["detection"] = f" with boxes of {count} classes"
    what = words.get(run.task, " with numbers")
    return f"{sum(run.sizes.values()):,} images{what}: {', '.join(parts)}."


def _hub_metrics(run: TaskContents) -> dict[str, tuple[Estimate, str]]:
    """Return the figures of the card's metadata by name, each with the hub's word."""
    found = task_figures(run.evaluation)
    return {FIGURE_WORDS[name]: (found[name], word) for name, word in HUB_METRICS.items() if name in found}
