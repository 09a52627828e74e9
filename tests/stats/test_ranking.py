"""Areas under the ROC curve against scikit-learn and DeLong's formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import saying
from sklearn.metrics import roc_auc_score

from tlkit.stats.ranking import auroc, auroc_sorted

scores = st.lists(st.integers(0, 12), min_size=1, max_size=30)


def delong(high, low):
    """Area and variance, pair by pair: DeLong, DeLong & Clarke-Pearson (1988), equations 3 to 7."""
    above = (np.subtract.outer(high, low) > 0) + 0.5 * (np.subtract.outer(high, low) == 0)
    return above.mean(), above.mean(axis=1).var(ddof=1) / len(high) + above.mean(axis=0).var(ddof=1) / len(low)


@given(scores, scores)
def test_the_area_is_scikit_learns_and_its_interval_delongs(high, low):
    found = auroc(high + low, [1] * len(high) + [0] * len(low))
    assert found.value == pytest.approx(roc_auc_score([1] * len(high) + [0] * len(low), high + low))
    if min(len(high), len(low)) < 2:
        assert found.low is None
        return
    area, variance = delong(np.array(high), np.array(low))
    if variance < 1e-15:
        assert found.note == saying("not enough data", "nothing varies")
        return
    half = 1.959963985 * np.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((max(0, area - half), min(1, area + half)))


@given(scores, scores, st.integers(0, 10))
def test_removed_scores_and_exchanged_samples_give_the_same_area(high, low, out):
    left = sorted(low[out:])
    every, group, own = np.sort(low), np.sort(low[:out]), np.sort(high)
    assert auroc_sorted(own, [every], without=[group]) == auroc_sorted(own, [np.array(left, dtype=float)])
    turned, plain = (
        auroc_sorted(np.array(left, dtype=float), [own], high_is_negative=True),
        auroc_sorted(own, [np.array(left)]),
    )
    assert turned.note.replace("negatives", "") == plain.note.replace("negatives", "")
    assert (turned.value, turned.low, turned.high) == pytest.approx((plain.value, plain.low, plain.high))
