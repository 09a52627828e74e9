"""The main verb: a recipe becomes a run. Torch is loaded once the images are found, or while they are checked."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.errors import RunError
from tlkit.pipeline.inference.beside import FeaturesBeside
from tlkit.pipeline.process_state import preserved_process_state
from tlkit.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from tlkit.pipeline.judging.judge import Run

logger = logging.getLogger(__name__)


@preserved_process_state()
def fit(
    recipe: str | Path | Recipe,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    runs_dir: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    on_check: Callable[[int, int], None] | None = None,
) -> Run:
    """Fine-tune a backbone as a recipe says, predict, evaluate, audit and report.

    Args:
        recipe: a recipe file, or a recipe already loaded.
        overrides: changes to a recipe file: `{"train.epochs": 3}` or `["train.epochs=3"]`.
        runs_dir: folder that the run directory is made in, under the recipe's name.
        resume: continue a run that was stopped, from its newest checkpoint; it ends as if it had never stopped.
        overwrite: replace an earlier run of this name.
        progress: draw progress bars on stderr.
        on_check: called with (images checked, images in all) while the images are checked.

    Ctrl-C ends training after the batch at hand; what was learnt is stored, judged and returned as an interrupted run.
    SIGTERM does the same, and then goes on to the process: `SystemExit`, or the handler that was set before.

    Where torchrun has started several processes, it returns in the first one; the others end with the training.

    Raises:
        TlkitError: the recipe, the data, the weights or the run directory cannot be used; nothing is lost.

    Example:
        >>> run = fit("recipes/quickstart.yaml", {"train.epochs": 3})  # doctest: +SKIP
        >>> run.evaluate().accuracy.format()  # doctest: +SKIP
        '0.885 [0.805, 0.936]'
    """
    if isinstance(recipe, Recipe):
        if overrides:
            raise RunError(
                "Overrides change a recipe file; this recipe is already loaded. Pass the file's path instead."
            )
    else:
        recipe = load_recipe(recipe, overrides)
    if resume and overwrite:
        raise RunError("--resume continues a run and --overwrite replaces it. Use one of them.")
    begins = not resume and not started_by_torchrun()
    with FeaturesBeside(recipe) if begins else nullcontext() as beside:
        return _fit(
            recipe, Path(runs_dir) / recipe.name, beside, resume=resume, overwrite=overwrite, progress=progress,
            on_check=on_check,
        )  # fmt: skip


def _fit(
    recipe: Recipe,
    path: Path,
    beside: FeaturesBeside | None,
    *,
    resume: bool,
    overwrite: bool,
    progress: bool,
    on_check: Callable[[int, int], None] | None,
) -> Run:
    from tlkit.pipeline.starting.asked import can_use_cache
    from tlkit.pipeline.starting.images import gather_images
    from tlkit.pipeline.starting.reopen import bring_back, forget_replaced, open_to_resume, require_same_data
    from tlkit.runs import RunDirectory, write_lock

    if started_by_torchrun():
        from tlkit.pipeline.training.fitting import follow_the_first

        follow_the_first(recipe)
    if not resume:
        RunDirectory.require_free(path, overwrite=overwrite)
    with write_lock(path):
        bring_back(path)
        if not resume:
            RunDirectory.require_free(path, overwrite=overwrite)  # nobody else writes it now
        elif open_to_resume(path, recipe).status == "finished":
            logger.info("%s is finished; there is nothing to resume.", path)
            if started_by_torchrun():
                from tlkit.pipeline.training.fitting import dismiss_the_others

                dismiss_the_others(recipe)
            from tlkit.pipeline.judging.judge import Run

            return Run(RunDirectory.open(path))
        gathered = gather_images(
            recipe,
            looks=can_use_cache(recipe),  # then edited copies are looked for
            progress=on_check,
            meanwhile=None if beside is None else beside.load,
        )
        if resume:
            require_same_data(RunDirectory.open(path), gathered.samples)
        if beside is not None:
            beside.begin(gathered.samples, looks=gathered.looks)
        from tlkit.pipeline.training.fitting import carry_out

        run = carry_out(recipe, path, gathered, resume=resume, progress=progress, beside=beside)
        if resume:
            forget_replaced(path)
        return run


def started_by_torchrun() -> bool:
    """Tell whether torchrun has started this process; which of them it is, only torch can say."""
    return "TORCHELASTIC_RUN_ID" in os.environ
