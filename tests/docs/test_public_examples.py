"""Every public name shows in its docstring how it is used, by an example that runs as a doctest."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

import tlkit

references = pytest.importorskip("references")


@pytest.mark.parametrize("name", references.public_names())
def test_a_public_name_has_an_example_that_is_run(name):
    package, _, last = name.rpartition(".")
    text = inspect.getdoc(getattr(importlib.import_module(package), last)) or ""
    assert "Example:" in text
    steps = doctest.DocTestParser().get_examples(text)
    assert steps
    assert not any(doctest.SKIP in step.options for step in steps)


def test_each_public_name_has_one_place():
    for package, names in references.FURTHER.items():
        for name in names:
            assert not hasattr(tlkit, name)
            assert hasattr(importlib.import_module(package), name)
    with pytest.raises(AttributeError, match="nothing_of_this"):
        tlkit.nothing_of_this  # noqa: B018
