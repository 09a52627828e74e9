"""Ridge regression and LDA in passes over blocks, from features on disk, without a second copy; bounded kinds."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from messages import saying
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from tlkit.choices import MOST_HEAD_IMAGES
from tlkit.errors import ModelError
from tlkit.features.heads import choose_head, fit_head, fit_setting, standardized
from tlkit.features.heads.linear import FINE_TOLERANCE, fit_lda, fit_least_squares
from tlkit.features.heads.standardized import Standardized, feature_mean_and_scale


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(standardized, "BLOCK_BYTES", 8 * 12 * 37)  # 37 rows of 12 features
    monkeypatch.setattr(standardized, "HELD_BYTES", 0)


def correlated(n: int, width: int, classes: int, dtype=np.float32):
    rng = np.random.default_rng(5)
    y = rng.integers(0, classes, n)
    spread = rng.normal(size=(width, width)) / np.arange(1, width + 1)
    return (rng.normal(size=(classes, width))[y] * 0.4 + rng.normal(size=(n, width)) @ spread + 3.0).astype(dtype), y


def test_blocks_and_their_scale_are_those_of_standard_scaler(small_blocks):
    x, _ = correlated(200, 12, 3)
    rows = np.random.default_rng(0).permutation(200)[:130]
    scaler = StandardScaler().fit(x[rows].astype(np.float64))
    found = Standardized.by_itself(x, rows)
    np.testing.assert_allclose(found.dense(np.float64), scaler.transform(x[rows].astype(np.float64)), atol=1e-12)
    parts = [(rows.stop - rows.start, len(block)) for rows, block in found.blocks(np.float32)]
    assert parts == [(37, 37)] * 3 + [(19, 19)]
    constant = np.column_stack([x, np.full(200, 0.1, np.float32)])
    assert feature_mean_and_scale(constant)[1][-1] == 1.0


def test_a_head_has_the_same_bits_whether_blocks_are_held_or_made_anew(monkeypatch):
    monkeypatch.setattr(standardized, "BLOCK_BYTES", 8 * 12 * 37)
    x, y = correlated(200, 12, 3)
    heads = []
    for most in (0, 64_000_000):
        monkeypatch.setattr(standardized, "HELD_BYTES", most)
        heads.append(fit_setting(x, y, kind="ridge", classes=["a", "b", "c"], settings={"alpha": 10.0}).linear)
    assert np.array_equal(heads[0].weight, heads[1].weight) and np.array_equal(heads[0].bias, heads[1].bias)


def test_other_linear_kinds_in_blocks_are_scikit_learns(small_blocks):
    x, y = correlated(300, 12, 4)
    given, ones = Standardized.by_itself(x), np.ones(300)
    dense = given.dense(np.float64)
    (lda,) = fit_lda(given, y, [{"shrinkage": 0.3}], ones, FINE_TOLERANCE)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(dense, y)
    np.testing.assert_allclose(lda.scores(dense), theirs.decision_function(dense), atol=1e-9)
    weights = np.random.default_rng(1).uniform(0.2, 3.0, 300)
    targets = np.random.default_rng(2).normal(size=(300, 2))
    (ridge,) = fit_least_squares(given, targets, [5.0], weights)
    np.testing.assert_allclose(ridge.scores(dense), Ridge(5.0).fit(dense, targets, weights).predict(dense), atol=1e-9)


@pytest.mark.parametrize(("kind", "settings"), [("lda", {"shrinkage": 0.3}), ("ridge", {"alpha": 100.0})])
def test_a_head_on_features_in_a_file_holds_no_copy_of_them(tmp_path, monkeypatch, kind, settings):
    monkeypatch.setattr(standardized, "BLOCK_BYTES", 200_000)
    monkeypatch.setattr(standardized, "HELD_BYTES", 0)
    x, y = correlated(20_000, 32, 4, np.float16)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    fit_setting(mapped[:100], y[:100], kind=kind, classes=list("abcd"), settings=settings)  # imports
    tracemalloc.start()
    head = fit_setting(mapped, y, kind=kind, classes=list("abcd"), settings=settings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000 * 32 * 8  # less than the features once in double precision, targets and scores included
    again = fit_setting(x, y, kind=kind, classes=list("abcd"), settings=settings)
    assert np.array_equal(head.linear.weight, again.linear.weight)


def test_a_kind_whose_memory_grows_by_the_square_takes_a_bounded_number_of_images(monkeypatch, caplog):
    monkeypatch.setitem(MOST_HEAD_IMAGES, "svm", 100)
    x, y = correlated(120, 12, 2)
    with pytest.raises(ModelError, match=saying("svm", "100", "120", "linear_svm").pattern):
        fit_head(x, y, kind="svm", classes=["a", "b"])
    with caplog.at_level("INFO", "tlkit"):
        choice = choose_head(x, y, classes=["a", "b"], kinds=("lda", "svm"))
    assert [candidate.kind for candidate in choice.candidates] == ["lda"] and "svm" in caplog.text
