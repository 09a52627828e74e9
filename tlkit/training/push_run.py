"""`push_run`: sends a run that is on disk to a tracker. Needs no torch, except for TensorBoard's writer."""

from __future__ import annotations

import logging

from tlkit.choices import TrackerKind, TrackerMode
from tlkit.errors import RunError
from tlkit.recipe import TrackingSection, load_recipe
from tlkit.runs.run import Run
from tlkit.runs.run_pages import contents_for_report
from tlkit.runs.task_pages import task_contents
from tlkit.tracking import Tracker, create_tracker
from tlkit.training.tracked_results import grouped, track, track_data, track_model, track_report, track_split
from tlkit.training.tracked_task import track_task, track_task_report

logger = logging.getLogger(__name__)


def push_run(
    run: Run, *, kind: TrackerKind | None = None, mode: TrackerMode | None = None, project: str | None = None
) -> str:
    """Record a finished or interrupted run in a tracker as a new record, and return where it is.

    It holds what `fit` would have recorded, except for the learning rates by group and the phases, which a run does not
    store.

    Args:
        run: the run.
        kind: wandb, mlflow or tensorboard; default: the recipe's.
        mode: auto, offline or online; default: the recipe's.
        project: W&B project or MLflow experiment; default: the recipe's.

    Raises:
        RecipeError: a value is not one of these, the tracker is not installed, refuses a name, or `online` lacks a key.
        RunError: the run ended before predicting, or no tracker is named.

    Example:
        >>> from tlkit import open_run
        >>> push_run(open_run("runs/pets"))
        Traceback (most recent call last):
        tlkit.errors.RunError: runs/pets: its recipe has no tracker. Name one: --to wandb, mlflow or tensorboard.
    """
    given = {"tracking.kind": kind, "tracking.mode": mode, "tracking.project": project}
    stated = {key: value for key, value in given.items() if value is not None}
    section = load_recipe(run.directory.recipe, stated).tracking
    if section.kind == "none":
        raise RunError(f"{run.path}: its recipe has no tracker. Name one: --to wandb, mlflow or tensorboard.")
    run.judged_split()  # refuses a run without predictions before anything is recorded
    environment, recipe, samples = run.environment, run.recipe, run.samples
    config = {**recipe.model_dump(mode="json"), "environment": environment}
    with create_tracker(grouped(section, recipe), name=recipe.name, run_dir=run.path, config=config) as tracker:
        track_data(tracker, environment, samples)
        for row in run.history.to_dict("records"):
            track(tracker, {str(name): value for name, value in row.items()})
        for split in run.directory.predicted_splits if run.task == "multiclass" else ():
            audit = run.get_audit(split)
            results = run.predictions(split), run.evaluation(split), audit
            track_split(tracker, split, *results, section=section, root=samples.root)
        if run.task != "multiclass":
            _push_task(run, tracker, section)
        elif section.log_report:
            track_report(tracker, run.path, contents_for_report(run))
        if facts := run.directory.read_model_facts():
            track_model(tracker, run.directory.model, facts, environment, best=_was_chosen(run))
    return tracker.location


def _push_task(run: Run, tracker: Tracker, section: TrackingSection) -> None:
    """Record figures, predictions and the report of a run of several labels, grades, numbers or masks."""
    for split in run.directory.predicted_splits:
        results = run.task_predictions(split), run.task_evaluation(split), run.get_task_audit(split)
        track_task(tracker, split, *results, log_audit=section.log_audit)
    if section.log_report:
        track_task_report(tracker, run.path, task_contents(run))


def _was_chosen(run: Run) -> bool:
    return "val_loss" in run.history.columns
