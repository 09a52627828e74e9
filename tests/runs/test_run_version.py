"""A run whose format is newer, or no number, is refused by every way to open it, with what was seen and what to do."""

from __future__ import annotations

import json

import pytest
from messages import says

from tlkit.errors import RunError
from tlkit.runs import RunDirectory
from tlkit.runs.directory import MARKER
from tlkit.runs.run import open_run


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (99, "pip install -U tlkit"),
        ("99", "restore it"),
        ("two", "restore it"),
        (1.5, "restore it"),
        (True, "restore it"),
        (None, "restore it"),
        ([1], "restore it"),
        (0, "restore it"),
    ],
)
def test_a_format_that_is_newer_or_no_number_is_refused(version, remedy, tmp_path):
    directory = RunDirectory.create(tmp_path / "mine")
    directory.write_json(
        directory.path / MARKER, {"format_version": version, "status": "finished", "updated": "2026-12-01T00:00:00"}
    )
    for opened in (open_run, RunDirectory.open):
        with pytest.raises(RunError) as caught:
            opened(directory.path)
        assert says(str(caught.value), "mine", str(version)[:30], remedy)
    assert json.loads((directory.path / MARKER).read_text())["format_version"] == version  # and is left as it was
