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


def test_a_name_that_has_moved_to_a_package_is_given_with_its_new_place_and_is_not_offered():
    for package, names in references.FURTHER.items():
        module = importlib.import_module(package)
        for name in names:
            assert name not in dir(tlkit)
            with pytest.warns(DeprecationWarning, match=f"{package}.{name}"):
                assert getattr(tlkit, name) is getattr(module, name)
    with pytest.raises(AttributeError, match="nothing_of_this"):
        tlkit.nothing_of_this  # noqa: B018
