"""The change of the worst-group accuracy, and the coverage of its interval."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.stats.paired import Pairs, paired_difference
from tlkit.stats.worst_group import worst_change, worst_rates


def test_with_one_group_the_change_is_the_paired_difference():
    pairs = Pairs(both=50, first=4, second=12, neither=9)
    assert worst_change([pairs]).format(digits=9) == paired_difference(pairs).format(digits=9)


def test_the_worst_group_may_change():
    pairs = [Pairs(both=60, first=0, second=0, neither=40), Pairs(both=20, first=0, second=70, neither=10)]
    (one, before), (two, after) = worst_rates(pairs)
    assert (one, before.value, two, after.value) == (1, 0.2, 0, 0.6)
    change = worst_change(pairs)
    assert change.value == pytest.approx(0.4)
    assert 0.25 < change.low < 0.4 < change.high < 0.55
    assert change.n == 200


def test_the_change_is_undefined_with_an_empty_group():
    assert worst_change([Pairs(5, 0, 0, 5), Pairs(0, 0, 0, 0)]).value is None
    assert worst_change([]).value is None


@pytest.mark.parametrize("truth", [((0.9, 0.6, 0.6), (0.9, 0.6, 0.6)), ((0.95, 0.5), (0.9, 0.85))])
def test_the_interval_has_at_least_its_nominal_coverage(truth):
    rng = np.random.default_rng(0)
    before, after = truth
    true, covered = min(after) - min(before), 0
    for _ in range(300):
        drawn = []
        for p, q in zip(before, after, strict=True):
            easy = rng.random(80)  # an image that is hard for one head is hard for the other
            again = np.where(rng.random(80) < 0.5, easy, rng.random(80))
            one, two = easy < p, again < q
            drawn.append(
                Pairs(
                    int((one & two).sum()), int((one & ~two).sum()), int((two & ~one).sum()), int((~one & ~two).sum())
                )
            )
        found = worst_change(drawn)
        covered += found.low <= true <= found.high
    assert covered / 300 >= 0.94
