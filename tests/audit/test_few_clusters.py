"""Groups of few clusters state how many there are and what is needed in clusters; weights of any scale count alike."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from messages import says

from tlkit.audit import Audit, audit_groups, compare_predictions, explain_gaps
from tlkit.predictions import Predictions
from tlkit.tables import to_lines


def images(people: dict[str, int], *, each: int, seed: int = 0) -> Predictions:
    """Return images of so many people of each group, of whom some are recognized better than others."""
    rng = np.random.default_rng(seed)
    person = np.repeat([f"{group}{i}" for group, count in people.items() for i in range(count)], each)
    names, code = np.unique(person, return_inverse=True)
    y = rng.integers(0, 2, len(person))
    right = rng.random(len(person)) < rng.beta(8, 2, len(names))[code]
    groups = pd.DataFrame({"g": [name[0] for name in person], "person": person, "w": rng.uniform(0.5, 3, len(person))})
    return Predictions.build(
        classes=["ant", "bee"],
        path=[f"{i}.png" for i in range(len(person))],
        y_true=y,
        y_pred=np.where(right, y, 1 - y),
        groups=groups,
    )


@pytest.mark.parametrize("people", [1, 2, 5])
def test_the_need_of_a_group_of_few_people_is_stated_in_people(people):
    audit = audit_groups(images({"a": people, "b": 40}, each=42), by="g", cluster_by="person")
    row = audit.group_table("g").row(("a",))
    assert row.verdict == "NOT ENOUGH DATA" and row.clusters == people
    assert 10 - people <= row.clusters_needed < 3000
    assert row.images_needed == row.clusters_needed * 42
    many = audit_groups(images({"a": 20, "b": 40}, each=42), by="g", cluster_by="person").group_table("g").row(("a",))
    assert row.clusters_needed + people < 8 * (many.clusters_needed + 20), "of the order of what more people would say"
    rates = next(table for table in audit.tables() if table.name == "g")
    assert rates.column("clusters") == (people, 40) and rates.column("clusters_needed")[0] == row.clusters_needed
    assert says(
        "\n".join(to_lines([rates])),
        "clusters of person",
        *([f"only {people} clusters of person"] if people > 1 else []),
    )
    plain = json.loads(json.dumps(audit.to_redacted()))["group_tables"][0]["rows"][0]
    assert (plain["clusters"], plain["clusters_needed"]) == (people, row.clusters_needed)
    assert audit.table("g")["clusters"].tolist() == [people, 40]
    assert Audit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit


def test_with_many_people_the_need_is_that_of_the_images():
    audit = audit_groups(
        images({"a": 20, "b": 40}, each=10), by="g", cluster_by="person", metrics=["accuracy", "recall"]
    )
    for table in audit.group_tables:
        for row in table.rows:
            if row.images_needed is not None:
                assert row.clusters_needed == int(np.ceil(row.images_needed / (row.rate.n / row.clusters)))
    alone = audit_groups(images({"a": 20, "b": 40}, each=10), by="g").group_table("g").rows[0]
    assert alone.clusters is None and alone.clusters_needed is None


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-9, 7.0, 1e200, 1e307])
@pytest.mark.parametrize("cluster_by", [None, "person"])
def test_results_do_not_depend_on_the_scale_of_weights(scale, cluster_by):
    table = images({"a": 15, "b": 30}, each=8)
    weight = table.groups["w"].astype(float).to_numpy()
    scaled = table.with_groups(table.table()[["path"]].assign(w=weight * scale))
    if scale < 1e-300:  # the smallest numbers have few digits
        weight = weight * scale / scale
    whole = table.with_groups(table.table()[["path"]].assign(w=weight))
    options = {"by": "g", "weights": "w", "cluster_by": cluster_by}
    one, two = (audit_groups(each, **options, draws=100).table() for each in (whole, scaled))
    pd.testing.assert_frame_equal(one, two, rtol=1e-9)
    gaps = [explain_gaps(each, **options, replicates=50).to_dict() for each in (whole, scaled)]
    assert json.dumps(gaps[0])[:200] == json.dumps(gaps[1])[:200]
    other = images({"a": 15, "b": 30}, each=8, seed=1)
    changes = [
        compare_predictions(
            each,
            Predictions.build(
                classes=other.classes,
                path=other.path,
                y_true=other.y_true * 0 + each.y_true,
                y_pred=other.y_pred,
                groups=each.groups,
            ),
            weights="w",
            by="g",
        ).overall
        for each in (whole, scaled)
    ]
    assert changes[0].difference.value == pytest.approx(changes[1].difference.value)
