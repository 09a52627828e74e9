"""Writes the report and the model card of a run. Needs no torch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.audit.error_examples import GroupImages, worst_images
from tlkit.audit.repair_tables import origin_sentence
from tlkit.data.checks.thumbnails import draw_thumbnails
from tlkit.features.heads.head_tables import facts_sentence
from tlkit.render.report import write_card, write_report

if TYPE_CHECKING:
    from tlkit.runs.run import Run

logger = logging.getLogger(__name__)


def write_run_report(run: Run, split: str | None = None) -> Path:
    """Write `report.html` about a split, computing missing evaluations and audits; return its path.

    Raises:
        RunError: the run has no predictions for it.
    """
    split, recipe = run.judged_split(split), run.recipe
    examples = run.audit_images(split=split) if recipe.audit.by else ()
    slices = run.get_slices(split)
    shown = (*examples, *((one.images for one in slices.confirmed if one.images) if slices else ()))
    worst = None if shown else worst_images(run.predictions(split))  # otherwise most of them are among the examples
    shown = (*shown, worst) if worst else shown
    thumbnails, why = _thumbnails(run, shown, most=recipe.report.thumbnails)
    return write_report(
        run.directory.report,
        title=recipe.report.title or recipe.name,
        recipe_text=run.directory.recipe.read_text(encoding="utf-8"),
        environment=run.environment,
        counts=run.samples.counts(),
        history=run.history,
        evaluation=run.evaluation(split),
        audit=run.get_audit(split),
        explanation=run.get_explanation(split),
        repair=run.repair,
        examples=examples,
        slices=slices,
        worst=worst,
        thumbnails=thumbnails,
        without_thumbnails=why,
        excluded=run.excluded,
        leaks=run.leaks.query("split == @split"),
        notes=_notes(run),
        attribution=_attribution(run),
        split=split,
        chose_epoch=run.chose_epoch(split),
    )


def write_run_card(
    run: Run, split: str | None = None, *, intended_use: str | None = None, overwrite: bool = False
) -> Path:
    """Write `MODEL_CARD.md` about a split, computing missing evaluations and audits; return its path.

    Raises:
        RunError: the run has no predictions for it, or its card has other content, perhaps edited by hand.
    """
    split, recipe = run.judged_split(split), run.recipe
    return write_card(
        run.directory.card,
        name=recipe.report.title or recipe.name,
        recipe_text=run.directory.recipe.read_text(encoding="utf-8"),
        environment=run.environment,
        counts=run.samples.counts(),
        evaluation=run.evaluation(split),
        audit=run.get_audit(split),
        slices=run.get_slices(split),
        group_columns=run.predictions(split).group_columns,
        excluded=len(run.excluded),
        leaks=len(run.leaked(split)),
        intended_use=intended_use or recipe.report.intended_use,
        overwrite=overwrite,
        notes=_notes(run),
        attribution=_attribution(run),
        split=split,
        chose_epoch=run.chose_epoch(split),
    )


def _thumbnails(run: Run, shown: tuple[GroupImages, ...], *, most: int) -> tuple[dict[str, str], str]:
    """Return thumbnails by path, and the reason if there are none, else ""."""
    paths = list(dict.fromkeys(path for one in shown for path in one.paths))
    if not paths:
        return {}, ""
    if most == 0:
        return {}, "The recipe asks for no thumbnails (report.thumbnails: 0), so paths are shown instead."
    root = run.samples.root
    drawn = draw_thumbnails(root, paths, most=most)
    if drawn:
        return drawn, ""
    logger.warning("None of the images to show is at %s any more: the report shows their paths instead.", root)
    return {}, f"The images are no longer at {root}, so paths are shown instead of thumbnails."


def _notes(run: Run) -> list[str]:
    notes = []
    weights = run.environment.get("weights", {})
    if weights.get("non_commercial"):
        notes.append(f"The backbone's weights are licensed {weights['license']}: no commercial use.")
    if weights.get("source") == "none":
        notes.append("The backbone started from random weights.")
    card = run.directory.model / "model.json"
    if origin := run.environment.get("repair"):
        notes.append(origin_sentence(origin))
    elif head := run.directory.read_json(card).get("head") if card.is_file() else None:
        notes.append(facts_sentence(head))
    if run.status == "interrupted":
        notes.append("Training was interrupted; these are the best weights up to then.")
    return notes


def _attribution(run: Run) -> str | None:
    path = run.directory.attribution
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else None
