"""Paths in shared tensors."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlkit.data.loading.shared_paths import PathTable

texts = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=30)


@given(paths=texts)
def test_paths_are_returned_unchanged(paths):
    table = PathTable(paths)
    assert [table[index] for index in range(len(table))] == paths
    assert [table[index - len(paths)] for index in range(len(paths))] == paths
    with pytest.raises(IndexError):
        table[len(paths)]


def test_names_that_are_not_utf8_are_returned_unchanged():
    path = os.fsdecode(b"caf\xe9.jpg")
    assert PathTable(["a", path])[1] == path


def test_one_long_path_does_not_lengthen_the_others():
    table = PathTable(["x" * 4000, *("short.jpg" for _ in range(10_000))])
    assert table._bytes.nbytes + table._ends.nbytes < 200_000
