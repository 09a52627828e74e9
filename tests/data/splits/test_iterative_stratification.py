"""Splits of several labels and of numbers keep their shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlkit.data.splits.hold_out import SplitPlan, hold_out
from tlkit.data.splits.iterative_stratification import stratify_labels
from tlkit.samples import Samples


def images_with(labels, task, **columns):
    names = sorted({name for text in labels for name in text.split(";") if name}) if task == "multilabel" else []
    paths = [f"{place:04d}.png" for place in range(len(labels))]
    table = pd.DataFrame({"path": paths, "label": labels, "split": "train", "digest": "", **columns}).astype("str")
    return Samples(Path(), tuple(names), table, task)


def drawn_labels(count, seed=0):
    rng = np.random.default_rng(seed)
    has = rng.random((count, 4)) < np.array([0.5, 0.2, 0.05, 0.02])
    return [";".join(name for name, one in zip("abcd", row, strict=True) if one) for row in has]


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_parts_partition_images_and_labels_into_shares(seed, parts):
    rng = np.random.default_rng(seed)
    labels = (rng.random((60, 3)) < 0.3).astype(np.int64)
    ranks = [f"{value:.9f}" for value in rng.random(60)]
    found = stratify_labels(labels, [1 / parts] * parts, ranks=ranks)
    sizes = np.bincount(found, minlength=parts)
    assert sizes.sum() == 60
    assert np.abs(sizes - 60 / parts).max() <= 3
    for column in range(3):
        counts = np.bincount(found[labels[:, column] == 1], minlength=parts)
        assert np.abs(counts - labels[:, column].sum() / parts).max() <= 2.5
    order = rng.permutation(60)
    again = stratify_labels(labels[order], [1 / parts] * parts, ranks=[ranks[place] for place in order])
    assert np.array_equal(again, found[order])


def test_rare_labels_reach_every_split():
    samples = hold_out(images_with(drawn_labels(600), "multilabel"), SplitPlan(val=0.2, test=0.2, seed=3))
    counts, sizes = samples.counts(), samples.split_sizes()
    assert sum(sizes.values()) == 600
    for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        assert abs(sizes[split] - share * 600) <= 6
        wanted = share * counts.sum(axis=1)
        assert ((counts[split] - wanted).abs() <= np.maximum(1.5, 0.05 * wanted)).all()


def test_train_keeps_a_label_of_one_image():
    labels = ["a", "a", "a", "a", "a;z", "a", "a", "b", "b", "b"]
    samples = hold_out(images_with(labels, "multilabel"), SplitPlan(val=0.4, test=0.4))
    assert samples.split("train").counts()["train"]["z"] == 1


def test_groups_of_images_with_labels_stay_together():
    groups = [f"p{place // 6}" for place in range(240)]
    samples = images_with(drawn_labels(240), "multilabel", patient=groups)
    found = hold_out(samples, SplitPlan(val=0.25, group_by="patient"))
    assert found.table.groupby("patient")["split"].nunique().max() == 1
    counts = found.counts()
    assert abs(found.split_sizes()["val"] - 60) <= 6
    assert abs(counts["val"]["a"] / counts.loc["a"].sum() - 0.25) < 0.08


def test_folds_of_labels_are_disjoint_and_alike():
    samples = images_with(drawn_labels(300), "multilabel")
    tests = [hold_out(samples, SplitPlan(val=0, folds=3, fold=fold)).split("test") for fold in range(3)]
    assert len({path for part in tests for path in part.paths}) == 300
    assert all(abs(len(part) - 100) <= 3 for part in tests)
    assert np.ptp([part.counts()["test"]["c"] for part in tests]) <= 1


@pytest.mark.parametrize("plan", [SplitPlan(val=0.2, test=0.2), SplitPlan(val=0.2, folds=5, fold=1)])
def test_numbers_are_stratified_by_quantiles(plan):
    values = np.sort(np.random.default_rng(1).lognormal(size=500))
    found = hold_out(images_with([f"{value:.6f}" for value in values], "regression"), plan)
    train, test = found.split("train").target_values, found.split("test").target_values
    assert abs(len(test) - 100) <= 5
    for share in (0.1, 0.5, 0.9):
        assert np.quantile(test, share) == pytest.approx(np.quantile(train, share), rel=0.15)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_unstratified_and_timely_splits_take_labels_and_numbers(task):
    labels = drawn_labels(100) if task == "multilabel" else [str(value) for value in range(100)]
    samples = images_with(labels, task, year=[str(1900 + place) for place in range(100)])
    assert hold_out(samples, SplitPlan(val=0.2, stratify=False)).split_sizes()["val"] == 20
    latest = hold_out(samples, SplitPlan(val=0, test=0.1, time_column="year")).split("test")
    assert latest.table["year"].min() == "1990"
