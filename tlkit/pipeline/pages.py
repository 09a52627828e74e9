"""The page that a run is read on: the report, without torch."""

from __future__ import annotations

from pathlib import Path

from tlkit.pipeline.judge import Run
from tlkit.report import write_report


def report_of(run: Run, split: str | None = None) -> Path:
    """Write `report.html` about a split, evaluating and auditing it where that is still to do; return its path."""
    split, recipe = run.judged_split(split), run.recipe
    return write_report(
        run.directory.report,
        title=recipe.report.title or recipe.name,
        recipe_text=run.directory.recipe.read_text(encoding="utf-8"),
        environment=run.environment,
        counts=run.samples.counts(),
        history=run.history,
        evaluation=run.evaluation(split),
        audit=run.last_audit(split),
        explanation=run.last_explanation(split),
        repair=run.repair,
        set_aside=run.set_aside,
        leaks=run.leaks.query("split == @split"),
        notes=_notes(run),
        attribution=_attribution(run),
        split=split,
    )


def _notes(run: Run) -> list[str]:
    notes = []
    weights = run.environment.get("weights", {})
    if weights.get("non_commercial"):
        notes.append(f"The backbone's weights are licensed {weights['license']}: no commercial use.")
    if weights.get("source") == "none":
        notes.append("The backbone started from random weights.")
    card = run.directory.model / "model.json"
    chosen = run.directory.read_json(card).get("head", {}).get("sentence") if card.is_file() else None
    if chosen:
        notes.append(chosen)
    if run.status == "interrupted":
        notes.append("Training was interrupted; these are the best weights up to then.")
    return notes


def _attribution(run: Run) -> str | None:
    path = run.directory.attribution
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else None
