"""Numbers in small and large units: the same evaluation, audit, comparison and slices, shown with their digits."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tlkit.analysis import find_task_slices
from tlkit.audit import audit_numbers, compare_task_models
from tlkit.audit.options import AuditOptions
from tlkit.evaluation import evaluate_numbers
from tlkit.predictions import NumberPredictions
from tlkit.stats.estimate import Estimate
from tlkit.tables.formatting import format_cell

UNITS = [2.0**-60, 2.0**-30, 2.0**-20, 2.0**-10, 2.0**40]  # powers of 2: results differ by rounding alone
OPTIONS = AuditOptions().with_overrides(by=["tone"], min_group_size=5)


def table(unit=1.0, *, worse=1.0):
    rng, n = np.random.default_rng(0), 240
    dark = np.arange(n) % 2
    y_true = rng.normal(40, 10, n)
    y_pred = y_true + worse * (rng.normal(0, 2, n) + 3 * dark)
    return NumberPredictions.build(
        path=[f"{number}.png" for number in range(n)],
        y_true=y_true * unit,
        y_pred=y_pred * unit,
        lower=(y_pred - 5) * unit,
        upper=(y_pred + 4) * unit,
        groups=pd.DataFrame({"tone": np.where(dark, "dark", "pale"), "person": (np.arange(n) // 3).astype(str)}),
    )


def same(found, at_one, unit):
    """Whether an estimate is that of the unit 1, in its unit."""
    ends = [(getattr(found, name), getattr(at_one, name)) for name in ("value", "low", "high")]
    for end, other in ends:
        assert (end is None) == (other is None)
        assert end is None or end == pytest.approx(other * unit, rel=1e-9)
    assert found.note == at_one.note


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("clusters", [None, "person"])
def test_errors_have_the_same_intervals_in_every_unit(unit, clusters):
    found, at_one = (evaluate_numbers(table(one), cluster_by=clusters) for one in (unit, 1.0))
    for name in ("mean_absolute_error", "root_mean_squared_error", "mean_error"):
        same(getattr(found, name), getattr(at_one, name), unit)
        assert getattr(found, name).low is not None
    same(found.r_squared, at_one.r_squared, 1.0)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("clusters", [None, "person"])
def test_groups_have_the_same_verdicts_in_every_unit(unit, clusters):
    options = replace(OPTIONS, cluster_by=clusters)
    found, at_one = (audit_numbers(table(one), options) for one in (unit, 1.0))
    assert at_one.verdict == "FAIL" and found.tests == at_one.tests
    for ours, other in zip(found.group_tables, at_one.group_tables, strict=True):
        for row, reference in zip(ours.rows, other.rows, strict=True):
            scale = 1.0 if ours.metric == "coverage" else unit
            same(row.rate, reference.rate, scale)
            same(row.difference, reference.difference, scale)
            assert (row.verdict, row.images_needed) == (reference.verdict, reference.images_needed)
            assert row.p == pytest.approx(reference.p, rel=1e-6)


@pytest.mark.parametrize("unit", UNITS)
def test_models_and_slices_are_told_apart_in_every_unit(unit):
    found, at_one = (compare_task_models(table(one), table(one, worse=1.2), OPTIONS) for one in (unit, 1.0))
    assert [row.change for row in found.rows] == [row.change for row in at_one.rows]
    assert found.main.change == "worse"
    slices, expected = (find_task_slices(table(one), ["tone"]) for one in (unit, 1.0))
    assert [(one.name, one.standing) for one in slices.slices] == [(one.name, one.standing) for one in expected.slices]
    assert [one.name for one in slices.confirmed] == ["tone is dark"]


@pytest.mark.parametrize("unit", [1e-2, 1e-3, 1e-4, 1e-6, 1e-10])
def test_every_table_shows_three_digits_of_an_error(unit):
    numbers = table(unit)
    results = [
        evaluate_numbers(numbers),
        audit_numbers(numbers, OPTIONS),
        compare_task_models(numbers, table(unit, worse=1.2), OPTIONS),
        find_task_slices(numbers, ["tone"]),
    ]
    shown = 0
    for result in results:
        for found in result.tables():
            for row in found.rows:
                for cell, column in zip(row, found.columns, strict=True):
                    if not column.in_unit or not isinstance(cell, Estimate) or not cell.value:
                        continue
                    text = format_cell(cell, column)
                    value = float(re.match(r"[-+0-9.e]+", text)[0])
                    size = max(abs(one) for one in (cell.value, cell.low, cell.high) if one is not None)
                    assert value == pytest.approx(cell.value, abs=0.02 * size), (text, cell)
                    shown += 1
    assert shown > 15


def test_rates_keep_three_decimals():
    assert Estimate(0.0, 0.0, 0.0037, n=1000).format() == "0.000 [0.000, 0.004]"
    assert Estimate(0.0004, -0.01, 0.011, n=99).format(signed=True) == "0.000 [-0.010, +0.011]"
