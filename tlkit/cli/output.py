"""How the command line prints: tables, lines and JSON to stdout; logs and progress to stderr."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.errors import DataError, PredictionsError, RunError
from tlkit.tables import Column, Table, to_lines
from tlkit.tables.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.predictions import Predictions
    from tlkit.runs.run import Run

OUT_SUFFIXES = (".csv", ".parquet", ".jsonl")


def start_logging(*, quiet: bool, verbose: bool) -> None:
    """Send tlkit's log to stderr; other libraries only where they warn."""
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


def print_tables(tables: Iterable[Table], *, most_rows: int | None = None) -> None:
    """Print tables as aligned columns, within the width of a terminal.

    Args:
        tables: what to print.
        most_rows: rows of each table at most; a note counts the others. None = all.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in to_lines(tables, width=width, most_rows=most_rows):
        print(line)


def print_table(rows: Sequence[Sequence[str]], *, header: bool = True) -> None:
    """Print rows of text as aligned columns, within the width of a terminal; the first row is the header."""
    if not rows:
        return
    count = max(map(len, rows))
    labels, *body = rows if header else ([], *rows)
    columns = tuple(Column(str(place), labels[place] if place < len(labels) else "") for place in range(count))
    print_tables([Table("rows", "", columns, tuple((*row, *[""] * (count - len(row))) for row in body))])


def print_run(run: Run) -> None:
    """Print what a fit has found, and where to look."""
    from tlkit.evaluation.evaluation_tables import summary_table

    split = run.judged_split()
    print_lines([judged_on(run, split), ""])
    print_tables([summary_table(run.evaluation(split))])
    audit = run.get_audit(split) if run.recipe.audit.by else None
    if audit is not None:
        print_lines([""])
        print_tables(audit.tables())
    print_lines([""])
    places = {"report": run.directory.report, "model": run.directory.model, "everything": run.path}
    there = tuple((what, str(place)) for what, place in places.items() if place.exists())
    print_tables([Table("places", "", (Column("what", ""), Column("path", "")), there)])


def judged_on(run: Run, split: str) -> str:
    """Say which images the figures of a run are about."""
    chose = ", which also chose the epoch" if run.chose_epoch(split) else ""
    return f"{run.directory.name}: {run.status}, judged on the {split} split{chose}"


def find_run(path: Path, *, split: str | None) -> Run | None:
    """Open a run, or return None for what must be a file of predictions.

    Raises:
        TlkitError: it is no run and no file either, or a split is asked of a file.
    """
    from tlkit.runs.run import open_run

    if path.is_file() or path.suffix in (".csv", ".parquet"):
        if split is not None:
            raise PredictionsError(f"--split {split} is for runs; {path} is one table of predictions.")
        return None
    return open_run(path)


def read_file(path: Path, *, y_true: str, y_pred: str) -> Predictions:
    """Read a table of predictions that any tool wrote."""
    from tlkit.predictions import read_predictions

    return read_predictions(path, y_true=y_true, y_pred=y_pred)


def require_suffix(out: Path | None) -> None:
    """Check the kind of an output file before anything is computed for it.

    Raises:
        PredictionsError: it is of no known kind.
    """
    if out is not None and out.suffix not in OUT_SUFFIXES:
        raise PredictionsError(
            f"--out is {out}. Use a file that ends in {', '.join(OUT_SUFFIXES[:-1])} or {OUT_SUFFIXES[-1]}."
        )


def require_run_first(run: Path, paths: Sequence[Path]) -> None:
    """Check that the run was not named after its images.

    Raises:
        RunError: it was.
    """
    from tlkit.runs.directory import MARKER

    behind = [path for path in paths if (path / MARKER).is_file()]
    if behind and not (run / MARKER).is_file():
        raise RunError(
            f"{run} is not a run of tlkit, but {behind[0]} is one. Name the run first: tlkit predict {behind[0]} {run}."
        )


def require_svg(plot: Path | None) -> None:
    """Check the kind of a plot's file before anything is computed for it.

    Raises:
        DataError: it is no .svg file.
    """
    if plot is not None and plot.suffix != ".svg":
        raise DataError(f"--plot is {plot}. Use a file that ends in .svg.")


def write_svg(plot: Path, draw: Callable[[], Axes]) -> None:
    """Write a figure to a file."""
    from tlkit.render.plots import to_svg

    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(to_svg(draw), encoding="utf-8")


def write_predictions(predictions: Predictions, out: Path | None) -> None:
    """Write predictions to a file of the kind that its name says, or a short table to stdout."""
    if out is None:
        columns = (
            Column("path", "path"),
            Column("predicted", "predicted"),
            Column("confidence", "confidence", "number", digits=4),
        )
        rows = zip(predictions.path, predictions.y_pred, predictions.confidence, strict=True)  # type: ignore[arg-type]
        named = tuple((str(path), predictions.classes[label], float(sure)) for path, label, sure in rows)
        print_tables([Table("predictions", "", columns, named)])
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        predictions.to_parquet(out)
    elif out.suffix == ".csv":
        predictions.table().to_csv(out, index=False, lineterminator="\n")
    else:
        records = predictions.table().astype(object).where(lambda table: table.notna(), None).to_dict("records")
        out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in records), encoding="utf-8")
    print_lines([str(out)])


@contextmanager
def check_progress(what: str = "checking images") -> Iterator[Callable[[int, int], None] | None]:
    """Draw a progress bar on stderr while images are checked, where stderr is a terminal."""
    with named_progress() as on_image:
        yield None if on_image is None else lambda done, total: on_image(what, done, total)


@contextmanager
def named_progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Draw a progress bar on stderr for work that has a name, where stderr is a terminal."""
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
