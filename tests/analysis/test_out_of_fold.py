"""Out-of-fold predictions: no image is predicted by a head that was fitted on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from messages import says

from tlkit.analysis.out_of_fold import out_of_fold
from tlkit.features.heads import fit_setting


def paths(n):
    return [f"{number}.jpg" for number in range(n)]


def test_an_images_own_label_never_reaches_its_prediction(make_features):
    x, y, names = make_features(n=90)
    plain = out_of_fold(x, y, classes=names, paths=paths(90), kind="ridge")
    assert plain.predictions.proba.shape == (90, 3)
    fold = plain.folds.assignments[0]
    same = [row for row in range(90) if fold[row] == fold[0]]
    train = np.setdiff1d(np.arange(90), same)
    head = fit_setting(x[train], y[train], kind="ridge", classes=names, settings=plain.settings)
    order = head.predict_proba(x[same]).argsort(axis=1)
    assert np.array_equal(order, plain.predictions.proba[same].argsort(axis=1))


def test_repeats_are_averaged_and_rows_come_in_any_order(make_features):
    x, y, names = make_features(n=60)
    groups = pd.DataFrame({"light": ["day", "night"] * 30})
    one = out_of_fold(x, y, classes=names, paths=paths(60), kind="ridge", repeats=3, group_table=groups)
    assert one.proba.shape == (3, 60, 3)
    np.testing.assert_allclose(one.predictions.proba, one.proba.mean(axis=0))
    assert one.predictions.group_columns == ("light",)
    order = np.random.default_rng(0).permutation(60)
    two = out_of_fold(x[order], y[order], classes=names, paths=[paths(60)[i] for i in order], kind="ridge", repeats=3)
    np.testing.assert_allclose(two.predictions.proba, one.predictions.proba[order], atol=1e-6)


def test_copies_and_groups_share_a_fold(make_features):
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(40, 12)), 2, axis=0).astype(np.float32)
    y = np.repeat(rng.integers(0, 2, 40), 2)  # labels without any sense: only a copy can give them away
    digests = [str(row // 2) for row in range(80)]
    for held in ({"digests": digests}, {"groups": digests}):
        found = out_of_fold(x, y, classes=("a", "b"), paths=paths(80), kind="knn", **held)
        assert found.predictions.correct.mean() < 0.75


def test_a_class_absent_from_a_training_fold_has_probability_zero(make_features, caplog):
    x, y, names = make_features(n=60, classes=2)
    y[5] = 2
    found = out_of_fold(x, y, classes=(*names, "rare"), paths=paths(60), kind="logistic")
    assert found.predictions.proba[5, 2] == 0 and found.folds.rare_classes == (2,)
    assert says(caplog.text, "5", "1", "Classes", "images")
    assert found.predictions.proba.sum(axis=1) == pytest.approx(np.ones(60))
