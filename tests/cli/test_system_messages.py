"""Messages about files that the system refuses: the path, its reason, what to do."""

from __future__ import annotations

import errno
import os

import pytest
from messages import says

from tlkit.cli.app import message_of
from tlkit.errors import RunError
from tlkit.runs import RunDirectory


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "permissions"),
        (errno.EROFS, "another place"),
        (errno.EISDIR, "Name a file"),
        (errno.ENOTDIR, "folder is needed"),
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some space"),
    ],
)
def test_a_file_that_cannot_be_written_is_named_with_a_remedy(number, remedy):
    assert says(message_of(OSError(number, os.strerror(number), "out/p.csv")), "out/p.csv", os.strerror(number), remedy)


def test_a_file_given_as_a_split_is_told_where_reports_lie(tmp_path):
    directory = RunDirectory.create(tmp_path / "r")
    directory.predictions("test").parent.mkdir()
    directory.predictions("test").touch()
    with pytest.raises(RunError) as caught:
        directory.judged_split("x.html")
    assert says(str(caught.value), "split 'x.html'", "test", "run's folder")
