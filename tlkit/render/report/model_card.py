"""The model card: intended use, results, audit, limitations, data and licenses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.audit.audit_tables import failed_table, undecided_table
from tlkit.audit.slices.slice_tables import shortcut_tables, slices_table
from tlkit.choices import MIN_CELL_SIZE
from tlkit.disk import write_text
from tlkit.errors import RunError, first_few
from tlkit.evaluation.evaluation_tables import summary_table
from tlkit.render.published_figures import published_figures, without_small_cells
from tlkit.render.published_tables import figure_table
from tlkit.render.report.card_metadata import card_metadata
from tlkit.render.report.limitations import limits_of
from tlkit.render.report.run_contents import RunContents
from tlkit.render.report.sections.dataset_section import data_sentence
from tlkit.render.report.summary import lead
from tlkit.tables import to_markdown

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.slices.slice_report import SliceReport
    from tlkit.evaluation import Evaluation

logger = logging.getLogger(__name__)

MOST_ROWS = 40
NOT_STATED = "Not stated. The publisher of this model states here what it is for, and what it is not for."


def write_card(
    path: Path,
    run: RunContents,
    *,
    intended_use: str | None = None,
    min_cell_size: int = MIN_CELL_SIZE,
    overwrite: bool = False,
    moves: bool = False,
) -> Path:
    """Write a model card in Markdown, after Mitchell et al. (2019), "Model Cards for Model Reporting", section 4.

    The limitations come from the audit: what fails, what is undecided and how many more images it needs, and what was
    not assessed. It holds rates of groups with enough images, never an image, a path or a value of a single image. It
    begins with the metadata block of the Hugging Face hub (see `card_metadata`).

    Args:
        path: the file to write.
        run: the run.
        intended_use: the owner's statement of what the model is for.
        min_cell_size: groups of fewer images have no rate, at least 2.
        overwrite: replace a card with other content.
        moves: whether its folder gets another name, so that the log does not state this one.

    Raises:
        RunError: there is a card with other content, perhaps edited by hand.
    """
    evaluation, audit, environment = run.evaluation, run.audit, run.environment
    blocks = [
        card_metadata(run, min_cell_size=min_cell_size),
        f"# Model card: {escaped(run.title)}",
        "\n".join(escaped(line) for line in lead(run)),
        "## Intended use",
        escaped(intended_use) if intended_use else NOT_STATED,
        "## Results",
        f"On {evaluation.n:,} images of the {run.split} split, with intervals of {evaluation.confidence:.0%}.",
        to_markdown([summary_table(evaluation)]),
        "## Audit across groups",
        *_audit_blocks(audit, min_cell_size),
        *_group_blocks(evaluation, audit, min_cell_size),
        "## Slices",
        *_slice_blocks(run.slices),
        "## Limits, and what was not assessed",
        bullets([limit.text for limit in limits_of(run)]),
        "## Data",
        escaped(data_sentence(run.counts)),
        *origin_blocks(environment, run.notes, run.attribution, recipe_text=run.recipe_text),
    ]
    return write_blocks(path, blocks, overwrite=overwrite, moves=moves)


def _audit_blocks(audit: Audit | None, min_cell_size: int) -> list[str]:
    if audit is None:
        return ["Not assessed: no audit across groups was made."]
    settings = audit.settings
    failed = f" {audit.directions}." if audit.directions else ""
    blocks = [
        f"By {escaped(', '.join(settings.by))}: **{audit.verdict}**.{failed} "
        "Each group is compared with its complement at a "
        f"tolerance of {settings.tolerance:g}; p-values are corrected for {audit.tests} tests "
        f"(Holm, alpha {settings.alpha:g})."
    ]
    shown = without_small_cells(audit, min_cell_size=min_cell_size)
    tables = [table.head(MOST_ROWS) for table in (failed_table(shown), undecided_table(shown)) if table.rows]
    blocks.append(to_markdown(tables))
    rows = [(table, row) for table in audit.group_tables for row in table.rows]
    passed = [f"{table.name}: {row.name}" for table, row in rows if row.verdict == "PASS"]
    if passed:
        blocks.append(f"Within the tolerance, with the whole interval: {escaped(first_few(passed, most=20))}.")
    return blocks


def _group_blocks(evaluation: Evaluation, audit: Audit | None, min_cell_size: int) -> list[str]:
    """Return the published rates of the groups, each with its interval."""
    if audit is None:
        return []
    figures = published_figures(evaluation, audit, min_cell_size=min_cell_size)
    groups = tuple(one for one in figures.shown if one.group)
    hidden = tuple(one for one in figures.hidden if one.verdict is not None)
    shown = replace(figures, shown=groups, hidden=hidden)
    table = figure_table(shown, confidence=evaluation.confidence).head(MOST_ROWS)
    return ["### Rates by group", to_markdown([table])] if groups or hidden else []


def _slice_blocks(slices: SliceReport | None) -> list[str]:
    if slices is None:
        return ["Not assessed: slices were not searched for (`tlkit slices`)."]
    return [to_markdown([slices_table(slices), *shortcut_tables(slices)])]


def write_blocks(path: Path, blocks: Sequence[str], *, overwrite: bool, moves: bool = False) -> Path:
    """Write the blocks of a card as Markdown; return its path, which the log states unless the card `moves`.

    Raises:
        RunError: there is a card with other content, and `overwrite` is False.
    """
    text = "\n\n".join(block for block in blocks if block) + "\n"
    if path.is_file() and not overwrite and path.read_text(encoding="utf-8", errors="replace") != text:
        raise RunError(
            f"{path} exists with other content, perhaps edited by hand, so it is not replaced. "
            "Use --overwrite to replace it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    if not moves:
        logger.info("Wrote the model card %s.", path)
    return path


def origin_blocks(
    environment: Mapping[str, Any], notes: Sequence[str], attribution: str | None, *, recipe_text: str
) -> list[str]:
    """Return the last blocks of a card: fingerprint of the data, weights and licences, and how to repeat the run."""
    return [
        f"Fingerprint of the dataset: `{environment.get('data', {}).get('fingerprint', 'unknown')}`.",
        "## Weights and licences",
        *license_blocks(environment, notes, attribution),
        "## How to repeat it",
        f"With tlkit {environment.get('tlkit', '(unknown)')} and Python {environment.get('python', '(unknown)')}:",
        f"```yaml\n{recipe_text.strip().replace('```', '` ` `')}\n```",
    ]


def license_blocks(environment: Mapping[str, Any], notes: Sequence[str], attribution: str | None) -> list[str]:
    """Return origin and licence of the weights, notes, and the attribution of the images, as Markdown."""
    weights = environment.get("weights", {})
    lines = []
    if weights.get("source") not in (None, "none"):
        lines.append(f"Pretrained weights from {weights['source']}, licence: {weights.get('license') or 'unknown'}.")
        lines.append(f"Their digest: {weights.get('digest', 'unknown')}.")
    return [bullets([*lines, *notes]), escaped(attribution) if attribution else ""]


def bullets(lines: Sequence[str]) -> str:
    """Return lines as a list in Markdown."""
    return "\n".join(f"- {escaped(line)}" for line in lines)


def escaped(text: str) -> str:
    """Return text from the data escaped for Markdown, on one line."""
    line = " ".join(str(text).split())
    for mark in ("\\", "`", "*"):
        line = line.replace(mark, f"\\{mark}")
    return line.replace("&", "&amp;").replace("<", "&lt;")
