"""What the report and the model card of a run of another task than classes show. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.models.model_format import FACTS_FILE
from tlkit.render.report.task_page import TaskContents
from tlkit.runs.assess_split import chose_epoch
from tlkit.runs.mask_pages import mask_colours, worst_masks
from tlkit.runs.run_pages import notes_of, read_attribution
from tlkit.runs.run_tables import kept_epochs
from tlkit.runs.task_judgement import rule_tables

if TYPE_CHECKING:
    from tlkit.runs.run import Run


def task_contents(run: Run, split: str | None = None) -> TaskContents:
    """Return what report and card show of a split of a stored run, computing missing evaluations and audits.

    Args:
        run: of another task than one class for each image.
        split: test by default, or val where there is no test split.

    Raises:
        RunError: the run has no predictions for it, or one of its files is damaged.
    """
    split, recipe, directory = run.judged_split(split), run.recipe, run.directory
    environment, samples, history = run.environment, run.samples, run.history
    rule = directory.read_model_facts().get("rule", {})
    with directory.damaged(directory.model / FACTS_FILE if rule else directory.environment):
        notes = notes_of(environment, {}, interrupted=run.status == "interrupted")
    return TaskContents(
        title=recipe.report.title or recipe.name,
        task=recipe.task,
        recipe_text=directory.recipe.read_text(encoding="utf-8", errors="replace"),
        environment=environment,
        counts=samples.counts(),
        sizes=samples.split_sizes(),
        split=split,
        evaluation=run.task_evaluation(split),
        audit=run.get_task_audit(split),
        slices=run.get_task_slices(split),
        rule=rule_tables(rule),
        history=history,
        kept_epochs=kept_epochs(directory, history, monitor=recipe.train.monitor),
        group_columns=tuple(run.task_predictions(split).groups.columns),
        excluded=run.excluded,
        leaks=run.leaks.query("split == @split"),
        notes=notes,
        attribution=read_attribution(directory.attribution),
        chosen_on_split=split == "val" and bool(rule or chose_epoch(split, history)),
        trained_on=split == "train",
        worst=worst_masks(run, split, most=recipe.report.thumbnails) if recipe.task == "segmentation" else (),
        mask_colours=mask_colours(samples.classes) if recipe.task == "segmentation" else (),
    )
