"""HTML pages of `tlkit data` commands, which replace only files written by the same command."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tlkit.errors import DataError
from tlkit.render.report.template import render_to

Command = Literal["doctor", "labels", "summary"]
MARK_BYTES = 4096


def require_own_page(path: Path | None, *, command: Command, overwrite: bool = False) -> None:
    """Check the path of a page before the work starts.

    Args:
        path: the page to write; None = no page.
        command: the command; a page that the same command wrote may be replaced.
        overwrite: whether any file may be replaced.

    Raises:
        DataError: the path is a folder, or a file that the command did not write.
    """
    if path is None or not path.exists():
        return
    if path.is_dir():
        raise DataError(f"{path} is a folder. Give the name of a file, such as {path / (command + '.html')}.")
    if overwrite:
        return
    with path.open("rb") as file:
        if _mark(command).encode() not in file.read(MARK_BYTES):
            raise DataError(
                f"{path} exists and was not written by tlkit data {command}. Use another name, or --overwrite."
            )


def write_page(path: Path, *, command: Command, **values: Any) -> Path:
    """Render the template of a command into a file, atomically; return its path."""
    return render_to(path, f"{command}.html.j2", generator=f"tlkit data {command}", **values)


def _mark(command: Command) -> str:
    return f'<meta name="generator" content="tlkit data {command}">'
