"""HTML pages about a dataset; a page replaces only a page of the same command."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tlkit.errors import DataError
from tlkit.render.report.template import render_to

Command = Literal["doctor", "labels", "summary"]
MARK_BYTES = 4096


def require_own_page(path: Path | None, *, command: Command, overwrite: bool = False) -> None:
    """Check that a page may be written at a path, before its content is computed.

    Args:
        path: the page to write; None = none.
        command: the command that writes it; its own pages may be replaced.
        overwrite: replace any file.

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
    """Render the template of a command into one file atomically; no script, no network."""
    return render_to(path, f"{command}.html.j2", generator=f"tlkit data {command}", **values)


def _mark(command: Command) -> str:
    return f'<meta name="generator" content="tlkit data {command}">'
