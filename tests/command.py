"""The command line, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
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
