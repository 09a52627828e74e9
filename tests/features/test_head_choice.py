"""`head: auto`: the simplest head that is not distinguishable from the best."""

from __future__ import annotations

import json

import numpy as np
import pytest
from messages import saying, says

from tlkit.errors import ModelError
from tlkit.features.heads import choose_head, fit_head
from tlkit.features.heads.head_tables import facts_sentence


def sentence_of(choice):
    """Return the sentence of a choice, made from what a run stores of it; the table's note is the same."""
    stored = json.loads(json.dumps(choice.head.to_dict() | {"choice": choice.to_dict()}))
    assert choice.tables()[0].notes == (facts_sentence(stored),)
    return facts_sentence(stored)


def rings(n=240, width=4, seed=0):
    """Return two classes that no plane can part: one around the other."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, width))
    x = x / np.linalg.norm(x, axis=1, keepdims=True) * (1 + 2 * y[:, None]) + rng.normal(size=(n, width)) * 0.3
    return x.astype(np.float32), y


def test_of_heads_that_are_not_distinguishable_the_simpler_is_chosen(make_features):
    x, y, names = make_features(n=150)
    choice = choose_head(x, y, classes=names)
    assert choice.head.kind == "logistic"
    assert [one.kind for one in choice.candidates] == ["logistic", "lda", "ridge", "linear_svm", "knn", "svm"]
    best = max(one.accuracy.value for one in choice.candidates)
    leader = next(one for one in choice.candidates if one.kind == choice.leader)
    assert leader.accuracy.value == best and not leader.distinguishable
    for one in choice.candidates:
        assert one.behind.value == pytest.approx(best - one.accuracy.value)
        assert one.distinguishable == (one.behind.low > 0)
    if choice.leader != "logistic":
        assert says(sentence_of(choice), "not distinguishable", "simpler head")


def test_a_distinguishably_better_head_is_chosen():
    x, y = rings()
    choice = choose_head(x, y, classes=("in", "out"), kinds=("logistic", "ridge", "svm"))
    assert choice.head.kind == choice.leader == "svm"
    logistic = choice.candidates[0]
    assert logistic.distinguishable and logistic.behind.low > 0.2
    assert f"Behind it: logistic by {logistic.behind.format()}" in sentence_of(choice)
    alone = fit_head(x, y, kind="svm", classes=("in", "out"))
    assert np.array_equal(alone.predict_proba(x), choice.head.predict_proba(x))
    (table,) = choice.tables()
    assert dict(zip(table.column("kind"), table.column("chosen"), strict=True))["svm"] is True
    assert table.column("behind") == tuple(None if one.kind == "svm" else one.behind for one in choice.candidates)
    assert table.column("alike")[0] is False
    assert sentence_of(choice).split(" ", 1)[0] in choice._repr_html_()


def test_kinds_that_were_not_tried_are_named_with_the_option(make_features):
    x, y, names = make_features(n=40, classes=2)
    choice = choose_head(x, y, classes=names, kinds=("ridge", "lda"))
    assert says(sentence_of(choice), "Not tried", "random_forest, gradient_boosting", "strategy.head")


def test_kinds_that_take_no_class_weights_are_left_out(make_features, caplog):
    caplog.set_level("INFO", logger="tlkit")
    x, y, names = make_features(n=60, classes=2)
    choice = choose_head(x, y, classes=names, kinds=("ridge", "lda", "knn"), class_weight="balanced")
    assert choice.head.kind == "ridge"
    assert says(caplog.text, "leaves", "class", "weights")
    with pytest.raises(ModelError, match=saying("head", "choose").pattern):
        choose_head(x, y, classes=names, kinds=("lda",), class_weight="balanced")
