"""Candidates of a repair, compared with scikit-learn and on a simulated spurious correlation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from tlkit.audit.repair_selection import choose, try_candidate
from tlkit.features.repair import REPAIR_METHODS, GroupedFeatures, fit_candidates
from tlkit.features.repair.group_weights import (
    balanced_weights,
    reweighing_weights,
    subsample_groups,
    upweighted_errors,
)
from tlkit.features.repair.logit_offsets import class_offsets, group_offsets, group_temperatures
from tlkit.features.repair.weighted_softmax import fit_group_dro, fit_l1_softmax, fit_l2_softmax

WATERBIRDS = (3498, 184, 56, 1057)  # training images of Sagawa et al. (2020), table 1


def birds(counts, *, seed, core=1.5, spurious=3.0, width=12):
    """Return groups (y, a) in gaussian features: a weak one that is the class, a strong one that is the background."""
    rng = np.random.default_rng(seed)
    y, a = (np.repeat(codes, counts) for codes in ([0, 0, 1, 1], [0, 1, 0, 1]))
    x = rng.normal(size=(len(y), width))
    x[:, 0] += core * (2 * y - 1)
    x[:, 1] += spurious * (2 * a - 1)
    return GroupedFeatures(x.astype(np.float32), y, a, rng.permutation(len(y)) % 5)


def worst_of(right, group):
    return min(right[group == code].mean() for code in np.unique(group))


def blobs(classes, *, seed=0, n=200, width=5):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    x = rng.normal(size=(n, width)) + 0.7 * rng.normal(size=(classes, width))[y]
    return x, y, rng.uniform(0.2, 3.0, n)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_weighted_head_is_scikit_learns_logistic_regression_with_sample_weights(classes):
    x, y, weights = blobs(classes)
    ours = fit_l2_softmax(x, y, weights, classes=classes, c=0.3)
    theirs = LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000).fit(x, y, sample_weight=weights)
    proba = np.exp(log_softmax(ours.scores(x), axis=1))
    np.testing.assert_allclose(proba, theirs.predict_proba(x), atol=2e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_sparse_head_reaches_the_objective_that_scikit_learns_saga_reaches(classes):
    x, y, weights = blobs(classes, width=30, n=120)
    ours = fit_l1_softmax(x, y, weights, classes=classes, c=0.2)
    theirs = LogisticRegression(C=0.2, l1_ratio=1.0, solver="saga", tol=1e-8, max_iter=20_000)
    theirs.fit(x, y, sample_weight=weights)
    coef = np.vstack([-theirs.coef_, theirs.coef_]) / 2 if classes == 2 else theirs.coef_
    bias = np.concatenate([-theirs.intercept_, theirs.intercept_]) / 2 if classes == 2 else theirs.intercept_

    def losses(head_coef, head_bias):
        logs = log_softmax(x @ head_coef.T + head_bias, axis=1)
        return -0.2 * float(weights @ logs[np.arange(len(y)), y])

    # the penalty is compared at the medians of the rows' common shift, which no softmax can tell
    def penalty(head_coef):
        return float(np.abs(head_coef - np.median(head_coef, axis=0)).sum())

    mine, other = losses(ours.weight, ours.bias) + penalty(ours.weight), losses(coef, bias) + penalty(coef)
    assert mine == pytest.approx(other, rel=2e-3)


def test_group_dro_with_one_group_is_the_head_without_weights():
    x, y, _ = blobs(3)
    one = fit_group_dro(x, y, np.zeros(len(y), dtype=np.int64), classes=3, c=0.1)
    plain = fit_l2_softmax(x, y, np.ones(len(y)), classes=3, c=0.1)
    np.testing.assert_allclose(one.weight, plain.weight, atol=1e-9)


def test_group_dro_makes_the_largest_mean_loss_of_a_group_smaller_than_any_fixed_weighting_here():
    part = birds(WATERBIRDS, seed=1)

    def largest(head):
        losses = -log_softmax(head.scores(part.x), axis=1)[np.arange(len(part.y)), part.y]
        return max(losses[part.group == code].mean() for code in range(4))

    dro = largest(fit_group_dro(part.x, part.y, part.group, classes=2, c=0.01))
    equal = largest(fit_l2_softmax(part.x, part.y, balanced_weights(part.group), classes=2, c=0.01))
    plain = largest(fit_l2_softmax(part.x, part.y, np.ones(len(part.y)), classes=2, c=0.01))
    assert dro < equal < plain


def test_weights_and_subsamples_balance_the_groups():
    part = birds((70, 20, 4, 6), seed=0)
    totals = np.bincount(part.group, balanced_weights(part.group))
    np.testing.assert_allclose(totals, totals[0])
    counted = reweighing_weights(part.y, part.attribute)
    table = np.bincount(part.group, counted).reshape(2, 2)
    expected = np.outer(np.bincount(part.y), np.bincount(part.attribute)) / len(part.y)
    np.testing.assert_allclose(table, expected)
    missed = upweighted_errors(np.array([True, False, False]), factor=4.0)
    np.testing.assert_allclose(missed, [2.0, 0.5, 0.5])
    rows = subsample_groups(part.group, seed=0, draw=3)
    assert np.bincount(part.group[rows]).tolist() == [4, 4, 4, 4]
    assert rows.tolist() != subsample_groups(part.group, seed=0, draw=4).tolist()
    assert rows.tolist() == subsample_groups(part.group, seed=0, draw=3).tolist()


def test_class_offsets_undo_a_shift_of_the_scores():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (4000, 3))
    proba = np.exp(log_softmax(scores, axis=1))
    y = (rng.random((4000, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    np.testing.assert_allclose(class_offsets(scores, y, np.ones(4000)), 0.0, atol=0.12)
    shift = np.array([1.0, -0.5, -0.5])
    np.testing.assert_allclose(class_offsets(scores + shift, y, np.ones(4000)), -shift, atol=0.12)
    offsets = group_offsets(scores, y, np.repeat([0, 2], 2000), 3)
    assert offsets.shape == (3, 3) and offsets[1].tolist() == [0.0, 0.0, 0.0]


def test_group_temperatures_find_the_overconfident_group():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (4000, 2))
    proba = np.exp(log_softmax(scores, axis=1))
    y = (rng.random(4000) > proba[:, 0]).astype(np.int64)
    attribute = np.repeat([0, 1], 2000)
    scores[2000:] *= 3
    found = group_temperatures(scores, y, attribute, 2)
    np.testing.assert_allclose(found, [1.0, 3.0], rtol=0.12)


@pytest.fixture(scope="module")
def tried():
    train, val = birds(WATERBIRDS, seed=1), birds((467, 466, 133, 133), seed=2)
    head = fit_l2_softmax(train.x, train.y, np.ones(len(train.y)), classes=2, c=1.0)
    scores = log_softmax(head.scores(val.x), axis=1)
    found = {
        one.method.name: one
        for one in fit_candidates(train, val, classes=2, attributes=2, original=None, scores=scores)
    }
    return val, scores, found


def test_group_methods_improve_the_worst_group_of_a_spurious_correlation(tried):
    val, scores, found = tried
    before = worst_of(scores.argmax(axis=1) == val.y, val.group)
    assert before < 0.6
    for name in ("group_reweighted", "group_subsampled", "group_dro", "dfr_train", "dfr_val"):
        assert worst_of(found[name].y_pred == val.y, val.group) > before + 0.25, name


def test_every_method_is_tried_and_methods_by_attribute_have_no_weights(tried):
    _, scores, found = tried
    without = {"class_offsets"}  # of a head that is no linear one
    assert set(found) == {method.name for method in REPAIR_METHODS} - without
    assert [name for name, one in found.items() if one.linear is None] == ["group_offsets", "group_temperature"]
    same = found["group_temperature"].y_pred == scores.argmax(axis=1)
    assert same.all()


def test_weight_and_bias_give_the_predictions_of_the_candidate(tried):
    val, _, found = tried
    for name in ("class_balanced", "group_reweighted", "dfr_train"):
        part = found[name].linear
        logits = val.x @ part.weight.T + part.bias
        assert (logits.argmax(axis=1) == found[name].y_pred).mean() > 0.999, name


def test_methods_that_need_an_attribute_are_left_out_without_one():
    train, val = birds((40, 0, 0, 40), seed=1), birds((10, 10, 10, 10), seed=2)
    train = GroupedFeatures(train.x, train.y, np.zeros_like(train.y), train.fold)
    val = GroupedFeatures(val.x, val.y, np.zeros_like(val.y), val.fold)
    scores = np.log(np.full((40, 2), 0.5))
    found = [one.method for one in fit_candidates(train, val, classes=2, attributes=1, original=None, scores=scores)]
    assert found and not any(method.needs_attribute for method in found)


def chosen_of(train, val, scores):
    """Return the method that validation images choose, and the weight and bias that it would store."""
    found = list(fit_candidates(train, val, classes=2, attributes=2, original=None, scores=scores))
    right = [one.y_pred == val.y for one in found]
    trials = [
        try_candidate(
            one.method.name,
            learns_from=one.method.learns_from,
            at_prediction=one.method.at_prediction,
            before=scores.argmax(axis=1) == val.y,
            after=after,
            group=val.group,
            names=("a", "b", "c", "d"),
            margin=0.05,
            confidence=0.95,
            seconds=0.0,
        )
        for one, after in zip(found, right, strict=True)
    ]
    place = choose(trials, right, group=val.group, groups=4, confidence=0.95)
    return None if place is None else found[place]


def test_the_candidate_chosen_on_val_helps_on_new_images(tried):
    val, scores, _ = tried
    train, test = birds(WATERBIRDS, seed=1), birds((500, 500, 500, 500), seed=3)
    chosen = chosen_of(train, val, scores)
    head = fit_l2_softmax(train.x, train.y, np.ones(len(train.y)), classes=2, c=1.0)
    before = worst_of(head.scores(test.x).argmax(axis=1) == test.y, test.group)
    after = worst_of((test.x @ chosen.linear.weight.T + chosen.linear.bias).argmax(axis=1) == test.y, test.group)
    assert chosen.method.name in ("group_reweighted", "group_subsampled", "group_dro", "dfr_train", "dfr_val")
    assert after > before + 0.25


def test_nothing_is_chosen_where_all_groups_are_equal():
    train, val = birds((300,) * 4, seed=1, spurious=0.0), birds((100,) * 4, seed=2, spurious=0.0)
    head = fit_l2_softmax(train.x, train.y, np.ones(len(train.y)), classes=2, c=0.01)
    assert chosen_of(train, val, log_softmax(head.scores(val.x), axis=1)) is None
