"""Every strategy in every family freezes and trains what docs/strategies.md states."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
spec = importlib.util.spec_from_file_location("make_strategies", DOCS / "make_strategies.py")
made = sys.modules["make_strategies"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)
PAGE = (DOCS / "strategies.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", made.FAMILIES)
@pytest.mark.parametrize("strategy", made.STRATEGIES)
def test_frozen_and_trained_parameters_are_those_of_the_page(strategy, family):
    measured = made.measure(strategy, family)
    assert measured.frozen_unchanged in (True, None)
    assert measured.live_features_equal in (True, None)
    assert measured.trained_changed
    if strategy in ("frozen", "bias_only", "lora"):
        assert measured.frozen_unchanged and measured.live_features_equal
    assert measured.row() in PAGE.splitlines()


def test_the_page_holds_what_its_command_prints_and_nothing_else():
    assert PAGE.startswith(made.HEAD)
    rows = [line.split(" | ")[:2] for line in PAGE.removeprefix(made.HEAD).splitlines()]
    assert rows == [[f"| {strategy}", family] for strategy in made.STRATEGIES for family in made.FAMILIES]
