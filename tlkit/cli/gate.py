"""`tlkit audit --gate`: the table of gates, the files for continuous integration, the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tlkit.choices import Task
from tlkit.cli.output import print_lines, print_tables
from tlkit.disk import writing
from tlkit.errors import PredictionsError
from tlkit.output_files import require_writable

if TYPE_CHECKING:
    from tlkit.audit.gates.gate_report import GateReport
    from tlkit.recipe.gates_file import GatesFile


def open_gate_file(
    gate: Path | None, *, junit: Path | None, summary: Path | None, sarif: Path | None, task: Task = "multiclass"
) -> GatesFile | None:
    """Return the gates of a file for a task, or None where no file is given.

    Raises:
        TlkitError: the file is wrong; --junit, --summary or --sarif is given without --gate, or cannot be written.
    """
    from tlkit.runs.gate_run import load_task_gates

    problems = []
    for option, path in (("--junit", junit), ("--summary", summary), ("--sarif", sarif)):
        if path is not None and gate is None:
            problems.append(f"{option} {path} is about gates. Name their file, too: --gate gates.yaml")
    if problems:
        raise PredictionsError(*problems)
    require_writable({"--junit": junit, "--summary": summary, "--sarif": sarif}, in_place=True)
    return None if gate is None else load_task_gates(gate, task)


def finish_gate(
    report: GateReport, *, junit: Path | None, summary: Path | None, sarif: Path | None, quiet: bool
) -> None:
    """Print the gates unless `quiet`, write the requested files, and end with the exit code.

    Raises:
        typer.Exit: always; 0 = all gates pass, 1 = one failed, 3 = not enough data.
    """
    for path, text in ((junit, report.to_junit), (summary, report.to_markdown), (sarif, report.to_sarif)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with writing(path):
                path.write_text(text(), encoding="utf-8", newline="\n")
    if not quiet:
        print_lines([""])
        print_tables(report.tables())
    raise typer.Exit(report.exit_code)
