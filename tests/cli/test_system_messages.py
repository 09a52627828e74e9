"""Messages about files that the system refuses: the path, its reason, what to do."""

from __future__ import annotations

import errno
import os

import pytest
from messages import says

from tlkit.cli.app import message_of


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
