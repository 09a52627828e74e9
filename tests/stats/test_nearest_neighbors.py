"""Nearest neighbors beside scikit-learn's brute-force search, for any size of the blocks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from tlkit.stats import nearest_neighbors as neighbors


@pytest.fixture(params=[4, 700, 20_000, 32_000_000])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(neighbors, "BYTES_AT_ONCE", request.param)
    return request.param


def features(n, width=9, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 8])
def test_each_row_gets_the_nearest_rows_of_other_codes(block_bytes, k):
    x, apart = features(60), np.arange(60) // 2
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    alike = np.where(apart[:, None] == apart, -np.inf, unit @ unit.T)
    rows = []
    for found_rows, found, likeness in neighbors.iter_nearest_neighbors(x, apart=apart, k=k):
        rows += found_rows.tolist()
        for row, near, how in zip(found_rows, found, likeness, strict=True):
            assert set(near.tolist()) == set(np.argsort(-alike[row])[:k].tolist())
            np.testing.assert_allclose(how, alike[row][near], atol=1e-6)
    assert rows == list(range(60))


@pytest.mark.parametrize("width", [3, 40])
def test_many_rows_have_the_neighbors_that_scikit_learn_finds(width):
    x = np.maximum(features(3000, width, seed=1), 0)  # more than a block holds; some rows are zero
    x = x[np.linalg.norm(x, axis=1) > 0]
    distance, _ = NearestNeighbors(n_neighbors=8, metric="cosine", algorithm="brute").fit(x).kneighbors()
    found = list(neighbors.iter_nearest_neighbors(x, apart=np.arange(len(x)), k=8))
    similarity = np.sort(np.concatenate([likeness for _, _, likeness in found]), axis=1)[:, ::-1]
    np.testing.assert_allclose(1 - similarity, distance, atol=2e-6)
    near = np.concatenate([row for _, row, _ in found])
    assert all(len(set(row)) == 8 for row in near.tolist())


def test_references_come_in_the_order_of_scikit_learn(block_bytes):
    x, reference = features(41, seed=2), features(73, seed=3)
    distance, rows = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(reference).kneighbors(x)
    found = list(neighbors.iter_nearest_references(x, reference, k=5))
    assert np.concatenate([block for block, _, _ in found]).tolist() == list(range(41))
    assert np.concatenate([near for _, near, _ in found]).tolist() == rows.tolist()
    np.testing.assert_allclose(1 - np.concatenate([like for _, _, like in found]), distance, atol=1e-6)


def test_references_of_an_equal_code_are_left_out(block_bytes):
    x = features(30, seed=4)
    codes = np.arange(30)
    near = np.concatenate([n for _, n, _ in neighbors.iter_nearest_references(x, x, k=1, apart=(codes, codes))])
    expected = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(x).kneighbors()[1]
    assert near.tolist() == expected.tolist()


def test_missing_neighbors_have_similarity_minus_infinity():
    ((_, _, likeness),) = neighbors.iter_nearest_neighbors(features(6), apart=np.array([0, 0, 0, 0, 0, 1]), k=10)
    assert likeness.shape == (6, 6)
    assert np.isfinite(likeness).sum(axis=1).tolist() == [1, 1, 1, 1, 1, 5]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_equal_rows_and_rows_of_zeros_are_neighbors_too(dtype):
    x = np.array([[0, 0], [3, 4], [3, 4], [0, 0], [-3, -4]], dtype=dtype)
    ((_, near, likeness),) = neighbors.iter_nearest_neighbors(x, apart=np.arange(5), k=1)
    assert near[[1, 2]].ravel().tolist() == [2, 1]
    np.testing.assert_allclose(likeness.ravel(), [0, 1, 1, 0, 0], atol=1e-6)


def test_memory_grows_by_the_known_neighbors_alone(monkeypatch):
    monkeypatch.setattr(neighbors, "BYTES_AT_ONCE", 200_000)
    peaks = []
    for n in (1000, 1000, 8000):  # the first pays for what is loaded once
        x, apart = features(n, 16), np.arange(n)
        tracemalloc.start()
        for _ in neighbors.iter_nearest_neighbors(x, apart=apart, k=5):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    known = (8000 - 1000) * (5 * 8 + 4 * 8)  # neighbors, and lengths of the rows
    assert peaks[2] < 1.3 * peaks[1] + known
