"""Fits one trial of a sweep in its own run directory, or goes on with one that was killed."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tlkit.data.dataset_source import LoadedDataset
from tlkit.errors import DataError, PredictionsError, RunError
from tlkit.predictions.common_task_images import truth_of_images
from tlkit.recipe import Recipe
from tlkit.runs.compare_runs import task_table
from tlkit.runs.directory import MARKER
from tlkit.runs.run import Run, open_run
from tlkit.stats.estimate import Estimate

OnEpoch = Callable[[Mapping[str, float]], bool]


@dataclass(frozen=True)
class Fitted:
    """What a fit has given.

    Attributes:
        estimate: the metric on val.
        val: digest of the paths and labels of val.
        pruned: whether `on_epoch` has stopped it.
    """

    estimate: Estimate
    val: str
    pruned: bool = False


class FitTrial(Protocol):
    """Fits a recipe below a folder and returns its figure on val; what it raises as a `TlkitError` fails the trial."""

    def __call__(self, recipe: Recipe, folder: Path, *, metric: str, on_epoch: OnEpoch | None = None) -> Fitted:
        """Fit it, or resume the fit of a killed process."""


class TrialFitter:
    """Fits recipes by `tlkit.fit`; the images are checked once for all trials whose recipes want the same of them."""

    def __init__(self) -> None:
        self._checked: tuple[object, LoadedDataset] | None = None

    def __call__(self, recipe: Recipe, folder: Path, *, metric: str, on_epoch: OnEpoch | None = None) -> Fitted:
        """Fit a recipe in `folder / recipe.name`; return its figure on val. A finished run is read, not repeated.

        Args:
            recipe: of the trial.
            folder: of the sweep.
            metric: the figure.
            on_epoch: called with the metrics of every epoch; True stops the training.

        Raises:
            KeyboardInterrupt: Ctrl-C ended the fit; the run can be resumed.
            TlkitError: the recipe, its data or its weights cannot be used, or there are no val images.
        """
        path, stopped = folder / recipe.name, False

        def watch(row: Mapping[str, float]) -> bool:
            nonlocal stopped
            stopped = on_epoch is not None and on_epoch(row)
            return stopped

        begun = (path / MARKER).is_file()
        if not begun or open_run(path).status != "finished":
            run = self._fit(recipe, folder, begun=begun, on_epoch=None if on_epoch is None else watch)
            if run.status == "interrupted" and not stopped:
                raise KeyboardInterrupt
        return Fitted(figure_of_val(path, metric), val_digest(path), pruned=stopped)

    def _fit(self, recipe: Recipe, folder: Path, *, begun: bool, on_epoch: OnEpoch | None) -> Run:
        """Fit, or resume; a run that was killed before it could be resumed begins anew."""
        from tlkit.training.fit import fit

        with _warnings_only():
            dataset = self._dataset(recipe)
            try:
                return fit(recipe, runs_dir=folder, resume=begun, on_epoch=on_epoch, dataset=dataset)
            except RunError:
                if not begun:
                    raise
                return fit(recipe, runs_dir=folder, overwrite=True, on_epoch=on_epoch, dataset=dataset)

    def _dataset(self, recipe: Recipe) -> LoadedDataset:
        """Return the checked images of a recipe: those of the last trial where it wants the same of them."""
        from tlkit.preflight.recipe_queries import can_use_cache
        from tlkit.training.load_with_model import load_with_model

        cached = can_use_cache(recipe)
        wanted = (recipe.data.model_dump(exclude={"batch_size", "num_workers"}), recipe.seed, recipe.audit, cached)
        if self._checked is None or self._checked[0] != wanted:
            self._checked = wanted, load_with_model(recipe, gray_thumbnails=cached)[0]
        return self._checked[1]


def figure_of_val(path: Path, metric: str) -> Estimate:
    """Return a run's metric on val with its interval.

    Raises:
        PredictionsError: there is no such metric, or it has no value.
        DataError: the run has no val images.
    """
    from tlkit.evaluation import evaluate
    from tlkit.evaluation.score_names import HEADLINE, facts_of
    from tlkit.evaluation.task_figures import figure_of
    from tlkit.runs.run_options import options_of_run

    run = open_run(path)
    if "val" not in run.directory.predicted_splits:
        raise DataError(
            "A sweep chooses by val, and the recipe has no val images. Set data.val to a share, such as 0.2."
        )
    if run.task != "multiclass":
        return _defined(figure_of(run.task_evaluation("val"), metric), metric)
    evaluation = run.evaluation("val")
    facts_of(metric, evaluation.classes)
    if metric not in HEADLINE:
        options, rank = options_of_run(run), metric.removeprefix("top_")
        evaluation = evaluate(
            run.predictions("val"),
            metrics="all",
            top_k=(int(rank),) if rank != metric else (),
            confidence=options.confidence,
            cluster_by=options.pair_by or options.cluster_by,
            weights=options.weights,
        )
    return _defined(evaluation.score(metric), metric)


def _defined(estimate: Estimate, metric: str) -> Estimate:
    if estimate.value is None or not math.isfinite(estimate.value):
        raise PredictionsError(f"{metric} on val is {estimate.format()}. Choose by another metric.")
    return estimate


def val_digest(path: Path) -> str:
    """Return a digest of the paths and the truth of a run's val images: equal for trials that can be compared."""
    run = open_run(path)
    if run.task == "multiclass":
        val = run.predictions("val").labelled
        lines = sorted(f"{one}\t{val.classes[target]}" for one, target in zip(val.path, val.y_true, strict=True))
    else:
        table = task_table(run, "val").labelled
        lines = sorted(
            f"{one}\t{truth.tolist()}" for one, truth in zip(table.path, truth_of_images(table), strict=True)
        )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def _warnings_only() -> Iterator[None]:
    """Show warnings of a fit alone, unless details are wanted; its run.log has every line all the same."""
    logger = logging.getLogger("tlkit")
    level = logger.level
    if not logger.isEnabledFor(logging.DEBUG):
        logger.setLevel(max(logging.WARNING, logger.getEffectiveLevel()))
    try:
        yield
    finally:
        logger.setLevel(level)
