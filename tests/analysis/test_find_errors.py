"""Errors that one can act on: highest loss, confused pairs with simultaneous intervals, errors by class."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from messages import saying
from scipy.stats import binom
from sklearn.metrics import confusion_matrix, log_loss
from statsmodels.stats.proportion import proportion_confint

from tlkit.analysis.error_report import ErrorReport
from tlkit.analysis.find_errors import find_errors
from tlkit.errors import DataError, PredictionsError
from tlkit.predictions import Predictions


def made(n=300, classes=4, seed=0, **more):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(classes), size=n)
    truth = np.array([rng.choice(classes, p=row) for row in proba])
    paths = [f"{number:04d}.jpg" for number in range(n)]
    return Predictions.build(classes="abcdefgh"[:classes], path=paths, y_true=truth, proba=proba, **more)


def test_the_worst_images_have_the_highest_loss():
    predictions = made()
    found = find_errors(predictions, most=20)
    one_hot = np.eye(4)[predictions.y_true]
    loss = np.array([log_loss([row], [p]) for row, p in zip(one_hot, predictions.proba, strict=True)])
    wrong = np.flatnonzero(~predictions.correct)
    order = wrong[np.argsort(-loss[wrong], kind="stable")][:20]
    assert [image.path for image in found.images] == predictions.path[order].tolist()
    assert [image.loss for image in found.images] == pytest.approx(loss[order], abs=1e-3)
    assert found.errors == len(wrong) and found.n == 300
    assert ErrorReport.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_pairs_are_those_of_the_confusion_matrix_with_bonferronis_wilson_intervals():
    predictions = made()
    found = find_errors(predictions)
    table = confusion_matrix(predictions.y_true, predictions.y_pred)
    assert len(found.pairs) == np.count_nonzero(table) - np.count_nonzero(np.diag(table)) and found.pairs_tried == 12
    for one in found.pairs:
        t, p = ("abcd".index(name) for name in (one.y_true, one.y_pred))
        assert (one.k, one.n) == (table[t, p], table[t].sum())
        bounds = proportion_confint(one.k, one.n, alpha=0.05 / 12, method="wilson")
        assert (one.rate.low, one.rate.high) == pytest.approx(bounds)
    lows = [one.rate.low for one in found.pairs]
    assert lows == sorted(lows, reverse=True)


def test_intervals_of_pairs_hold_for_all_at_once():
    rates = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.15, 0.25, 0.6]])
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        truth = np.repeat([0, 1, 2], 60)
        guess = np.concatenate([rng.choice(3, size=60, p=row) for row in rates])
        paths = [str(number) for number in range(180)]
        found = find_errors(Predictions.build(classes="abc", path=paths, y_true=truth, y_pred=guess))
        where = [(rates["abc".index(one.y_true), "abc".index(one.y_pred)], one.rate) for one in found.pairs]
        held += all(rate.low <= true <= rate.high for true, rate in where)
    assert held >= binom.ppf(0.001, 100, 0.95)


def test_classes_come_by_error_rate_with_their_own_worst_images():
    found = find_errors(made(), most_per_class=3)
    rates = [one.errors / one.n for one in found.classes]
    assert rates == sorted(rates, reverse=True) and sum(one.errors for one in found.classes) == found.errors
    for one in found.classes:
        assert len(one.images) <= 3 and {image.y_true for image in one.images} == {one.name}
    assert next(iter(found.sheets)).startswith(found.classes[0].name)


def test_clusters_widen_the_intervals_and_probabilities_may_be_missing():
    plain = made()
    five = Predictions.build(
        classes=plain.classes,
        path=[f"{copy}/{path}" for path in plain.path for copy in range(5)],
        y_true=np.repeat(plain.y_true, 5),
        y_pred=np.repeat(plain.y_pred, 5),
        groups=pd.DataFrame({"scene": np.repeat(plain.path, 5)}),
    )
    alone, clustered = find_errors(plain), find_errors(five, cluster_by="scene")
    assert clustered.rate.high - clustered.rate.low == pytest.approx(alone.rate.high - alone.rate.low, rel=0.05)
    assert find_errors(five).rate.high < clustered.rate.high
    assert clustered.images[0].loss is None and clustered.close == ()
    with pytest.raises(PredictionsError, match=saying("'scen'", "Did you mean 'scene'").pattern):
        find_errors(five, cluster_by="scen")


def test_no_error_no_label_and_wrong_arguments_are_told():
    perfect = Predictions.build(classes="ab", path=["1", "2"], y_true=[0, 1], y_pred=[0, 1])
    found = find_errors(perfect)
    assert found.images == () and found.pairs == () and found.sheets == {} and found.tables()[0].rows == ()
    with pytest.raises(PredictionsError, match="No image has a label"):
        find_errors(Predictions.build(classes="ab", path=["1"], y_pred=[0]))
    with pytest.raises(PredictionsError, match="no splits"):
        find_errors(perfect, split="test")
    with pytest.raises(DataError, match="most is 0"):
        find_errors(perfect, most=0)
