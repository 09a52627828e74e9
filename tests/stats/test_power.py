"""Detectable gaps and sample sizes against statsmodels and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from tlkit.stats.paired import pairs_needed
from tlkit.stats.power import detectable_gap, images_needed, images_per_group, images_to_resolve


@pytest.mark.parametrize(("n1", "n2", "p"), [(2484, 64, 0.916), (1000, 20, 0.95), (1000, 400, 0.95), (100, 100, 0.9)])
def test_the_detectable_gap_is_the_same_for_error_rates(n1, n2, p):
    assert detectable_gap(n1, n2, 1 - p) == pytest.approx(detectable_gap(n1, n2, p))


def test_a_detectable_gap_is_detected_with_a_power_of_80_percent():
    gap = detectable_gap(2000, 150, 0.9)
    generator = np.random.default_rng(0)
    k1, k2 = generator.binomial(2000, 0.9, 20_000), generator.binomial(150, 0.9 - gap, 20_000)
    pooled = (k1 + k2) / 2150
    z = (k1 / 2000 - k2 / 150) / np.sqrt(pooled * (1 - pooled) * (1 / 2000 + 1 / 150))
    assert np.mean(np.abs(z) > 1.959964) == pytest.approx(0.8, abs=0.02)


def test_a_group_that_is_too_small_has_no_detectable_gap():
    assert detectable_gap(1000, 2, 0.5) is None
    assert detectable_gap(1000, 0, 0.9) is None
    assert detectable_gap(0, 10, 0.9) is None


@pytest.mark.parametrize(("n1", "p", "gap"), [(1000, 0.95, 0.1), (5000, 0.9, 0.05), (300, 0.4, 0.2)])
def test_the_images_needed_are_the_smallest_size_with_that_detectable_gap(n1, p, gap):
    n2 = images_needed(n1, p, gap=gap)
    assert detectable_gap(n1, n2, p) <= gap + 1e-9
    assert detectable_gap(n1, n2 - 1, p) > gap


def test_no_size_is_enough_where_the_first_group_is_too_small():
    assert images_needed(50, 0.9, gap=0.05) is None
    assert images_needed(1000, 0.9, gap=0.0) is None
    assert images_needed(0, 0.9, gap=0.1) is None


def test_images_per_group_agree_with_statsmodels():
    assert images_per_group(0.95, 0.90) == 432
    assert images_per_group(0.9, 0.95) == 432
    assert images_per_group(0.9, 0.9) is None
    theirs = samplesize_proportions_2indep_onetail(0.05, 0.9, 0.8, alpha=0.05)  # takes the two-sided alpha
    assert images_per_group(0.95, 0.90) == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize("gap", [1e-320, 1e-200, 1e-17, 1e-9])
def test_numbers_of_images_beyond_any_collection_are_not_stated(gap):
    """They would be written as integers that no JSON reader of ours takes."""
    assert images_per_group(0.5, 0.5 + gap) is None
    assert images_to_resolve(0.1, gap) is None
    assert pairs_needed(gap, 0.5) is None
    assert images_per_group(0.5, 0.50001) < 10**12
