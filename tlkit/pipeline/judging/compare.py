"""Which two models are compared: a run with another one or with a table, and what to call them. Without torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from tlkit.audit.comparison import Comparison, compare_predictions
from tlkit.pipeline.judging.judge import Run
from tlkit.predictions import Predictions

logger = logging.getLogger(__name__)

FILES = (".csv", ".parquet")


def compare_with(
    run: Run, other: Run | Predictions, *, by: str | Sequence[str] | None = None, split: str | None = None
) -> Comparison:
    """Say what changes from a run to another one, on the images that both predicted; see `Run.compare`.

    Args:
        run: the first model.
        other: another run, or predictions of another model on the same images.
        by: group columns; default: the first run's `audit.by`, else all columns there are.
        split: test by default, or val where there is no test split.

    Raises:
        PredictionsError: the two have no image in common, or a column is not there.
    """
    split, recipe = run.judged_split(split), run.recipe
    return compare_predictions(
        run.predictions(split),
        other.predictions(split) if isinstance(other, Run) else other,
        by=by or list(recipe.audit.columns) or None,
        names=tell_apart(run.path, other.path) if isinstance(other, Run) else (run.directory.name, "the other"),
        leaked=leaks_of((run, other), split),
        confidence=recipe.evaluate.confidence,
    )


def leaks_of(models: Sequence[Run | Predictions | None], split: str | None = None) -> set[str]:
    """Return the images of a split that any of some models had met in training, as far as runs know of them.

    Args:
        models: runs; predictions of another tool know of no leak.
        split: test by default, or val where there is no test split.
    """
    return {path for one in models if isinstance(one, Run) for path in one.leaked(one.judged_split(split))}


def tell_apart(first: Path, second: Path) -> tuple[str, str]:
    """Return short names for two runs or files of predictions, which differ; warn where they are the very same.

    Two of one name are called by as many of the folders above them as it takes.

    Example:
        >>> tell_apart(Path("runs/old"), Path("new.csv"))
        ('old', 'new')
        >>> tell_apart(Path("monday/runs/pets"), Path("friday/runs/pets"))
        ('monday/runs/pets', 'friday/runs/pets')
    """
    # links keep the names that they were given
    full = [path.resolve() if ".." in path.parts else path.absolute() for path in (first, second)]
    one, two = (path.stem if path.suffix in FILES else path.name for path in full)
    if first.resolve() == second.resolve():
        logger.warning("%s is compared with itself, so nothing can differ.", first)
        return one, two if two != one else f"{two} (again)"
    depth = 0
    while one == two:
        depth += 1
        one, two = ("/".join(path.parts[-depth:]) for path in full)
    return one, two
