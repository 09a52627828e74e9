"""The images behind a gap."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from messages import saying
from tables_of_predictions import predictions_of

from tlkit.audit import audit_groups
from tlkit.audit.error_examples import GroupImages, NearestImage, failing_group_images, group_images, worst_images
from tlkit.audit.slices.feature_neighbors import cluster_features, nearest_images

CLASSES = ("ant", "bee", "cow")


@pytest.fixture
def predictions():
    """Return 200 images by day, 4 of them wrong, 100 by night, 40 of them wrong: ants called cows; 20 without light."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 320)
    y[200:240] = 0
    guess = y.copy()
    guess[:4] = (y[:4] + 1) % 3
    guess[200:240] = 2
    proba = np.full((320, 3), 0.1)
    proba[np.arange(320), guess] += 0.7 - rng.uniform(0, 0.1, 320)
    proba /= proba.sum(axis=1, keepdims=True)
    light = ["day"] * 200 + ["night"] * 100 + [None] * 20
    return predictions_of(y, proba=proba, classes=CLASSES, path=[f"{i:03d}.jpg" for i in range(320)], light=light)


def test_images_behind_a_failing_row_are_its_worst_ones_first(predictions):
    audit = audit_groups(predictions, by="light")
    (night,) = failing_group_images(predictions, audit, most=5)  # day fails too, but for being better
    assert (night.by, night.group, night.n, night.errors) == ("light", "night", 100, 40)
    loss = -np.log(predictions.proba[np.arange(320), predictions.y_true])
    expected = sorted(range(200, 240), key=lambda row: -loss[row])[:5]
    assert [one.path for one in night.wrong] == [f"{row:03d}.jpg" for row in expected]
    assert night.wrong[0].loss == pytest.approx(loss[expected[0]], abs=1e-4)
    assert all(one.y_true == one.y_pred for one in night.close)
    margins = [one.margin for one in night.close]
    assert margins == sorted(margins)


def test_a_confusion_that_grows_is_counted_against_the_rest(predictions):
    audit = audit_groups(predictions, by="light")
    (night,) = failing_group_images(predictions, audit)
    first = night.confusions[0]
    y, guess = predictions.y_true, predictions.y_pred
    ants_by_night = int((y[200:300] == 0).sum())
    ants_by_day = int((y[:200] == 0).sum())
    complement_k = int(((y[:200] == 0) & (guess[:200] == 2)).sum())
    assert night.tables()[1].rows[0][:6] == ("ant", "cow", 40, ants_by_night, complement_k, ants_by_day)
    assert first.p_holm is not None
    assert first.p_holm < 0.001
    assert night.tables()[0].title == saying("light: night", "40 of 100")


def test_rows_of_intersections_and_several_values_find_their_images():
    tags = ["a;b"] * 100 + ["a"] * 100 + ["b"] * 100
    predictions = predictions_of([0] * 300, [1] * 60 + [0] * 240, tags=tags, odd="oe" * 150)
    by = ["tags:separator=;", "odd"]
    audit = audit_groups(predictions, by="tags:separator=;", tolerance=0.0)
    found = failing_group_images(predictions, audit)
    assert all(one.n == 200 for one in found)
    crossed = failing_group_images(predictions, audit_groups(predictions, by=by, tolerance=0.0))
    assert all(one.errors == 30 for one in crossed if one.by == "tags × odd")


def test_without_probabilities_wrong_images_are_named_and_no_close_ones(predictions):
    bare = replace(predictions, proba=None)
    inside = np.arange(320) < 4
    found = group_images(bare, inside, complement=~inside, by="b", group="g")
    assert [one.path for one in found.wrong] == ["000.jpg", "001.jpg", "002.jpg", "003.jpg"]
    assert found.close == ()
    assert found.wrong[0].loss is None


def test_the_images_that_a_model_gets_wrong_are_named_whatever_their_groups(predictions):
    found = worst_images(predictions, most=5)
    wrong = predictions.y_pred != predictions.y_true
    loss = -np.log(predictions.proba[np.arange(320), predictions.y_true])
    assert (found.n, found.errors) == (320, 44)
    assert [one.path for one in found.wrong] == predictions.path[np.argsort(np.where(wrong, -loss, 9))[:5]].tolist()
    assert len(found.close) == 2
    assert found.confusions == ()


def test_evidence_goes_to_json_and_back(predictions):
    audit = audit_groups(predictions, by="light")
    near = {one: (NearestImage("t/0.jpg", "cow", "train", 0.9),) for one in predictions.path.tolist()}
    (night,) = failing_group_images(predictions, audit, neighbors=near)
    assert GroupImages.from_dict(json.loads(json.dumps(night.to_dict()))) == night
    assert "t/0.jpg" in night.paths
    assert night.tables()[0].column("near")[0] == "t/0.jpg (cow)"


def test_the_nearest_images_are_those_with_the_largest_cosine(predictions):
    rng = np.random.default_rng(1)
    x, trained = rng.normal(size=(320, 8)).astype(np.float32), rng.normal(size=(50, 8)).astype(np.float32)
    found = nearest_images(
        predictions,
        x,
        trained=trained,
        trained_paths=[f"t{i}" for i in range(50)],
        trained_labels=["ant"] * 50,
        split="test",
    )
    assert set(found) == set(predictions.path[~predictions.correct].tolist())
    cosine = trained @ x[200] / np.linalg.norm(trained, axis=1) / np.linalg.norm(x[200])
    assert [near.path for near in found["200.jpg"][:3]] == [f"t{i}" for i in np.argsort(-cosine)[:3]]
    right = found["200.jpg"][3]
    assert right.split == "test"
    assert right.label == "ant"


def test_clusters_are_formed_by_the_searched_half_and_stable():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(0, 0.01, (30, 4)) + np.eye(4)[k] for k in range(3)]).astype(np.float32)
    learn = np.arange(90) % 2 == 0
    found = cluster_features(x, learn=learn, clusters=3)
    assert [len(set(found[at : at + 30])) for at in (0, 30, 60)] == [1, 1, 1]
    assert len(set(found)) == 3
    assert found.tolist() == cluster_features(x, learn=learn, clusters=3).tolist()
