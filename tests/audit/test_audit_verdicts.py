"""How often the verdicts are right: simulated test sets with and without a gap (the known answer T34)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from tlkit.audit.group_vs_rest import compare_with_complement
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import Rate
from tlkit.audit.verdicts import assign_verdicts, verdict
from tlkit.stats.estimate import Estimate


@pytest.mark.parametrize(
    ("difference", "p_holm", "expected"),
    [
        ((-0.20, -0.30, -0.06), 0.001, "FAIL"),
        ((0.20, 0.06, 0.30), 0.001, "FAIL"),  # better than the rest is a gap, too
        ((-0.20, -0.30, -0.06), 0.2, "NOT ENOUGH DATA"),  # clear alone, not among so many tests
        ((-0.20, -0.30, -0.06), None, "NOT ENOUGH DATA"),
        ((-0.20, -0.30, -0.05), 0.001, "NOT ENOUGH DATA"),  # may be no more than the tolerance
        ((0.01, -0.02, 0.03), 0.001, "PASS"),  # certain, but small
        ((0.0, -0.05, 0.05), None, "PASS"),
        ((0.0, -0.06, 0.04), 1.0, "NOT ENOUGH DATA"),
    ],
)
def test_the_verdict_asks_for_the_whole_interval(difference, p_holm, expected):
    assert verdict(Estimate(*difference, n=100), p_holm, tolerance=0.05, alpha=0.05) == expected


def test_no_comparison_is_not_enough_data():
    assert verdict(None, None, tolerance=0.05, alpha=0.05) == "NOT ENOUGH DATA"


def simulated(rates, n, *, tolerance, runs=400, seed=0):
    """Return the verdicts of all groups in simulated test sets, shape (runs, groups)."""
    generator = np.random.default_rng(seed)
    groups = len(rates)
    cells = GroupMembership(("g",), tuple((str(i),) for i in range(groups)), np.empty(0, dtype=np.int64))
    options = AuditOptions(tolerance=tolerance)
    sizes = np.append(np.full(groups, n), 0)  # nobody with a missing value
    verdicts = []
    for _ in range(runs):
        k = np.append(generator.binomial(n, rates), 0)
        draft = compare_with_complement(cells, Rate("accuracy"), k=k, n=sizes, images=sizes, options=options)
        (table,), _ = assign_verdicts([draft], options)
        verdicts.append([row.verdict for row in table.rows])
    return np.array(verdicts)


@pytest.mark.parametrize("one", [0.75, 0.85, 0.9])
def test_the_verdicts_are_those_of_scipys_test_and_statsmodels_correction_and_interval(monkeypatch, one):
    monkeypatch.setattr("tlkit.audit.estimators.max_gap", lambda *_, **__: None)
    rates, n, tolerance = [one, 0.9, 0.9, 0.9, 0.9], 200, 0.02
    ours = simulated(rates, n, tolerance=tolerance, runs=15, seed=7)
    generator = np.random.default_rng(7)
    for found in ours:
        k = generator.binomial(n, rates)
        sides = [(own, n, k.sum() - own, 4 * n) for own in k]
        p = [stats.fisher_exact([[a, n1 - a], [b, n2 - b]]).pvalue for a, n1, b, n2 in sides]
        corrected = multipletests(p, method="holm")[1]
        for verdict_, (a, n1, b, n2), holm_p in zip(found, sides, corrected, strict=True):
            low, high = confint_proportions_2indep(a, n1, b, n2, method="newcomb")
            fails = holm_p < 0.05 and (low > tolerance or high < -tolerance)
            passes = -tolerance <= low and high <= tolerance
            assert verdict_ == ("FAIL" if fails else "PASS" if passes else "NOT ENOUGH DATA")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "expected"),
    # share of test sets with a FAIL, at a tolerance of 0, .02 and .05; by another implementation of the same rule
    [(0.90, (0.020, 0.015, 0.0)), (0.75, (0.985, 0.992, 0.918)), (0.85, (0.30, 0.20, 0.05))],
)
def test_fail_is_rare_without_a_gap_and_sure_with_a_large_one(monkeypatch, one, expected):
    monkeypatch.setattr("tlkit.audit.estimators.max_gap", lambda *_, **__: None)  # no verdict rests on it
    for tolerance, share in zip((0.0, 0.02, 0.05), expected, strict=True):
        verdicts = simulated([one, 0.9, 0.9, 0.9, 0.9], 200, tolerance=tolerance, seed=1)
        within = 0.035 if one == 0.85 else 0.03  # both are samples of 400; with 4,000 ours are .29, .24 and .02
        assert (verdicts == "FAIL").any(axis=1).mean() == pytest.approx(share, abs=within)
        if one == 0.9:
            assert (verdicts == "FAIL").any(axis=1).mean() <= 0.05
        else:
            assert not (verdicts[:, 0] == "PASS").any() or tolerance == 0.05
            assert (verdicts[:, 0] == "PASS").mean() <= 0.02


@pytest.mark.slow
def test_no_gap_passes_with_enough_images(monkeypatch):
    monkeypatch.setattr("tlkit.audit.estimators.max_gap", lambda *_, **__: None)
    verdicts = simulated([0.9] * 5, 1000, tolerance=0.05)
    assert (verdicts == "PASS").all(axis=1).mean() == pytest.approx(0.96, abs=0.03)
    assert not (verdicts == "FAIL").any()
