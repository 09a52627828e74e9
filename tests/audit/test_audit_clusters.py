"""Behind the verdicts: profiles and explanations of images in clusters, with weights, or matched."""

from __future__ import annotations

import json

import numpy as np
import pytest
from messages import saying, says
from tables_of_predictions import predictions_of

from tlkit.audit import Audit, Explanation, audit_groups, explain_gaps
from tlkit.audit.explanation_tables import basis_table
from tlkit.audit.group_profiles import MIN_CALIBRATION
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions
from tlkit.stats.intervals import wilson

COPIES = 4
BY = ["site", "age"]


@pytest.fixture(scope="module")
def images():
    """Six hundred separate images: site a is worse, above all for cats; age goes with the site."""
    generator = np.random.default_rng(0)
    n = 600
    site = generator.choice(["a", "b"], n, p=[0.4, 0.6])
    age = np.where(
        generator.random(n) < np.where(site == "a", 0.5, 0.2), "30-39", generator.choice(["10-19", "20-29"], n)
    )
    y = generator.integers(0, 3, n)
    logits = generator.normal(size=(n, 3))
    logits[np.arange(n), y] += np.where((site == "a") & (y == 2), 0.8, 2.0)
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {"y": y, "proba": proba, "site": site, "age": age, "subject": np.arange(n)}


def built(images, rows, **more):
    columns = {name: images[name] for name in ("site", "age", "subject")} | more
    groups = {name: np.asarray(values)[rows].astype(str) for name, values in columns.items()}
    return predictions_of(images["y"][rows], proba=images["proba"][rows], classes=("ant", "bee", "cat"), **groups)


@pytest.fixture(scope="module")
def once(images):
    return built(images, np.arange(600))


@pytest.fixture(scope="module")
def copied(images):
    return built(images, np.repeat(np.arange(600), COPIES))


def estimates(profile):
    found = {name: getattr(profile, name) for name in ("macro_recall", "confidence_gap", "brier", "log_loss")}
    for name in ("recall", "auroc", "auroc_positives", "auroc_negatives"):
        found |= {f"{name} {key}": one for key, one in getattr(profile, name).items()}
    return found


def test_the_profiles_of_copies_in_clusters_are_those_of_the_images(once, copied):
    plain = audit_groups(once, by=BY, draws=100).profiles
    naive = audit_groups(copied, by=BY, draws=100).profiles
    ours = audit_groups(copied, by=BY, draws=100, cluster_by="subject").profiles
    compared = 0
    for table, wrong, right in zip(plain, naive, ours, strict=True):
        for row, narrow, clustered in zip(table.rows, wrong.rows, right.rows, strict=False):
            assert (row.group, row.classes_present) == (clustered.group, clustered.classes_present)
            there, few = estimates(clustered), estimates(narrow)
            for name, one in estimates(row).items():
                two = there[name]
                assert two.value == pytest.approx(one.value)
                if one.low is None:
                    continue
                width = (two.high - two.low) / (one.high - one.low)
                assert width > 0.9, name
                if "auroc" not in name:  # areas near 1 reach farther down in clusters; rare errors are hardly known
                    assert width < (1.2 if name in ("confidence_gap", "brier", "log_loss") else 1.4), name
                assert few[name].high - few[name].low < 0.65 * (two.high - two.low), name
                compared += 1
            assert clustered.aurc == pytest.approx(row.aurc, abs=0.02)
            if row.calibration is not None:
                assert clustered.calibration_expected == pytest.approx(row.calibration_expected, rel=0.1)
                assert narrow.calibration_expected < 0.6 * clustered.calibration_expected
    assert compared > 80


def test_a_calibration_error_needs_as_much_as_two_hundred_images_say(images):
    rows = np.repeat(np.flatnonzero(images["site"] == "a")[:100], COPIES)
    audit = audit_groups(
        built(images, np.r_[rows, np.flatnonzero(images["site"] == "b")]), by="site", cluster_by="subject"
    )
    few, many = audit.profiles[0].rows
    assert few.images >= 2 * MIN_CALIBRATION
    assert few.calibration is None
    assert many.calibration is not None


def test_the_explanation_of_copies_in_clusters_is_that_of_the_images(once, copied):
    order = {"age": ["10-19", "20-29", "30-39"]}
    plain, naive = (explain_gaps(each, by=BY, order=order) for each in (once, copied))
    ours = explain_gaps(copied, by=BY, order=order, cluster_by="subject")
    for column, wrong, right in zip(plain.columns, naive.columns, ours.columns, strict=True):
        for row, narrow, clustered in zip(column.groups, wrong.groups, right.groups, strict=True):
            for part in ("gap", "mix", "rate", "standardised"):
                one, few, two = (getattr(each.split, part) for each in (row, narrow, clustered))
                assert two.value == pytest.approx(one.value)
                assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.15), part
                assert few.high - few.low < 0.65 * (two.high - two.low), part
            for name in ("accuracy", "difference"):
                one, few, two = (getattr(each, name) for each in (row, narrow, clustered))
                assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.1)
                assert few.high - few.low < 0.6 * (two.high - two.low)
        for row, clustered in zip(column.adjusted, right.adjusted, strict=True):
            assert clustered.odds.pooled.value == pytest.approx(row.odds.pooled.value)
            spans = [np.log(each.odds.pooled.high / each.odds.pooled.low) for each in (row, clustered)]
            assert spans[1] == pytest.approx(spans[0], rel=0.15)
            assert clustered.gap.value == pytest.approx(row.gap.value)
            assert clustered.gap.high - clustered.gap.low == pytest.approx(row.gap.high - row.gap.low, rel=0.1)
            assert clustered.odds.p == pytest.approx(row.odds.p, abs=0.05)
        for cells, few, many in zip(column.heat.cells, wrong.heat.cells, right.heat.cells, strict=True):
            for one, two, three in zip(cells, few, many, strict=True):
                assert three.recall.value == pytest.approx(one.recall.value)
                spans = [each.high - each.low for each in (one.recall, two.recall, three.recall)]
                assert spans[2] == pytest.approx(spans[0], rel=0.12)
                assert spans[1] < 0.65 * spans[2]
                assert three.p == pytest.approx(one.p, abs=0.2)  # Fisher is on the safe side
        assert right.heat.tests == column.heat.tests
    one, few, two = (each.column("age").ordered.rates for each in (plain, naive, ours))
    assert two.shape == one.shape
    assert two.any.p == pytest.approx(one.any.p, abs=0.05)
    assert few.any.statistic > 3 * two.any.statistic
    for one, two in zip(plain.associations, ours.associations, strict=True):
        assert two.association.v == pytest.approx(one.association.v, abs=0.01)
        assert two.association.n == COPIES * one.association.n


def test_weights_count_as_so_many_copies_and_say_less(images):
    weight = np.random.default_rng(1).integers(1, 4, 600)
    weighted = built(images, np.arange(600), w=weight)
    copies = built(images, np.repeat(np.arange(600), weight))
    ours, plain = audit_groups(weighted, by=BY, weights="w", draws=100), audit_groups(copies, by=BY, draws=100)
    for right, table in zip(ours.profiles, plain.profiles, strict=True):
        for row, other in zip(right.rows, table.rows, strict=False):
            for name, one in estimates(row).items():
                two = estimates(other)[name]
                assert one.value == pytest.approx(two.value), name
                if one.low is not None and two.low is not None:
                    assert one.high - one.low > 1.15 * (two.high - two.low), name
    for row, other in zip(ours.group_tables[0].rows, plain.group_tables[0].rows, strict=False):
        assert row.mean_confidence == pytest.approx(other.mean_confidence)
    told, known = explain_gaps(weighted, by=BY, weights="w"), explain_gaps(copies, by=BY)
    for column, other in zip(told.columns, known.columns, strict=True):
        for one, two in zip(column.groups, other.groups, strict=True):
            assert one.accuracy.value == pytest.approx(two.accuracy.value)
            assert one.split.mix.value == pytest.approx(two.split.mix.value)
            assert one.split.rate.high - one.split.rate.low > 1.15 * (two.split.rate.high - two.split.rate.low)
        for one, two in zip(column.adjusted, other.adjusted, strict=True):
            assert one.odds.pooled.value == pytest.approx(two.odds.pooled.value)
            assert one.gap.value == pytest.approx(two.gap.value)


@pytest.mark.parametrize(
    "asked",
    [{"cluster_by": "subject"}, {"weights": "w"}, {"pair_by": "subject"}, {"cluster_by": "subject", "weights": "w"}],
)
def test_rates_and_differences_behind_the_gaps_are_those_of_the_audit(images, asked):
    generator = np.random.default_rng(2)
    rows = generator.integers(0, 200, 900)
    table = built(images, rows, w=generator.choice([0.5, 1.0, 4.0], 600))
    mixed = table.groups.assign(light=generator.choice(["day", "night"], 900))  # within subjects
    table = Predictions.build(
        classes=table.classes, path=table.path, y_true=table.y_true, proba=table.proba, groups=mixed
    )
    audit = audit_groups(
        table, by=["site", "light"], metrics=("accuracy", "recall"), max_intersection_order=1, draws=100, **asked
    )
    found = explain_gaps(table, by=["site", "light"], **asked)
    for column in ("site", "light"):
        rows = {row.name: row for row in audit.group_table(column).rows}
        for group in found.column(column).groups:
            assert group.accuracy == rows[group.group].rate
            if rows[group.group].difference is None:
                assert says(group.difference.note, "fewer than two clusters")
            else:
                assert group.difference == rows[group.group].difference
        recalls = {one.class_name: one for one in audit.group_tables if one.by == column and one.metric == "recall"}
        heat = found.column(column).heat
        for group, cells in zip(heat.groups, heat.cells, strict=True):
            for name, cell in zip(heat.classes, cells, strict=True):
                row = recalls[name].row((group,))
                assert (cell.recall, cell.difference, cell.p) == (row.rate, row.difference, row.p)
    for table in audit.profiles:
        for row in table.rows:
            for name, recall in row.recall.items():
                assert recall == next(
                    one.row(row.group).rate
                    for one in audit.group_tables
                    if one.by == table.by and one.metric == "recall" and one.class_name == name
                )


def test_base_rates_allow_for_clusters_and_weights(images):
    rows = np.repeat(np.arange(200), COPIES)
    table = built(images, rows, w=np.where(images["y"] == 2, 2, 1))
    asked = {"by": "site", "metrics": "recall", "draws": 100}
    plain, clustered, weighted = (
        next(one for one in audit_groups(table, **asked, **design).group_tables if one.class_name == "cat")
        .rows[0]
        .base_rate
        for design in ({}, {"cluster_by": "subject"}, {"weights": "w"})
    )
    assert plain == wilson(round(plain.value * plain.n), plain.n)
    assert clustered.value == plain.value
    assert clustered.high - clustered.low == pytest.approx(2 * (plain.high - plain.low), rel=0.1)
    assert weighted.value == pytest.approx(2 * plain.value / (1 + plain.value))


def test_images_of_one_cluster_are_not_explained_and_have_no_profile(images):
    one = np.where(images["site"] == "a", "x", images["subject"].astype(str))
    table = built(images, np.arange(600), day=one)
    row = audit_groups(table, by="site", cluster_by="day", draws=100).profiles[0].rows[0]
    for estimate in (row.macro_recall, row.confidence_gap, row.brier, row.log_loss, row.recall["ant"]):
        assert (estimate.value, estimate.note) == (None, saying(estimate.n, "one cluster"))
    assert (row.calibration, row.calibration_expected) == (None, None)
    assert all(area.value is None for area in row.auroc.values())
    found = explain_gaps(table, by=["site", "age"], order={"site": ["a", "b"]}, cluster_by="day")
    site = found.column("site")
    assert site.worst is None
    assert all(group.split.rate.low is None for group in site.groups)
    assert all(cell.p is None for cells in site.heat.cells for cell in cells)
    tables = {one.name: one for one in found.tables()}
    (note,) = tables["gaps by site"].notes
    assert says(note, "a, b", "complement", "fewer than two clusters")
    assert says(tables["trends"].notes, "site", "no test", "one cluster")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("clusters of subject", {"cluster_by": "subject"}),
        ("weights in w", {"weights": "w"}),
        ("weights in w and clusters of subject", {"weights": "w", "cluster_by": "subject"}),
        ("matched sets of subject", {"pair_by": "subject"}),
    ],
)
def test_the_sampling_design_is_stated(images, once, text, options):
    found = explain_gaps(built(images, np.repeat(np.arange(600), 2), w=np.full(600, 2)), by=BY, **options)
    assert says(found.tables()[0].notes, text)
    assert text in found._repr_html_()
    assert says(basis_table(found).notes, text)
    assert Explanation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    plain = explain_gaps(once, by=BY)
    assert plain.independent
    assert len(basis_table(plain).notes) == 1


def test_problems_of_a_design_are_those_of_an_audit(once):
    with pytest.raises(PredictionsError) as caught:
        explain_gaps(once, by="site", cluster_by="subjct", pair_by="site")
    assert caught.value.problems == (
        saying("pair_by", "Leave out cluster_by and weights"),
        saying("cluster_by", "'subjct'", "Did you mean 'subject'?", "site, age, subject"),
        saying("pair_by", "'site'", "one of them"),
    )


def test_weights_of_nothing_and_rounding_break_nothing():
    # Rates of 1 whose weighted mean is 1 + 2e-16 by rounding: a root of something negative, with a warning
    groups = {"g": "abc" * 30, "w": ["0.1", "3.0"] * 45, "z": "011" * 30}
    table = predictions_of([0] * 90, [0] * 90, **groups)
    audit = audit_groups(table, by="g", weights="w", draws=100)
    assert audit.group_table("g").gap.p == 1
    nothing = audit_groups(table, by="g", weights="z", draws=100)
    assert nothing.group_table("g").gap is not None, "two groups have weights"
    assert nothing.profiles[0].rows[0].macro_recall.note == saying("30", "no image", "weight")
    assert Audit.from_dict(json.loads(json.dumps(nothing.to_dict(), allow_nan=False))) == nothing


def test_a_group_of_one_cluster_with_weights_is_not_said_to_have_none():
    groups = {"g": "ab" * 30, "w": "123" * 20, "u": ["x" if i % 2 == 0 else str(i) for i in range(60)]}
    table = predictions_of([0] * 60, [0] * 50 + [1] * 10, **groups)
    audit = audit_groups(table, by="g", weights="w", cluster_by="u")
    assert audit.group_table("g").row(("a",)).rate.note == saying("30", "one cluster")
    assert says(audit.tables()[1].notes, "no gap", "fewer than two clusters", "column u")
    paired = audit_groups(table, by="g", pair_by="u")
    assert says(paired.tables()[1].notes, "no gap", "fewer than two matched sets", "column u")
