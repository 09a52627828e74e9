"""Every public name shows in its docstring how it is used, by an example that runs as a doctest."""

from __future__ import annotations

import doctest
import inspect

import pytest

import tlkit

NAMES = [name for name in tlkit.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example_that_is_run(name):
    text = inspect.getdoc(getattr(tlkit, name)) or ""
    assert "Example:" in text
    steps = doctest.DocTestParser().get_examples(text)
    assert steps
    assert not any(doctest.SKIP in step.options for step in steps)
