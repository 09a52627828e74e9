"""The real command, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def tlkit(*arguments: object, cwd: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command, or `code` in its place, with these arguments."""
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
