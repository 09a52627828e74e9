"""Evaluation of images in clusters: the intervals are those of the audit, and cover under simulation."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from messages import saying

from tlkit.audit.audit import audit_groups
from tlkit.errors import PredictionsError
from tlkit.evaluation import Evaluation, evaluate
from tlkit.evaluation.evaluation_tables import summary_table
from tlkit.predictions import Predictions
from tlkit.stats.estimate import Estimate


def clustered(people: int = 30, each: int = 10, classes: int = 3, seed: int = 0) -> Predictions:
    """Return images of people of whom some are recognized much better than others."""
    rng = np.random.default_rng(seed)
    n = people * each
    person, y = np.repeat(np.arange(people), each), rng.integers(0, classes, n)
    right = rng.random(n) < rng.beta(2, 1, people)[person]
    guess = np.where(right, y, (y + 1) % classes)
    proba = np.full((n, classes), 0.1) + np.eye(classes)[guess] * (1 - 0.1 * classes)
    groups = pd.DataFrame({"person": [f"p{one}" for one in person], "light": np.where(person % 2, "day", "night")})
    return Predictions.build(
        classes=[f"c{i}" for i in range(classes)],
        path=[f"{i}.jpg" for i in range(n)],
        y_true=y,
        proba=proba,
        groups=groups,
    )


def test_one_accuracy_has_one_interval_in_evaluation_and_audit() -> None:
    p = clustered()
    audit = audit_groups(p, by="light", cluster_by="person")
    evaluation = evaluate(p, cluster_by="person", top_k=(1, 2))
    assert evaluation.accuracy == audit.overall == evaluation.top_k[1]
    profile = audit_groups(p.take(p.groups["light"].to_numpy() == "day"), by="light", cluster_by="person").profiles[0]
    day = evaluate(p.take(p.groups["light"].to_numpy() == "day"), cluster_by="person")
    assert day.balanced_accuracy == profile.rows[0].macro_recall
    assert (day.log_loss.low, day.log_loss.high) == pytest.approx(
        (profile.rows[0].log_loss.low, profile.rows[0].log_loss.high)
    )
    for one in day.per_class:
        assert one.recall == profile.rows[0].recall[one.name]
    assert evaluation.clusters == 30 and summary_table(evaluation).notes == (saying("30", "clusters", "person"),)
    assert Evaluation.from_dict(json.loads(json.dumps(evaluation.to_dict()))) == evaluation


def test_values_do_not_depend_on_clusters_and_intervals_are_wider() -> None:
    p = clustered()
    alone, together = evaluate(p), evaluate(p, cluster_by="person", leaked=p.path[:20].tolist())
    pairs = [(alone.accuracy, together.accuracy), (alone.balanced_accuracy, together.balanced_accuracy)]
    pairs += [(alone.macro_f1, together.macro_f1), (alone.log_loss, together.log_loss)]
    for one, two in zip(alone.per_class, together.per_class, strict=True):
        pairs += [(one.precision, two.precision), (one.recall, two.recall), (one.f1, two.f1)]
    for one, two in pairs:
        assert two.value == pytest.approx(one.value) and two.n == one.n
        assert two.low <= one.low + 1e-12 and two.high >= one.high - 1e-12
    assert together.accuracy.low < alone.accuracy.low
    assert together.without_leaks.accuracy.n == 280


def test_a_single_cluster_has_figures_without_intervals() -> None:
    p = clustered(people=1)
    evaluation = evaluate(p, cluster_by="person")
    for one in (evaluation.accuracy, evaluation.balanced_accuracy, evaluation.macro_f1, evaluation.log_loss):
        assert isinstance(one, Estimate) and one.value is not None and one.low is None
        assert one.note == saying("n = 10", "one cluster")
    assert [one.precision.value is None for one in evaluation.per_class] == [
        count == 0 for count in evaluation.confusion.sum(axis=0)
    ]


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(PredictionsError, match=saying("cluster_by", "persons", "person").pattern):
        evaluate(clustered(), cluster_by="persons")


def test_intervals_hold_the_truth_where_people_differ() -> None:
    covered = np.zeros(3)
    truth = 2 / 3  # the mean of Beta(2, 1); errors go round the classes, so F1 and recall have the same mean
    for seed in range(120):
        found = evaluate(clustered(people=15, each=8, seed=seed), cluster_by="person")
        three = (found.accuracy, found.balanced_accuracy, found.macro_f1)
        covered += [one.low <= truth <= one.high for one in three]
    assert (covered / 120 >= 0.9).all()


@pytest.mark.parametrize("scale", [1e-300, 7.0, 1e305])
def test_figures_do_not_depend_on_the_scale_of_weights(scale: float) -> None:
    predictions, weight = clustered(), np.random.default_rng(3).uniform(0.2, 2, 300)
    one, other = (
        evaluate(predictions.with_groups(pd.DataFrame({"path": predictions.path, "w": weight * by})), weights="w")
        for by in (1.0, scale)
    )
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss"):
        pair = [getattr(result, name) for result in (one, other)]
        of = [(estimate.value, estimate.low, estimate.high) for estimate in pair]
        assert of[1] == pytest.approx(of[0], rel=1e-9), name
