"""`fit`: from a recipe to a run. Load the dataset, prepare, embed or train, predict, evaluate and audit, report.

This module does what needs no torch: it checks the arguments and the run directory, and loads the dataset. Errors in
them are therefore reported before torch is imported. `run_training` does all other steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.errors import RunError
from tlkit.notebook_progress import notebook_bars
from tlkit.process_state import preserved_process_state
from tlkit.recipe import Recipe, load_recipe
from tlkit.runs.run_log import FitDisplay, collected_log
from tlkit.training.launch import is_nonzero_rank, launch_needed, processes_to_start, torchrun_world

if TYPE_CHECKING:
    from tlkit.data.dataset_source import LoadedDataset
    from tlkit.runs.run import Run

logger = logging.getLogger(__name__)


@preserved_process_state()
def fit(
    recipe: str | Path | Recipe,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    runs_dir: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
    on_epoch: Callable[[Mapping[str, float]], bool] | None = None,
    dataset: LoadedDataset | None = None,
) -> Run:
    """Train the model of a recipe, predict, evaluate, audit and report; return the run.

    Args:
        recipe: a recipe file, or a loaded recipe.
        overrides: changes to a recipe file: `{"train.epochs": 3}` or `["train.epochs=3"]`.
        runs_dir: folder of the run directory, which gets the recipe's name.
        resume: continue a stopped run from its newest checkpoint; it ends with the same bits as an uninterrupted run.
        overwrite: replace an earlier run of this name.
        progress: draw progress bars on stderr; default: in a notebook only, as widgets where ipywidgets is installed.
        on_step: called with (what is done, images done, images in all) while images are checked and features computed.
        on_epoch: called after each epoch with its row of `metrics.csv`; True stops the training, as Ctrl-C does.
        dataset: the checked images of the recipe, where they were loaded before for the same `data` section.

    Ctrl-C ends training after the current batch; the model so far is stored, evaluated and returned as an interrupted
    run. SIGTERM does the same, and is then raised again for the process: `SystemExit`, or the handler set before. Under
    torchrun `fit` returns in rank 0; the other ranks exit after training.

    Raises:
        TlkitError: the recipe, the data, the weights or the run directory cannot be used, or the recipe needs several
            processes outside torchrun.
        SystemExit: this process is a rank other than 0, and training is over.

    Example:
        >>> run = fit("pets.yaml", resume=True)  # a finished run is returned as it is
        >>> run.status, run.evaluate().n
        ('finished', 12)
    """
    if is_nonzero_rank():  # rank 0 alone reads the recipe and reports its errors
        from tlkit.training.nonzero_rank import run_nonzero_rank

        run_nonzero_rank()
    source, overrides = recipe, overrides if isinstance(overrides, Mapping) else list(overrides)
    if isinstance(recipe, Recipe):
        if overrides:
            raise RunError(
                "overrides need a recipe file, and this recipe is already loaded. Pass the file's path instead."
            )
    else:
        recipe = load_recipe(recipe, overrides)
    if resume and overwrite:
        raise RunError("--resume continues a run and --overwrite replaces it. Use one of them.")
    processes = processes_to_start(recipe)
    if processes > 1:
        raise launch_needed(processes, source, overrides, runs_dir=runs_dir, resume=resume, overwrite=overwrite)
    path = Path(runs_dir) / recipe.name
    own_bars = nullcontext(None) if progress is not None or on_step is not None else notebook_bars()
    with own_bars as bars, collected_log() as log:
        on_step = on_step or bars
        shown = FitDisplay(
            log,
            progress=bool(progress),
            on_features=None if on_step is None else partial(on_step, "computing features"),
            on_epoch=on_epoch,
            on_batch=None if bars is None else partial(bars, "training"),
        )
        on_check = None if on_step is None else partial(on_step, "checking images")
        return _fit_at(path, recipe, shown, resume=resume, overwrite=overwrite, on_check=on_check, dataset=dataset)


def _fit_at(
    path: Path,
    recipe: Recipe,
    shown: FitDisplay,
    *,
    resume: bool,
    overwrite: bool,
    on_check: Callable[[int, int], None] | None,
    dataset: LoadedDataset | None,
) -> Run:
    """Load the dataset of a recipe, and run the other steps in a locked run directory; a finished run is returned."""
    from tlkit.preflight.recipe_queries import can_use_cache
    from tlkit.runs import RunDirectory, write_lock

    if not resume:
        RunDirectory.require_free(path, overwrite=overwrite)
    if recipe.task == "detection":  # the images would be read in vain
        from tlkit.training.prepare import require_task_operators  # imports torch

        require_task_operators(recipe)
    _log_start(path, recipe)
    # after the first line, since these load pandas and Pillow, which take a second
    from tlkit.runs.lifecycle import delete_replaced_run, open_to_resume, require_same_data, restore_replaced_run
    from tlkit.training.load_with_model import load_with_model

    with write_lock(path):
        restore_replaced_run(path)
        if not resume:
            RunDirectory.require_free(path, overwrite=overwrite)  # again: another process could write before the lock
        elif open_to_resume(path, recipe).status == "finished":
            logger.info("%s is finished; there is nothing to resume.", path)
            if torchrun_world() is not None:
                from tlkit.training.distributed import release_ranks

                release_ranks()
            from tlkit.runs.run import Run

            return Run(RunDirectory.open(path))
        # keep thumbnails: add_feature_leaks needs them if features are cached
        model = None
        if dataset is None:
            dataset, model = load_with_model(
                recipe, gray_thumbnails=can_use_cache(recipe), tracked=True, progress=on_check
            )
        if resume:
            require_same_data(RunDirectory.open(path), dataset.samples)

        from tlkit.training.run_training import run_training  # imports torch

        run = run_training(recipe, path, dataset, model=model, resume=resume, shown=shown)
        if resume:
            delete_replaced_run(path)
        return run


def _log_start(path: Path, recipe: Recipe) -> None:
    """Log what is trained on what, before anything slow is loaded."""
    images = recipe.data.source_name
    trains = (
        f"only its new {'decoder' if recipe.task in ('segmentation', 'detection') else 'classifier'} trains"
        if recipe.strategy.kind == "frozen"
        else f"strategy {recipe.strategy.kind}"
    )
    logger.info("%s: %s on the images of %s; %s (recipe key: strategy).", path, recipe.model.name, images, trains)
