"""Detectable gaps and sample sizes against known answers, statsmodels and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from tlkit.stats.power import detectable_gap, images_needed, images_per_group, normal_range, null_gap


@pytest.mark.parametrize(
    ("n1", "n2", "p", "gap"),
    [
        (2484, 64, 0.916, 0.112),
        (1000, 20, 0.95, 0.179),
        (1000, 50, 0.95, 0.109),
        (1000, 100, 0.95, 0.076),
        (1000, 400, 0.95, 0.041),
        (100, 100, 0.9, 0.150),
    ],
)
def test_the_detectable_gap_gives_the_known_answers(n1, n2, p, gap):
    assert detectable_gap(n1, n2, p) == pytest.approx(gap, abs=6e-4)
    assert detectable_gap(n1, n2, 1 - p) == pytest.approx(gap, abs=6e-4)  # error rates: the mirror


def test_a_detectable_gap_is_found_four_times_in_five():
    gap = detectable_gap(2000, 150, 0.9)
    generator = np.random.default_rng(0)
    k1, k2 = generator.binomial(2000, 0.9, 20_000), generator.binomial(150, 0.9 - gap, 20_000)
    pooled = (k1 + k2) / 2150
    z = (k1 / 2000 - k2 / 150) / np.sqrt(pooled * (1 - pooled) * (1 / 2000 + 1 / 150))
    assert np.mean(np.abs(z) > 1.959964) == pytest.approx(0.8, abs=0.02)


def test_a_group_that_is_too_small_can_detect_nothing():
    assert detectable_gap(1000, 2, 0.5) is None
    assert detectable_gap(1000, 0, 0.9) is None
    assert detectable_gap(0, 10, 0.9) is None


@pytest.mark.parametrize(("n1", "p", "gap"), [(1000, 0.95, 0.1), (5000, 0.9, 0.05), (300, 0.4, 0.2)])
def test_the_images_needed_are_the_fewest_that_bring_the_detectable_gap_down(n1, p, gap):
    n2 = images_needed(n1, p, gap=gap)
    assert detectable_gap(n1, n2, p) <= gap + 1e-9
    assert detectable_gap(n1, n2 - 1, p) > gap


def test_no_size_of_one_group_makes_up_for_a_small_other_one():
    assert images_needed(50, 0.9, gap=0.05) is None
    assert images_needed(1000, 0.9, gap=0.0) is None
    assert images_needed(0, 0.9, gap=0.1) is None


def test_images_per_group_give_the_known_answer():
    assert images_per_group(0.95, 0.90) == 432
    assert images_per_group(0.9, 0.95) == 432
    assert images_per_group(0.9, 0.9) is None
    theirs = samplesize_proportions_2indep_onetail(0.05, 0.9, 0.8, alpha=0.05)  # takes the two-sided alpha
    assert images_per_group(0.95, 0.90) == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize(("groups", "d"), [(1, 0.0), (2, 1.128), (3, 1.693), (5, 2.326), (10, 3.078), (20, 3.735)])
def test_the_expected_range_of_normal_values_is_that_of_control_charts(groups, d):
    assert normal_range(groups) == pytest.approx(d, abs=5e-4)


def test_the_gap_of_ten_groups_by_chance_is_nine_points():
    assert null_gap(10, 100, 0.9) == pytest.approx(0.0923, abs=5e-5)
