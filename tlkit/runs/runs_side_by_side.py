"""Writes the report of several runs side by side. Needs no torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.audit.model_comparison import Comparison
from tlkit.errors import PredictionsError, RunError, other_task
from tlkit.render.report import SideBySide, write_side_by_side
from tlkit.runs.compare_runs import compare_with
from tlkit.runs.run_pages import contents_for_card

if TYPE_CHECKING:
    from tlkit.runs.run import Run

logger = logging.getLogger(__name__)

MARK = b'<meta name="generator" content="tlkit report">'
MARK_BYTES = 4096


def report_side_by_side(
    runs: Sequence[Run], *, split: str | None = None, path: Path | None = None, overwrite: bool = False
) -> Path:
    """Write one HTML page with several runs beside each other, each compared with the first; return its path.

    Args:
        runs: 2 to 6 different runs.
        split: test by default, or val where there is no test split.
        path: the file; default: report_RUN_RUN.html in the working directory.
        overwrite: replace a file that is no such page.

    Raises:
        RunError: a run has no predictions for the split or is given twice, or the path is another file.
    """
    resolved = [run.path.resolve() for run in runs]
    if twice := [run.path for run, at in zip(runs, resolved, strict=True) if resolved.count(at) > 1]:
        raise RunError(f"{twice[0]} is given twice. Give different runs.")
    if other := [run for run in runs if run.task != "multiclass"]:
        raise RunError(other_task(str(other[0].path), other[0].task))
    names = _names(resolved)
    path = path or Path(f"report_{'_'.join(name.replace('/', '-') for name in names)}.html")
    _require_own(path, overwrite=overwrite)
    first, *others = runs
    comparisons = tuple(
        _compared(first, other, names=(names[0], name), split=split)
        for other, name in zip(others, names[1:], strict=True)
    )
    contents = {
        name: replace(contents_for_card(run, split), history=run.history) for name, run in zip(names, runs, strict=True)
    }
    return write_side_by_side(path, SideBySide(contents, comparisons))


def _compared(first: Run, other: Run, *, names: tuple[str, str], split: str | None) -> Comparison | None:
    """Return the comparison of two runs; None where they have no image in common."""
    if first.judged_split(split) != other.judged_split(split):
        logger.warning("%s and %s are judged on different splits, so they are not compared image by image.", *names)
        return None
    try:
        return compare_with(first, other, names=names, split=split)
    except PredictionsError as error:
        logger.warning("%s and %s are not compared image by image: %s", *names, error)
        return None


def _names(paths: Sequence[Path]) -> list[str]:
    """Return short, different names of runs; parent folders are added until they differ."""
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]


def _require_own(path: Path, *, overwrite: bool) -> None:
    """Check that a page may be written at a path, before its content is computed.

    Raises:
        RunError: the path is a folder, or a file that is no such page.
    """
    if path.is_dir():
        raise RunError(f"{path} is a folder. Give the name of a file, such as {path / 'report.html'}.")
    if path.is_file() and not overwrite:
        with path.open("rb") as file:
            if MARK not in file.read(MARK_BYTES):
                raise RunError(f"{path} exists and is no report. Use another name, or --overwrite.")
