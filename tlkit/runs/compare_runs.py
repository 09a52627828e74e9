"""Comparison of two runs, or of a run with predictions, and their display names. Needs no torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.audit.groups.group_columns import By
from tlkit.audit.model_comparison import Comparison, compare_models
from tlkit.audit.options import AuditOptions
from tlkit.predictions import Predictions
from tlkit.runs.assess_split import leaked_paths, warn_trained_on
from tlkit.runs.run_options import options_of_run

if TYPE_CHECKING:
    from tlkit.runs.run import Run

logger = logging.getLogger(__name__)

FILES = (".csv", ".parquet")


def compare_with(
    first: Run | Predictions,
    second: Run | Predictions,
    *,
    by: By | Sequence[By] | None = None,
    split: str | None = None,
    names: tuple[str, str] | None = None,
) -> Comparison:
    """Return the comparison of two models on the images that both predicted; see `Run.compare`.

    The options are those of the recipe of the first run among the two.

    Args:
        first: the first model: a run, or predictions.
        second: the second model.
        by: group columns; default: the recipe's `audit.by`, else all that do not look like identifiers.
        split: for a run: test by default, or val where there is no test split.
        names: what to call the two; default: the directories of runs.

    Raises:
        PredictionsError: the two have no image in common, or a column is missing.
    """
    runs = [model for model in (first, second) if not isinstance(model, Predictions)]
    run = runs[0] if runs else None
    options = AuditOptions() if run is None else options_of_run(run)
    options = options.with_overrides(by=by or None)
    if run is not None:
        split = run.judged_split(split)
        warn_trained_on(split, run.directory.name)
    one, two = (model if isinstance(model, Predictions) else model.predictions(split) for model in (first, second))
    return compare_models(
        one,
        two,
        options,
        names=names or _names(first, second),
        leaked={path for run in runs for path in leaked_paths(run.leaks, run.judged_split(split))},
        all_columns=not options.columns,
    )


def _names(first: Run | Predictions, second: Run | Predictions) -> tuple[str, str]:
    if not isinstance(first, Predictions) and not isinstance(second, Predictions):
        return display_names(first.path, second.path)
    one, two = (
        other if isinstance(one, Predictions) else one.directory.name
        for one, other in ((first, "the first"), (second, "the other"))
    )
    return one, two


def display_names(first: Path, second: Path) -> tuple[str, str]:
    """Return short, different names for two runs or files of predictions; warn if they are the same.

    Parent folders are added until the names differ.

    Example:
        >>> display_names(Path("runs/old"), Path("new.csv"))
        ('old', 'new')
        >>> display_names(Path("monday/runs/pets"), Path("friday/runs/pets"))
        ('monday/runs/pets', 'friday/runs/pets')
    """
    # symbolic links keep their names
    full = [path.resolve() if ".." in path.parts else path.absolute() for path in (first, second)]
    one, two = (path.stem if path.suffix.lower() in FILES else path.name for path in full)
    if first.resolve() == second.resolve():
        logger.warning("%s is compared with itself, so nothing can differ.", first)
        return one, two if two != one else f"{two} (again)"
    depth = 0
    while one == two:
        depth += 1
        one, two = ("/".join(path.parts[-depth:]) for path in full)
    return one, two
