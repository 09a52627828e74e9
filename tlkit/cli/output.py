"""Output of the command line: tables, lines and JSON to stdout; logs and progress bars to stderr; files."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tlkit.disk import writing
from tlkit.errors import DataError, PredictionsError, RunError
from tlkit.tables import Cell, Column, Table, to_lines
from tlkit.tables.text import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from tlkit.predictions import Predictions, Unreadable
    from tlkit.runs.run import Run

OUT_SUFFIXES = (".csv", ".parquet", ".jsonl")


class Result(Protocol):
    """A result that every medium can show."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""

    def tables(self) -> Iterable[Table]:
        """Return the tables that show the result."""


def start_logging(*, quiet: bool, verbose: bool) -> None:
    """Send the log of tlkit to stderr, and the warnings of other libraries."""
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("tlkit").setLevel(level)
    for name in ("pytorch_lightning", "lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout."""
    for line in lines:
        print("\n".join(map(printable, line.split("\n"))))


def print_json(values: Mapping[str, Any]) -> None:
    """Print JSON to stdout."""
    print(json.dumps(values, indent=2, ensure_ascii=False))


def print_result(result: Result, *, as_json: bool) -> None:
    """Print a result as JSON or as tables."""
    print_json(result.to_dict()) if as_json else print_tables(result.tables())


def print_tables(tables: Iterable[Table], *, most_rows: int | None = None) -> None:
    """Print tables as aligned columns, within the width of a terminal.

    Args:
        tables: the tables.
        most_rows: rows of each table at most; a note counts the others. None = all.
    """
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    colored = terminal and "NO_COLOR" not in os.environ
    for line in to_lines(tables, width=width, most_rows=most_rows, colored=colored):
        print(line)


def print_run(run: Run) -> None:
    """Print the evaluation and the audit of a fitted run, and the paths of its files."""
    from tlkit.evaluation.evaluation_tables import summary_table

    split = run.judged_split()
    print_lines([judged_on(run, split), ""])
    print_tables([summary_table(run.evaluation(split))])
    audit = run.get_audit(split) if run.recipe.audit.by else None
    if audit is not None:
        print_lines([""])
        print_tables(audit.tables())
    print_lines([""])
    paths = {"report": run.directory.report, "model": run.directory.model, "everything": run.path}
    rows = tuple((name, str(path)) for name, path in paths.items() if path.exists())
    print_tables([Table("paths", "", (Column("name", ""), Column("path", "")), rows)])


def judged_on(run: Run, split: str) -> str:
    """Return a line that names the split of a run's figures, and whether it also chose the epoch."""
    from tlkit.runs.assess_split import chose_epoch

    chose = ", which also chose the epoch" if chose_epoch(split, run.history) else ""
    trained = ", the images that it was trained on" if split == "train" else ""
    return f"{run.directory.name}: {run.status}, judged on the {split} split{chose}{trained}"


def require_suffix(out: Path | None) -> None:
    """Check the suffix of an output file of predictions.

    Raises:
        PredictionsError: the suffix is unknown.
    """
    if out is not None and out.suffix.lower() not in OUT_SUFFIXES:
        raise PredictionsError(
            f"--out is {out}. Use a file that ends in {', '.join(OUT_SUFFIXES[:-1])} or {OUT_SUFFIXES[-1]}."
        )


def require_run_first(run: Path, paths: Sequence[Path]) -> None:
    """Check that the run is named before its images.

    Raises:
        RunError: one of the images is a run, and the run is none.
    """
    from tlkit.runs.directory import MARKER

    real = next((path for path in paths if (path / MARKER).is_file()), None)
    if real is not None and not (run / MARKER).is_file():
        raise RunError(f"{run} is not a run of tlkit, but {real} is. Name the run first: tlkit predict {real} {run}.")


def require_svg(plot: Path | None) -> None:
    """Check the suffix of a plot's file.

    Raises:
        DataError: it is not .svg.
    """
    if plot is not None and plot.suffix.lower() != ".svg":
        raise DataError(f"--plot is {plot}. Use a file that ends in .svg.")


def write_svg(plot: Path, draw: Callable[[], Axes]) -> None:
    """Write a figure as SVG."""
    from tlkit.render.plots import to_svg

    plot.parent.mkdir(parents=True, exist_ok=True)
    with writing(plot):
        plot.write_text(to_svg(draw), encoding="utf-8")


def write_predictions(predictions: Predictions, out: Path | None, *, unreadable: Sequence[Unreadable]) -> None:
    """Write predictions in the format of the suffix of `out`, or print a short table where `out` is None.

    Unreadable images have rows of their own, with the reason in the column `error`.
    """
    table = predictions.table(unreadable=unreadable)
    if out is None:
        _print_predictions(predictions, table)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == ".parquet":
        predictions.to_parquet(out, unreadable=unreadable)
    elif out.suffix.lower() == ".csv":
        from tlkit.csv_files import write_csv

        write_csv(out, table, verbatim=["path"])
    else:
        records = table.astype(object).where(lambda cells: cells.notna(), None).to_dict("records")
        with writing(out):
            out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in records), encoding="utf-8")
    print_lines([str(out)])


def _print_predictions(predictions: Predictions, table: pd.DataFrame) -> None:
    """Print path, class and confidence of each image, and why an image has none."""
    columns = (
        Column("path", "path"),
        Column("predicted", "predicted"),
        Column("confidence", "confidence", "number", digits=4),
        *(Column(name, name.replace("_", " ")) for name in predictions.group_columns),
    )
    further = predictions.groups.astype(object).where(predictions.groups.notna(), None).itertuples(index=False)
    predicted = zip(predictions.y_pred, predictions.confidence, strict=True)  # type: ignore[arg-type]
    rows: list[tuple[Cell, ...]] = []
    notes = []
    for path, error in zip(table["path"], table["error"], strict=True):
        if isinstance(error, str):
            rows.append((str(path), *[None] * (len(columns) - 1)))
            notes.append(f"{path} cannot be read: {error}")
        else:
            label, confidence = next(predicted)
            rows.append((str(path), predictions.classes[label], float(confidence), *next(further)))
    print_tables([Table("predictions", "", columns, tuple(rows), notes=tuple(notes))])


@contextmanager
def check_progress(what: str = "checking images") -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback (done, total) that draws a progress bar on stderr; None where stderr is no terminal."""
    with named_progress() as on_image:
        yield None if on_image is None else lambda done, total: on_image(what, done, total)


@contextmanager
def named_progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a callback (name, done, total) that draws a progress bar on stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=None)

    def on_step(what: str, done: int, total: int) -> None:
        bar.update(task, description=what, completed=done, total=total)
        if done < total:
            bar.start()
        else:
            bar.stop()

    try:
        yield on_step
    finally:
        bar.stop()
