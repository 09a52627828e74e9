"""Linear heads in passes over blocks: scikit-learn's solutions, from features on disk, without a second copy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from messages import saying
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from tlkit.choices import MOST_HEAD_IMAGES
from tlkit.errors import ModelError
from tlkit.features.heads import choose_head, fit_head, fit_setting, standardized
from tlkit.features.heads.linear import FINE_TOLERANCE, fit_lda, fit_least_squares, fit_linear_svm, fit_logistic
from tlkit.features.heads.linear_solver import LabelLoss, SoftmaxLoss, SquaredHingeLoss, fit_linear_scores
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


def objective(coef, intercept, x, y, c, weights):
    """Return ½ ‖W‖² + C Σ wᵢ lossᵢ of softmax regression."""
    z = x @ coef.T + intercept
    losses = np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)) + z.max(1) - z[np.arange(len(y)), y]
    return 0.5 * (coef**2).sum() + c * (weights @ losses)


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


@pytest.mark.parametrize("held", [0, 10**9])
def test_a_head_has_the_same_bits_whether_blocks_are_held_or_made_anew(monkeypatch, held):
    monkeypatch.setattr(standardized, "BLOCK_BYTES", 8 * 12 * 37)
    x, y = correlated(200, 12, 3)
    heads = []
    for most in (held, 64_000_000):
        monkeypatch.setattr(standardized, "HELD_BYTES", most)
        heads.append(fit_setting(x, y, kind="logistic", classes=["a", "b", "c"], settings={"C": 0.1}).linear)
    assert np.array_equal(heads[0].weight, heads[1].weight) and np.array_equal(heads[0].bias, heads[1].bias)


@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize(("n", "classes"), [(400, 7), (400, 2), (9, 3)])
def test_logistic_reaches_the_loss_of_scikit_learn(small_blocks, n, classes, c):
    x, y = correlated(n, 12, classes)
    y[:classes] = np.arange(classes)
    weights = np.random.default_rng(1).uniform(0.2, 3.0, n)
    given = Standardized.by_itself(x)
    dense = given.dense(np.float64)
    (found,) = fit_logistic(given, y, [{"C": c}], weights, FINE_TOLERANCE)
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(dense, y, sample_weight=weights)
    z = theirs.decision_function(dense)
    expected = np.stack([-z, z], axis=1) / 2 if classes == 2 else z - z.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.scores(dense), expected, atol=2e-4)
    if classes > 2:
        ours = objective(found.weight, found.bias, dense, y, c, weights)
        least = objective(theirs.coef_, theirs.intercept_, dense, y, c, weights)
        assert ours <= least * (1 + 1e-9)


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


@pytest.mark.parametrize("kind", ["softmax", "hinge", "labels"])
def test_slopes_and_second_derivatives_are_those_of_finite_differences(kind):
    rng = np.random.default_rng(0)
    z, codes, weights = rng.normal(size=(6, 3)), np.array([0, 1, 2, 0, 1, 2]), rng.uniform(0.5, 2, 6)
    loss = {
        "softmax": SoftmaxLoss(codes, weights),
        "hinge": SquaredHingeLoss(np.where(codes[:, None] == np.arange(3), 1.0, -1.0), weights),
        "labels": LabelLoss((z > 0.3).astype(float), rng.uniform(0.5, 2, (6, 3))),
    }[kind]
    rows, step = slice(0, 6), 1e-5
    slope, second = np.zeros_like(z), np.zeros_like(z)
    for place in np.ndindex(*z.shape):
        moved = [z.copy(), z.copy()]
        moved[0][place] -= step
        moved[1][place] += step
        low, high = (loss.loss_and_slope(rows, one.copy()) for one in moved)
        slope[place] = (high[0] - low[0]) / (2 * step)
        second[place] = (high[1][place] - low[1][place]) / (2 * step)
    np.testing.assert_allclose(loss.loss_and_slope(rows, z.copy())[1], slope, atol=1e-6)
    np.testing.assert_allclose(loss.curvature(rows, z.copy()), second.sum(), rtol=1e-5)


def test_strengths_in_turn_equal_each_by_itself():
    x, y = correlated(300, 12, 4)
    given, loss = Standardized.by_itself(x), SoftmaxLoss(y, np.ones(300))
    together = list(fit_linear_scores(given, loss, [0.01, 1.0], tolerance=FINE_TOLERANCE))
    for c, found in zip((0.01, 1.0), together, strict=True):
        (alone,) = fit_linear_scores(given, loss, [c], tolerance=FINE_TOLERANCE)
        np.testing.assert_allclose(found, alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["logistic", "linear_svm", "lda", "ridge"])
def test_a_head_on_features_in_a_file_holds_no_copy_of_them(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(standardized, "BLOCK_BYTES", 200_000)
    monkeypatch.setattr(standardized, "HELD_BYTES", 0)
    x, y = correlated(20_000, 32, 4, np.float16)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    fit_setting(mapped[:100], y[:100], kind=kind, classes=list("abcd"), settings=_middle(kind))  # imports
    tracemalloc.start()
    head = fit_setting(mapped, y, kind=kind, classes=list("abcd"), settings=_middle(kind))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000 * 32 * 8  # less than the features once in double precision, targets and scores included
    again = fit_setting(x, y, kind=kind, classes=list("abcd"), settings=_middle(kind))
    assert np.array_equal(head.linear.weight, again.linear.weight)


def _middle(kind):
    return {"logistic": {"C": 0.1}, "linear_svm": {"C": 1e-3}, "lda": {"shrinkage": 0.3}, "ridge": {"alpha": 100.0}}[
        kind
    ]


def test_a_linear_svm_ends_where_its_slope_is_zero(small_blocks):
    x, y = correlated(200, 12, 3)
    given = Standardized.by_itself(x)
    (found,) = fit_linear_svm(given, y, [{"C": 0.05}], np.ones(200), FINE_TOLERANCE)
    dense, target = given.dense(np.float64), np.where(y[:, None] == np.arange(3), 1.0, -1.0)
    gap = np.maximum(0.0, 1.0 - target * (dense @ found.weight.T + found.bias))
    slope = found.weight - 2 * 0.05 * (target * gap).T @ dense
    assert np.abs(slope).max() < 1e-4 * np.abs(found.weight).max()


def test_a_kind_whose_memory_grows_by_the_square_takes_a_bounded_number_of_images(monkeypatch, caplog):
    monkeypatch.setitem(MOST_HEAD_IMAGES, "svm", 100)
    x, y = correlated(120, 12, 2)
    with pytest.raises(ModelError, match=saying("svm", "100", "120", "linear_svm").pattern):
        fit_head(x, y, kind="svm", classes=["a", "b"])
    with caplog.at_level("INFO", "tlkit"):
        choice = choose_head(x, y, classes=["a", "b"], kinds=("lda", "svm"))
    assert [candidate.kind for candidate in choice.candidates] == ["lda"] and "svm" in caplog.text
