"""Output of the command line: tables, lines and JSON to stdout; logs and progress bars to stderr; files."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from tlkit.cli.streams import writes_unicode
from tlkit.disk import write_text
from tlkit.errors import DataError, PredictionsError, RunError
from tlkit.output_files import require_writable
from tlkit.tables import Cell, Column, Paragraph, Table, paragraph_lines, to_lines
from tlkit.tables.paragraphs import WIDTH
from tlkit.tables.text import printable, wrap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from tlkit.audit.plain_verdicts import PlainVerdict
    from tlkit.predictions import Predictions, Unreadable
    from tlkit.runs.run import Run

OUT_SUFFIXES = (".csv", ".parquet", ".jsonl")


class Result(Protocol):
    """A result that every medium can show."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""

    def tables(self) -> Iterable[Table]:
        """Return the tables that show the result."""


class StderrHandler(logging.Handler):
    """Writes log lines to what `sys.stderr` is at that time, so that they appear above a progress bar of Rich.

    On a terminal they are wrapped at words to its width.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            text = self.format(record)
            if sys.stderr.isatty():
                width = terminal_width(sys.stderr)
                text = "\n".join(part for line in text.split("\n") for part in _wrapped(line, width))
            sys.stderr.write(text + "\n")
        except Exception:
            self.handleError(record)


def _wrapped(line: str, width: int) -> list[str]:
    """Return the lines of a log line; one that starts with spaces is a row of a table and stays whole."""
    return [line] if line.startswith(" ") or not line else wrap(line, width)


def start_logging(*, quiet: bool, verbose: bool) -> None:
    """Send the log of tlkit to stderr, and the warnings of other libraries."""
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    handler = StderrHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("tlkit").setLevel(level)
    for name in ("pytorch_lightning", "lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)


def wants_details(stated: bool) -> bool:
    """Return whether a command prints every table: by its own option, or by `tlkit -v`; logs details then, too."""
    if stated:
        start_logging(quiet=False, verbose=True)
    return logging.getLogger("tlkit").isEnabledFor(logging.DEBUG)


def terminal_width(stream: TextIO) -> int:
    """Return the columns of the terminal that a stream writes to; 80 where it writes to a file or a pipe."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if stream.isatty() else WIDTH


def uses_color(stream: TextIO) -> bool:
    """Return whether text for a stream is colored: a terminal that can, and no `NO_COLOR` (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def draws_progress() -> bool:
    """Return whether progress bars are drawn on stderr: a terminal that can move its cursor, outside CI."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and os.environ.get("CI", "") in ("", "false", "0")


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout."""
    for line in lines:
        print("\n".join(map(printable, line.split("\n"))))


def print_json(values: Mapping[str, Any]) -> None:
    """Print JSON to stdout; in ASCII where its encoding lacks letters."""
    print(json.dumps(values, indent=2, ensure_ascii=not writes_unicode(sys.stdout)))


def print_result(result: Result, *, as_json: bool, sentence: str = "") -> None:
    """Print a result as JSON, or as a plain sentence about it and tables."""
    if as_json:
        print_json(result.to_dict())
        return
    if sentence:
        print_paragraphs([sentence])
        print_lines([""])
    print_tables(result.tables())


def print_tables(tables: Iterable[Table], *, most_rows: int | None = None) -> None:
    """Print tables as aligned columns, within the width of a terminal.

    Args:
        tables: the tables.
        most_rows: rows of each table at most; a note counts the others. None = all.
    """
    width = terminal_width(sys.stdout) if sys.stdout.isatty() else None
    for line in to_lines(tables, width=width, most_rows=most_rows, colored=uses_color(sys.stdout)):
        print(line)


def print_paragraphs(texts: Iterable[str | Paragraph]) -> None:
    """Print sentences and labelled paragraphs, each wrapped to the width of the terminal."""
    for labelled, some in groupby(texts, key=lambda text: isinstance(text, Paragraph)):
        shown = [text if isinstance(text, Paragraph) else Paragraph("", text) for text in some]
        if labelled:
            print()
        for line in paragraph_lines(shown, width=terminal_width(sys.stdout), colored=uses_color(sys.stdout)):
            print(line)


def print_verdicts(verdicts: tuple[PlainVerdict, ...]) -> None:
    """Print the verdict on each column in words."""
    from tlkit.runs.run_summary_tables import verdict_lines

    for line in verdict_lines(verdicts, width=terminal_width(sys.stdout), colored=uses_color(sys.stdout)):
        print(line)


def print_run(run: Run, *, details: bool) -> None:
    """Print a run in brief, at most 25 lines; with details also the tables of its evaluation and its audit."""
    from tlkit.runs.run_summary import summarize_run
    from tlkit.runs.run_summary_tables import summary_lines

    summary = summarize_run(run)
    if details and summary.split is not None:
        print_tables(run_tables(run, summary.split))
        print_lines([""])
    for line in summary_lines(summary, width=terminal_width(sys.stdout), colored=uses_color(sys.stdout)):
        print(line)


def run_tables(run: Run, split: str) -> Iterator[Table]:
    """Yield the tables of a run's evaluation and, where its recipe has group columns, of its audit."""
    if run.task != "multiclass":
        yield from run.task_evaluation(split).tables()
        of_task = run.get_task_audit(split)
        yield from of_task.tables() if of_task is not None else ()
        return
    from tlkit.evaluation.evaluation_tables import evaluation_tables

    yield from evaluation_tables(run.evaluation(split))
    audit = run.get_audit(split) if run.recipe.audit.by else None
    yield from audit.tables() if audit is not None else ()


def judged_on(run: Run, split: str) -> str:
    """Return a line that names the split of a run's figures, and whether it also chose the epoch."""
    from tlkit.runs.assess_split import chose_epoch

    chose = ", which also chose the epoch" if chose_epoch(split, run.history) else ""
    trained = ", the images that it was trained on" if split == "train" else ""
    return f"{run.directory.name}: {run.status}, judged on the {split} split{chose}{trained}"


def require_predictions_file(out: Path | None) -> None:
    """Check the suffix of an output file of predictions, and that it can be written.

    Raises:
        PredictionsError: the suffix is unknown.
        DataError: the file cannot be written.
    """
    if out is not None and out.suffix.lower() not in OUT_SUFFIXES:
        raise PredictionsError(
            f"--out is {out}. Use a file that ends in {', '.join(OUT_SUFFIXES[:-1])} or {OUT_SUFFIXES[-1]}."
        )
    require_writable({"--out": out})


def require_run_first(run: Path, paths: Sequence[Path]) -> None:
    """Check that the run is named before its images.

    Raises:
        RunError: one of the images is a run, and the run is none.
    """
    from tlkit.runs.directory import MARKER

    real = next((path for path in paths if (path / MARKER).is_file()), None)
    if real is not None and not (run / MARKER).is_file():
        raise RunError(f"{run} is not a run of tlkit, but {real} is. Name the run first: tlkit predict {real} {run}.")


def require_svg(plot: Path | None, *, option: str = "--plot") -> None:
    """Check the suffix of a plot's file, and that it can be written.

    Raises:
        DataError: it is not .svg, or cannot be written.
    """
    if plot is not None and plot.suffix.lower() != ".svg":
        raise DataError(f"{option} is {plot}. Use a file that ends in .svg.")
    require_writable({option: plot})


def write_svg(plot: Path, draw: Callable[[], Axes]) -> None:
    """Write a figure as SVG."""
    from tlkit.render.plots import to_svg

    plot.parent.mkdir(parents=True, exist_ok=True)
    write_text(plot, to_svg(draw))


def write_predictions(
    predictions: Predictions, out: Path | None, *, unreadable: Sequence[Unreadable], named: bool = True
) -> None:
    """Write predictions in the format of the suffix of `out`, or print a short table where `out` is None.

    The file is named on stdout, unless `named` is False, since JSON stands there.

    Unreadable images have rows of their own, with the reason in the column `error`.
    """
    if out is None:
        groups = predictions.groups.astype(object).where(predictions.groups.notna(), None)
        assert predictions.confidence is not None, "a model gives probabilities"
        print_predictions(
            predictions.path.tolist(),
            [predictions.classes[code] for code in predictions.y_pred],
            predictions.confidence.tolist(),
            further={name: groups[name].tolist() for name in predictions.group_columns},
            unreadable=unreadable,
        )
        return
    if out.suffix.lower() == ".parquet":
        out.parent.mkdir(parents=True, exist_ok=True)
        predictions.to_parquet(out, unreadable=unreadable)
    else:
        write_table(predictions.table(unreadable=unreadable), out)
    if named:
        print_lines([str(out)])


def write_table(table: pd.DataFrame, out: Path) -> None:
    """Write a table of predictions as CSV or JSON lines, by the suffix of `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == ".csv":
        from tlkit.csv_files import write_csv

        write_csv(out, table, verbatim=["path", "mask"])
    else:
        records = table.astype(object).where(lambda cells: cells.notna(), None).to_dict("records")
        write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in records))


def print_predictions(
    paths: Sequence[str],
    labels: Sequence[str],
    confidences: Sequence[float],
    *,
    further: Mapping[str, Sequence[Cell]],
    unreadable: Sequence[Unreadable],
) -> None:
    """Print path, class and confidence of each image, further columns, and why an image has none."""
    columns = (
        Column("path", "path"),
        Column("predicted", "predicted"),
        Column("confidence", "confidence", "number", digits=4),
        *(Column(name, name.replace("_", " ")) for name in further),
    )
    failed = {one.row: one for one in unreadable}
    predicted = zip(paths, labels, confidences, *further.values(), strict=True)
    rows = tuple(
        (failed[place].path, *[None] * (len(columns) - 1)) if place in failed else next(predicted)
        for place in range(len(paths) + len(unreadable))
    )
    notes = tuple(f"{one.path} cannot be read: {one.reason}" for _, one in sorted(failed.items()))
    print_tables([Table("predictions", "", columns, rows, notes=notes)])


@contextmanager
def image_progress(what: str = "checking images") -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback (done, total) that draws a progress bar on stderr; None where stderr is no terminal."""
    with named_progress() as on_image:
        yield None if on_image is None else lambda done, total: on_image(what, done, total)


@contextmanager
def named_progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a callback (name, done, total) that draws a progress bar on stderr; None where stderr is no terminal."""
    if not draws_progress():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True, expand=True)
    task = bar.add_task("", total=None, rate="")
    step, begun, before = "", 0.0, 0

    def on_step(what: str, done: int, total: int) -> None:
        nonlocal step, begun, before
        now = monotonic()
        if what != step:
            bar.reset(task, description=what, total=total)
            step, begun, before = what, now, done
        passed = now - begun
        rate = f"{(done - before) / passed:,.0f}/s" if passed > 0 and done > before else ""
        bar.update(task, description=what, completed=done, total=total, rate=rate)
        if done < total:
            bar.start()
        else:
            bar.stop()
            step = ""

    try:
        yield on_step
    finally:
        bar.stop()


def require_own_html(html: Path | None, *, command: Literal["doctor", "labels", "summary"], overwrite: bool) -> None:
    """Check that the page may be written; without a page nothing that draws it is loaded."""
    if html is not None:
        from tlkit.render.report.dataset_pages import require_own_page

        require_own_page(html, command=command, overwrite=overwrite)
