"""The command line, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock


def tlkit(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, which costs no imports."""
    from tlkit.cli.app import main

    said, logged = io.StringIO(), io.StringIO()
    command = ["tlkit", *map(str, arguments)]
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(logged),
        mock.patch.object(sys, "argv", command),
    ):
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
    return subprocess.CompletedProcess(command, status, said.getvalue(), logged.getvalue())


@dataclass(frozen=True)
class Invoked:
    """How a command ended, and what it wrote: `output` holds both streams in the order of writing."""

    exit_code: int
    stdout: str
    stderr: str
    output: str
    exception: BaseException | None


class _Stream(io.StringIO):
    """A stream whose text also goes to another one."""

    def __init__(self, both: io.StringIO) -> None:
        super().__init__()
        self.both = both

    def write(self, text: str) -> int:
        self.both.write(text)
        return super().write(text)


def invoke(arguments: Sequence[str], *, catch_exceptions: bool = True) -> Invoked:
    """Call the commands without `main`, which turns exceptions into messages, as typer's CliRunner does.

    CliRunner builds all commands at each call; here they are those of the process.
    """
    from tlkit.cli.app import command_tree

    both = io.StringIO()
    said, logged = _Stream(both), _Stream(both)
    code, exception = 0, None
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(logged),
        mock.patch.object(sys, "stdin", io.StringIO()),
    ):
        try:
            command_tree()(args=list(arguments), prog_name="tlkit")
        except SystemExit as stop:
            code = int(stop.code or 0)
            exception = stop if code else None
        except Exception as error:
            if not catch_exceptions:
                raise
            code, exception = 1, error
    return Invoked(code, said.getvalue(), logged.getvalue(), both.getvalue(), exception)


def process(*arguments: object, cwd: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command, or `code` in its place, with these arguments in a process of its own."""
    start = ["-c", code] if code else ["-m", "tlkit"]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
