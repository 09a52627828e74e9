"""`find_label_issues` on planted label errors and on clean data."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from messages import saying, says

from tlkit.analysis.label_audit import LabelAudit
from tlkit.analysis.label_issues import find_label_issues
from tlkit.analysis.neighbor_classes import choose_neighbor_count, neighbor_class_shares
from tlkit.errors import DataError
from tlkit.tables import counted


def names(n):
    return [f"{row:03d}.jpg" for row in range(n)]


def audit(x, y, classes, **more):
    n = len(y)
    given = {"splits": ["train"] * n, "digests": [f"digest {row}" for row in range(n)], "head": "ridge"}
    return find_label_issues(x, y, classes=classes, paths=names(n), **{**given, **more})


@pytest.fixture
def planted(make_features):
    """Return features, labels with 15 of 300 wrong, class names, and the rows that are wrong with their true codes."""
    x, y, classes = make_features(n=300, apart=1.0)
    rows = np.random.default_rng(3).permutation(300)[:15]
    truth = {int(row): int(y[row]) for row in rows}
    y = y.copy()
    y[rows] = (y[rows] + 1) % 3
    return x, y, classes, truth


def test_planted_label_errors_are_ranked_first_with_the_right_suggestion(planted):
    x, y, classes, truth = planted
    found = audit(x, y, classes)
    first = [int(one.path[:3]) for one in found.suspects[:15]]
    assert len(set(first) & set(truth)) >= 14
    assert set(truth) <= {int(one.path[:3]) for one in found.suspects} and len(found.suspects) <= 30
    flagged = {int(one.path[:3]) for one in found.suspects if one.issue}
    assert len(flagged & set(truth)) >= 14
    for one in found.suspects[:15]:
        row = int(one.path[:3])
        assert one.label == classes[y[row]]
        assert row not in truth or one.suggested == classes[truth[row]]
        assert sum(one.proba) == pytest.approx(1) and sum(one.neighbors) == pytest.approx(1)
    scores = [one.score for one in found.suspects]
    assert scores == sorted(scores) and 0 < scores[0] < scores[-1] < 1
    assert found.wrong.n == 50 and found.wrong.low == 0 and found.wrong.high >= 15
    (table,) = found.tables()
    assert table.column("path") == tuple(one.path for one in found.suspects)
    assert table.column("p_label")[0] == found.suspects[0].proba[classes.index(found.suspects[0].label)]
    assert table.notes[0] == saying(f"{len(found.suspects)} of 300", f"{found.issues} marked")
    how_sure = (f"{found.wrong.value:.0f} of 300", f"{found.wrong.low:.0f} to {found.wrong.high:.0f}", "50 images")
    assert table.notes[1] == saying(*how_sure)


def test_a_clean_data_set_has_few_suspects(make_features):
    x, y, classes = make_features(n=300, apart=1.0)
    found = audit(x, y, classes)
    assert len(found.suspects) <= 6
    assert found.wrong.value == 0 and found.wrong.low == 0 and 0 < found.wrong.high < 30
    assert found.images == {"train": 300} and found.k == 50
    assert says(found.tables()[0].notes[1], "wrong labels", "95%", f"0 to {found.wrong.high:.0f}")
    (none,) = replace(found, suspects=()).tables()
    assert none.rows == () and none.notes[0].startswith("None of 300 images")


def test_few_images_are_ranked_without_an_estimate(make_features):
    x, y, classes = make_features(n=90, apart=1.0)
    y = y.copy()
    y[4] = (y[4] + 1) % 3
    found = audit(x, y, classes)
    assert found.suspects[0].path == "004.jpg"
    assert found.wrong.value is None and found.wrong.note == saying("not enough data", "90 images", "200")
    assert found.wrong.note in found.tables()[0].notes[1]


def test_duplicates_with_the_same_wrong_label_share_a_fold(make_features):
    x, y, classes = make_features(n=120, apart=1.0)
    x, y = x.copy(), y.copy()
    x[7:13] = x[7]
    y[7:13] = (y[7] + 1) % 3
    apart = audit(x, y, classes)
    together = audit(x, y, classes, duplicates=[list(range(7, 13))])
    own = next(one for one in together.suspects if one.path == "007.jpg")
    assert own.copies == tuple(names(120)[8:13])
    assert own.neighbors[y[7]] < 0.2
    before = [one.score for one in apart.suspects if one.path == "007.jpg"] or [1.0]
    assert own.score < before[0]


@pytest.mark.parametrize("lone", [1, 4])
def test_classes_with_fewer_images_than_folds_are_left_out_and_named(make_features, lone):
    x, y, classes = make_features(n=300, apart=1.0)
    y = y.copy()
    y[:lone] = 3
    found = audit(x, y, (*classes, "lone", "none"), duplicates=[(0, 1), (5, 6)], groups=[None] * 300)
    assert not {one.path for one in found.suspects} & set(names(lone))
    assert found.left_out == {"lone": lone} and found.total == 300 - lone
    assert found.accuracy.n == 300 - lone and found.wrong.value == 0
    assert found.tables()[0].notes[2] == saying("Not judged", counted(lone, "image"), "1 class", "5 folds", "lone")
    assert len(found.suspects) <= 6
    fewer = audit(x, y, (*classes, "lone"), folds=lone) if lone > 1 else None
    assert fewer is None or fewer.left_out == {}
    assert LabelAudit.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_a_class_of_one_group_or_of_copies_counts_once(make_features):
    x, y, classes = make_features(n=120, apart=1.0)
    y = y.copy()
    y[:6] = 3
    one_film = audit(x, y, (*classes, "lone"), groups=["film"] * 6 + [None] * 114)
    copies = audit(x, y, (*classes, "lone"), duplicates=[list(range(6))])
    assert one_film.left_out == copies.left_out == {"lone": 6}


def test_a_thousand_classes_of_one_image_have_no_suspects():
    rng = np.random.default_rng(0)
    found = audit(rng.normal(size=(1000, 8)).astype(np.float32), np.arange(1000), [f"c{i}" for i in range(1000)])
    assert found.suspects == () and found.total == 0 and sum(found.left_out.values()) == 1000
    assert found.wrong.value is None and found.accuracy.value is None
    assert any(note == saying("Not judged", "1,000 images of 1,000 classes") for note in found.tables()[0].notes)


def test_one_class_is_refused(make_features):
    x, y, classes = make_features(n=30)
    with pytest.raises(DataError, match=saying("label", "images", "classes").pattern):
        audit(x, np.zeros_like(y), classes)


def test_notebook_view(planted):
    x, y, _, _ = planted
    found = replace(audit(x, y, ("a<b", "b", "c"), duplicates=[(0, 1)]), run="pets", strategy="full")
    shown = found._repr_html_()
    assert "a&lt;b" in shown and "a<b" not in shown and "fine-tuned" in shown
    assert found.tables()[0].notes[2:] == (saying("pets", "strategy: full", "strategy: frozen instead"),)
    assert len(found.tables()[0].rows) == len(found.table()) == len(found.suspects)


def test_votes_are_those_of_scikit_learns_neighbors_in_the_other_folds(make_features):
    from sklearn.neighbors import NearestNeighbors

    x, y, _ = make_features(n=80)
    fold = np.arange(80) % 4
    shares = neighbor_class_shares(x, y, fold, classes=3, k=7)
    for row in (0, 17, 79):
        outside = np.flatnonzero(fold != fold[row])
        search = NearestNeighbors(n_neighbors=7, metric="cosine").fit(x[outside])
        nearest = outside[search.kneighbors(x[[row]], return_distance=False)[0]]
        np.testing.assert_allclose(shares[row], np.bincount(y[nearest], minlength=3) / 7)
    assert np.allclose(neighbor_class_shares(x, y, fold, classes=3, k=500).sum(axis=1), 1)
    assert [choose_neighbor_count(one) for one in (y, y[:6], np.arange(1000) % 2)] == [13, 5, 50]
