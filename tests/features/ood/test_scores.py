"""Out-of-distribution scores by scipy and scikit-learn; thresholds by simulation; the stored detector."""

from __future__ import annotations

import json

import numpy as np
import pytest
from messages import saying
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from scipy.stats import beta
from sklearn.covariance import LedoitWolf

from tlkit.errors import DataError, ModelError
from tlkit.features.ood.scores import energy, fit_score, msp, require_score
from tlkit.features.ood.store import ARRAYS, DETECTOR, UnknownDetector, load_detector, model_digest, save_detector
from tlkit.stats.unknown_threshold import unknown_threshold


@pytest.fixture
def train(make_features):
    return make_features(n=90, classes=3, width=20)


def test_scores_of_logits_are_scipys(train):
    logits = np.random.default_rng(0).normal(size=(50, 4)) * 5
    assert msp(logits) == pytest.approx(-softmax(logits, axis=1).max(axis=1))
    assert energy(logits) == pytest.approx(-logsumexp(logits, axis=1))
    assert np.isfinite(msp(np.array([[1e4, -1e4]]))).all() and np.isfinite(energy(np.array([[1e4, -1e4]]))).all()


def test_knn_is_the_distance_to_the_kth_neighbor_at_length_one(train):
    x, y, _ = train
    new = np.random.default_rng(1).normal(size=(30, 20)).astype(np.float32)
    score = fit_score("knn", x, y)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (new, x)]
    expected = np.sort(cdist(*unit), axis=1)[:, score.k - 1]
    assert score.k == 5
    assert score.score(new, np.zeros((30, 3))) == pytest.approx(expected, abs=1e-5)


def test_mahalanobis_is_scikit_learns_with_one_shrunk_covariance(train):
    x, y, _ = train
    y = np.where(y == 1, 7, y)  # a class number without images changes nothing
    new = np.random.default_rng(1).normal(size=(30, 20)).astype(np.float32)
    means = {code: x[y == code].astype(np.float64).mean(axis=0) for code in np.unique(y)}
    residual = x - np.array([means[code] for code in y])
    covariance = LedoitWolf(assume_centered=True).fit(residual)
    expected = np.min([covariance.mahalanobis(new - mean) for mean in means.values()], axis=0)
    assert fit_score("mahalanobis", x, y).score(new, np.zeros((30, 3))) == pytest.approx(expected, rel=1e-3)


def test_more_features_than_images_still_give_a_distance(make_features):
    x, y, _ = make_features(n=30, width=200)
    assert np.isfinite(fit_score("mahalanobis", x, y).score(x, np.zeros((30, 3)))).all()


def test_an_unknown_score_is_named_with_the_nearest():
    with pytest.raises(DataError, match=saying("mahalanobi", "Did you mean 'mahalanobis'").pattern):
        require_score("mahalanobi")


def test_the_threshold_keeps_the_rate_of_false_alarms_and_its_range():
    rng = np.random.default_rng(0)
    rates = []
    found = None
    for _ in range(400):
        found = unknown_threshold(rng.exponential(size=80), wanted=0.1)
        rates.append(np.exp(-found.value))
    assert np.mean(rates) == pytest.approx(found.false_alarms.value, abs=0.006) and found.false_alarms.value <= 0.1
    k = np.ceil(81 * 0.9)
    assert (found.false_alarms.low, found.false_alarms.high) == pytest.approx(beta(81 - k, k).ppf([0.025, 0.975]))
    inside = [found.false_alarms.low <= rate <= found.false_alarms.high for rate in rates]
    assert 0.92 < np.mean(inside) < 0.98


def test_too_few_images_give_no_threshold_and_a_cluster_counts_once():
    scores = np.arange(30.0)
    assert unknown_threshold(scores, wanted=0.05).value == 29
    few = unknown_threshold(scores, wanted=0.05, unit=np.arange(30) // 2)
    assert few.value is None and few.n == 15 and "15 validation clusters" in few.false_alarms.note


def detector(folder, x, y, name="knn"):
    (folder / "model.safetensors").write_bytes(b"model")
    threshold = unknown_threshold(np.arange(99.0), wanted=0.05)
    made = UnknownDetector(fit_score(name, x, y), threshold, model_digest(folder), x.shape[1])
    save_detector(folder, made)
    return made


@pytest.mark.parametrize("name", ["msp", "knn", "mahalanobis"])
def test_a_stored_detector_gives_the_same_scores(tmp_path, train, name):
    x, y, _ = train
    made, logits = detector(tmp_path, x, y, name), np.random.default_rng(0).normal(size=(90, 3))
    read = load_detector(tmp_path)
    assert np.array_equal(read.scores(x, logits), made.scores(x, logits))
    assert read.threshold == made.threshold and read.is_unknown(np.array([94.0, 94.1])).tolist() == [False, True]


def test_a_missing_damaged_or_foreign_detector_is_refused_with_the_remedy(tmp_path, train):
    x, y, _ = train
    with pytest.raises(ModelError, match=saying(DETECTOR, "tlkit unknown RUN").pattern):
        load_detector(tmp_path)
    detector(tmp_path, x, y)
    card = json.loads((tmp_path / DETECTOR).read_text())
    for change, said in (
        ({"format_version": 99}, "newer tlkit"),
        ({"model": "0"}, "another model"),
        ({"width": 7}, "damaged"),
        ({"k": 0}, "damaged"),
        ({"score": "mahalanobis"}, "damaged"),
        ({"threshold": {**card["threshold"], "value": None}}, "damaged"),
        ({"threshold": 3}, "damaged"),
        ({"sha256": "0"}, "sha256"),
    ):
        (tmp_path / DETECTOR).write_text(json.dumps(card | change))
        with pytest.raises(ModelError, match=said):
            load_detector(tmp_path)
    (tmp_path / DETECTOR).write_text(json.dumps(card))
    (tmp_path / ARRAYS).write_bytes(b"junk")
    with pytest.raises(ModelError, match="tlkit unknown RUN"):
        load_detector(tmp_path)
    detector(tmp_path, x, y)
    (tmp_path / "model.safetensors").write_bytes(b"another")
    with pytest.raises(ModelError, match="another model"):
        load_detector(tmp_path)
