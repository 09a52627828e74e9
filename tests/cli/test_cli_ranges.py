"""Every number on the command line has a range: what lies outside is refused by name, before any input is read."""

from __future__ import annotations

import typing

import pytest
from options import parameters


def numbers():
    """Yield the command, the option and its ends for every option that takes a number."""
    for command, name, kind, facts in parameters():
        kinds = {kind, *typing.get_args(kind)}
        if kinds & {int, float}:
            yield pytest.param(command, name, float in kinds, facts, id=f"{command} {name}")


NUMBERS = list(numbers())


def test_the_walk_finds_the_numbers():
    found = {case.id for case in NUMBERS}
    assert len(found) >= 25
    assert {"recipe tune steps", "data labels top", "learning-curve repeats", "advise max_latency_ms"} <= found


@pytest.mark.parametrize(("command", "name", "fractions", "facts"), NUMBERS)
def test_a_number_out_of_range_is_refused_by_the_name_of_its_option(command, name, fractions, facts, run):
    assert facts.min is not None and facts.max is not None
    option = f"--{name.replace('_', '-')}"
    inputs = {"data sample": ["digits", "made"], "features prune": [], "data split": ["photos", "--out", "s.csv"]}
    for value in (10**21, -(10**21), *(("nan", "inf", "-inf", "1e300") if fractions else ("1.5",))):
        done = run(*command.split(), *inputs.get(command, ["none"]), f"{option}={value}")
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert option in done.stderr and "does not exist" not in done.stderr
