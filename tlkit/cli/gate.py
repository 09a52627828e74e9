"""What `tlkit audit --gate` adds: the table of gates, the files for continuous integration, the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tlkit.cli.output import print_lines, print_tables
from tlkit.errors import PredictionsError

if TYPE_CHECKING:
    from tlkit.audit.gates.gate_report import GateReport
    from tlkit.audit.options import AuditOptions
    from tlkit.predictions import Predictions
    from tlkit.recipe.gates_file import GatesFile
    from tlkit.runs.run import Run


def open_gate_file(gate: Path | None, *, junit: Path | None, summary: Path | None) -> GatesFile | None:
    """Read the file of gates before anything is computed; None where none is named.

    Raises:
        TlkitError: the file is wrong; a file is to be written about gates that are not named, or where it cannot be.
    """
    from tlkit.audit.rates import METRICS
    from tlkit.recipe.gates_file import load_gates

    problems = []
    for option, path in (("--junit", junit), ("--summary", summary)):
        if path is not None and gate is None:
            problems.append(f"{option} {path} is about gates. Name their file, too: --gate gates.yaml")
        elif path is not None and path.is_dir():
            problems.append(f"{option} {path} is a folder. Name a file.")
    if problems:
        raise PredictionsError(*problems)
    return None if gate is None else load_gates(gate, metrics=METRICS)


def judge_gate_file(
    gates: GatesFile | None,
    what: Run | Predictions,
    *,
    split: str | None,
    groups: Path | None,
    y_true: str,
    y_pred: str,
    options: AuditOptions,
) -> GateReport | None:
    """Hold a run or predictions against the gates, where there are any.

    Args:
        gates: what must hold.
        what: the run, or predictions with all their columns.
        split: of the run.
        groups: columns to join to the run's predictions.
        y_true: column of the true classes in a baseline's file.
        y_pred: column of the predicted classes there.
        options: of the audit beside which the gates are judged.
    """
    from tlkit.predictions import Predictions
    from tlkit.runs.gate_run import gate

    if gates is None:
        return None
    joined = None if isinstance(what, Predictions) else groups  # a table has them already
    return gate(what, gates, split=split, groups=joined, y_true=y_true, y_pred=y_pred, options=options)


def finish_gate(report: GateReport, *, junit: Path | None, summary: Path | None, quiet: bool) -> None:
    """Print the gates unless told to be quiet, write the files that were asked for, and end with the exit code.

    Raises:
        typer.Exit: always; 0 = all gates pass, 1 = one failed, 3 = not enough data.
    """
    for path, text in ((junit, report.to_junit), (summary, report.to_markdown)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(), encoding="utf-8", newline="\n")
    if not quiet:
        print_lines([""])
        print_tables(report.tables())
    raise typer.Exit(report.exit_code)
