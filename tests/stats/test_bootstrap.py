"""The bootstrap of counts against the bootstrap of rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import saying

from tlkit.stats import bootstrap
from tlkit.stats.bootstrap import bootstrap_replicates, percentile_estimate


def share_of_first(counts: np.ndarray) -> np.ndarray:
    return counts[:, 0] / counts.sum(axis=1)


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    table = counts.reshape(-1, 2, 2)
    return np.nanmean(np.diagonal(table, axis1=1, axis2=2) / table.sum(axis=2), axis=1)


def test_resampling_counts_has_the_distribution_of_resampling_rows() -> None:
    counts = np.array([40, 10, 8, 22])
    rows = np.repeat(np.arange(4), counts)
    rng = np.random.default_rng(1)
    by_rows = np.array([np.bincount(rows[rng.integers(0, len(rows), len(rows))], minlength=4) for _ in range(6000)])
    by_counts = bootstrap_replicates(
        counts, lambda drawn: drawn.astype(float), rng=np.random.default_rng(2), replicates=6000
    )
    assert np.allclose(by_counts.mean(axis=0), counts, atol=0.25)
    assert np.allclose(np.cov(by_counts.T), np.cov(by_rows.T), atol=1.2)
    tails = [0.025, 0.5, 0.975]
    assert np.quantile(balanced_accuracy(by_counts), tails) == pytest.approx(
        np.quantile(balanced_accuracy(by_rows), tails), abs=0.012
    )


def test_the_standard_error_of_a_rate_is_binomial() -> None:
    counts = [227, 72]  # audit facts, section 3, number 33
    drawn = bootstrap_replicates(counts, share_of_first, rng=np.random.default_rng(0), replicates=20_000)
    assert drawn.std() == pytest.approx(math.sqrt(0.759197 * 0.240803 / 299), rel=0.03)


def test_the_same_seed_gives_the_same_interval_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    first = bootstrap_replicates([30, 5, 0, 9], share_of_first, rng=np.random.default_rng(3))
    again = bootstrap_replicates([30, 5, 0, 9], share_of_first, rng=np.random.default_rng(3))
    assert np.array_equal(first, again)
    seeds = [bootstrap_replicates([30, 5], share_of_first, rng=np.random.default_rng(seed)) for seed in (3, 4)]
    assert not np.array_equal(*seeds)
    monkeypatch.setattr(bootstrap, "CHUNK_CELLS", 100)
    again = bootstrap_replicates([30, 5, 0, 9], share_of_first, rng=np.random.default_rng(3))
    assert np.array_equal(first, again)


def test_several_statistics_share_their_resamples() -> None:
    drawn = bootstrap_replicates(
        [3, 7], lambda counts: counts.astype(float), rng=np.random.default_rng(0), replicates=50
    )
    assert drawn.shape == (50, 2)
    assert (drawn.sum(axis=1) == 10).all()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(sum), st.integers(0, 100))
def test_every_resample_has_as_many_rows_and_none_in_empty_cells(counts: list[int], seed: int) -> None:
    def keep(drawn: np.ndarray) -> np.ndarray:
        return drawn.astype(float)

    drawn = bootstrap_replicates(counts, keep, rng=np.random.default_rng(seed), replicates=20)
    assert (drawn.sum(axis=1) == sum(counts)).all()
    assert (drawn[:, np.array(counts) == 0] == 0).all()


def test_undefined_replicates_are_dropped_and_counted() -> None:
    drawn = np.r_[np.linspace(0, 1, 97), [np.nan, np.inf, -np.inf]]
    estimate = percentile_estimate(0.5, drawn, n=40, confidence=0.9)
    assert (estimate.low, estimate.high) == pytest.approx((0.05, 0.95))
    assert estimate.note == saying("3 of 100")
    too_many = percentile_estimate(0.5, np.r_[drawn, [np.nan] * 3], n=40)
    assert (too_many.value, too_many.low, too_many.high) == (0.5, None, None)
    assert too_many.note == saying("not enough data", "6 of 103")


def test_an_undefined_value_has_no_interval() -> None:
    assert percentile_estimate(float("nan"), [0.5, 0.6], n=9).format() == "undefined"


@pytest.mark.parametrize("counts", [[[1, 2], [3, 4]], [1, -1], [0.5, 1.5]])
def test_counts_must_be_one_row_of_whole_numbers(counts: list[float]) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        bootstrap_replicates(counts, share_of_first, rng=np.random.default_rng(0))


def test_empty_counts_and_an_impossible_confidence_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap_replicates([0, 0], share_of_first, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=saying("0.95", "Got 95").pattern):
        percentile_estimate(0.5, [0.5], n=1, confidence=95)
