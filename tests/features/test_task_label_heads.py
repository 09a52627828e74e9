"""Linear heads of several labels and of numbers against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from tlkit.errors import DataError
from tlkit.features.heads.fit_task_heads import fit_label_head, fit_number_head
from tlkit.features.heads.head_kinds import FACTS


def made(seed: int = 0, n: int = 240, width: int = 12):
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, (n, width)) * np.linspace(0.5, 4, width)
    z = StandardScaler().fit_transform(x) @ rng.normal(0, 1, (width, 3)) + [0, -1, -2]
    labels = (z + rng.logistic(size=z.shape) > 0).astype(int)
    number = z[:, 0] + rng.normal(0, 0.5, n)
    return x, labels, (number - number.mean()) / number.std(), np.arange(n) % 4


def test_labels_are_scikit_learns_regressions_one_by_one_with_the_c_of_the_smallest_loss_out_of_fold():
    x, y, _, fold = made()
    head = fit_label_head(x, y, fold=fold)
    scaled = StandardScaler().fit_transform(x)
    for place, setting in enumerate(FACTS["logistic"].grid):
        found = np.zeros(y.shape)
        for number in range(4):
            scaler = StandardScaler().fit(x[fold != number])
            for label in range(3):
                model = LogisticRegression(C=setting["C"], max_iter=5000, tol=1e-8)
                model.fit(scaler.transform(x[fold != number]), y[fold != number, label])
                found[fold == number, label] = model.predict_proba(scaler.transform(x[fold == number]))[:, 1]
        expected = np.mean([log_loss(y[:, label], found[:, label]) for label in range(3)])
        assert head.trials[place].loss == pytest.approx(expected, rel=1e-3)
    assert head.settings == min(head.trials, key=lambda trial: trial.loss).settings
    z = head.parameters.scores(x)
    for label in range(3):
        model = LogisticRegression(C=head.settings["C"], max_iter=5000, tol=1e-10).fit(scaled, y[:, label])
        np.testing.assert_allclose(z[:, label], model.decision_function(scaled), atol=2e-3)


def test_positive_weights_are_sample_weights():
    x, y, _, fold = made(1)
    positive = (y == 0).sum(axis=0) / (y == 1).sum(axis=0)
    head = fit_label_head(x, y, fold=fold, positive_weight=positive)
    scaled = StandardScaler().fit_transform(x)
    model = LogisticRegression(C=head.settings["C"], max_iter=5000, tol=1e-10)
    model.fit(scaled, y[:, 2], sample_weight=np.where(y[:, 2] == 1, positive[2], 1.0))
    np.testing.assert_allclose(head.parameters.scores(x)[:, 2], model.decision_function(scaled), atol=2e-3)


def test_numbers_are_scikit_learns_ridge_with_the_alpha_of_the_smallest_error_out_of_fold():
    x, _, y, fold = made(2)
    head = fit_number_head(x, y, fold=fold)
    for place, setting in enumerate(FACTS["ridge"].grid):
        errors = []
        for number in range(4):
            scaler = StandardScaler().fit(x[fold != number])
            model = Ridge(alpha=setting["alpha"]).fit(scaler.transform(x[fold != number]), y[fold != number])
            errors.append((model.predict(scaler.transform(x[fold == number])) - y[fold == number]) ** 2)
        assert head.trials[place].loss == pytest.approx(np.mean(np.concatenate(errors)), rel=1e-9)
    scaled = StandardScaler().fit_transform(x)
    model = Ridge(alpha=head.settings["alpha"]).fit(scaled, y)
    np.testing.assert_allclose(head.parameters.scores(x)[:, 0], model.predict(scaled), atol=1e-4)


def test_a_label_on_no_image_is_refused():
    x, y, _, fold = made(3)
    with pytest.raises(DataError, match="1 labels are on none or on all"):
        fit_label_head(x, np.where(np.arange(3) == 1, 0, y), fold=fold)
