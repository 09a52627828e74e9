"""Splits by groups, by time and into folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import saying
from sklearn.model_selection import StratifiedGroupKFold

from tlkit.data.splits.hold_out import SplitPlan, hold_out
from tlkit.data.splits.temporal_split import hold_out_latest, parse_times
from tlkit.errors import DataError
from tlkit.samples import Samples


def samples_of(rows: list[tuple[str, str | None]], column: str = "patient") -> Samples:
    """Build samples of (label, value) pairs, named by their position."""
    table = pd.DataFrame(
        {
            "path": [f"{label}/{number:03d}.png" for number, (label, _) in enumerate(rows)],
            "label": [label for label, _ in rows],
            "split": "train",
            "digest": "",
            column: pd.Series([value for _, value in rows], dtype="str"),
        }
    )
    return Samples(Path(), tuple(sorted({label for label, _ in rows})), table)


def assignment(samples: Samples) -> dict[str, str]:
    return dict(zip(samples.table["path"], samples.table["split"], strict=True))


labels = st.sampled_from(["a", "b", "c"])
patients = st.one_of(st.none(), st.integers(0, 12).map(lambda number: f"p{number}"))
rows = st.lists(st.tuples(labels, patients), min_size=2, max_size=60)
plans = st.builds(
    SplitPlan,
    val=st.sampled_from([0.0, 0.1, 0.2, 0.4]),
    test=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 5),
    stratify=st.booleans(),
    group_by=st.just("patient"),
)


@given(rows=rows, plan=plans)
def test_no_group_is_in_two_splits_and_every_class_has_training_images(rows, plan):
    before = samples_of(rows)
    after = hold_out(before, plan)
    assert after.table.drop(columns="split").equals(before.table.drop(columns="split"))
    assert set(after.table["split"]) <= {"train", "val", "test"}
    assert (after.table.dropna(subset="patient").groupby("patient")["split"].nunique() <= 1).all()
    assert (after.counts()["train"] >= 1).all()


@given(rows=rows, plan=plans, order=st.randoms())
def test_grouped_splits_ignore_the_order_of_files(rows, plan, order):
    before = samples_of(rows)
    mixed = list(range(len(before)))
    order.shuffle(mixed)
    shuffled = Samples(before.root, before.classes, before.table.iloc[mixed].reset_index(drop=True))
    assert assignment(hold_out(before, plan)) == assignment(hold_out(shuffled, plan))


@given(
    sizes=st.lists(st.integers(1, 15), min_size=2, max_size=25),
    share=st.sampled_from([0.1, 0.2, 0.3, 0.5]),
    test=st.sampled_from([0.0, 0.1, 0.25]),
    stratify=st.booleans(),
    seed=st.integers(0, 9),
)
def test_shares_are_kept_to_within_the_size_of_one_group(sizes, share, test, stratify, seed):
    rows = [(label, f"p{group}") for group, size in enumerate(sizes) for _ in range(size) for label in "ab"]
    plan = SplitPlan(val=share, test=test, seed=seed, stratify=stratify, group_by="patient")
    counts = hold_out(samples_of(rows), plan).counts().sum()
    assert abs(counts["test"] - test * len(rows)) <= 2 * max(sizes)
    if len(sizes) > 2:
        assert abs(counts["val"] - share * len(rows)) <= 2 * max(sizes)


@given(rows=rows, other=st.sampled_from([0.05, 0.3, 0.45]))
def test_another_share_of_val_does_not_change_the_test_groups(rows, other):
    def tested(val: float) -> set[str]:
        after = hold_out(samples_of(rows), SplitPlan(val=val, test=0.25, group_by="patient"))
        return {path for path, split in assignment(after).items() if split == "test"}

    assert tested(0.1) == tested(other)


@given(sizes=st.lists(st.integers(1, 12), min_size=5, max_size=30), folds=st.integers(2, 5), seed=st.integers(0, 5))
def test_folds_partition_the_groups_and_differ_by_one_group_at_most(sizes, folds, seed):
    rows = [(label, f"p{group}") for group, size in enumerate(sizes) for _ in range(size) for label in "ab"]
    tested: list[set[str]] = []
    for fold in range(folds):
        plan = SplitPlan(val=0, seed=seed, group_by="patient", folds=folds, fold=fold)
        try:
            after = hold_out(samples_of(rows), plan)
        except DataError as error:
            assert "no training images" in str(error)
            return
        tested.append({path for path, split in assignment(after).items() if split == "test"})
    assert sum(map(len, tested)) == len(set().union(*tested)) == len(rows)
    assert max(map(len, tested)) - min(map(len, tested)) <= 2 * max(sizes)


@given(counts=st.lists(st.integers(5, 40), min_size=2, max_size=3), folds=st.integers(2, 5), stratify=st.booleans())
def test_folds_without_groups_divide_each_class_evenly(counts, folds, stratify):
    rows = [(label, None) for label, count in zip("abc", counts, strict=False) for _ in range(count)]
    found = []
    for fold in range(folds):
        plan = SplitPlan(val=0, folds=folds, fold=fold)
        found.append(hold_out(samples_of(rows), plan).counts()["test"].to_numpy())
    table = np.stack(found)
    assert table.sum(axis=0).tolist() == counts
    assert (table.max(axis=0) - table.min(axis=0) <= 1).all()
    assert np.ptp(table.sum(axis=1)) <= 1


def test_classes_spread_over_grouped_folds_as_evenly_as_in_scikit_learn():
    rng = np.random.default_rng(0)
    rows = []
    for group in range(80):
        mix = rng.dirichlet([0.3, 0.3, 0.3])
        rows += [(str(rng.choice(list("abc"), p=mix)), f"p{group}") for _ in range(rng.integers(2, 20))]
    samples = samples_of(rows)
    overall = samples.table["label"].value_counts(normalize=True).sort_index().to_numpy()

    def unevenness(parts: list[pd.Series]) -> float:
        shares = [part.value_counts(normalize=True).reindex(["a", "b", "c"], fill_value=0).to_numpy() for part in parts]
        return float(np.abs(np.stack(shares) - overall).mean())

    ours = []
    for fold in range(5):
        after = hold_out(samples, SplitPlan(val=0, group_by="patient", folds=5, fold=fold))
        ours.append(after.split("test").table["label"])
    theirs = [
        samples.table["label"].iloc[test]
        for _, test in StratifiedGroupKFold(5).split(rows, samples.table["label"], samples.table["patient"])
    ]
    assert unevenness(ours) <= 1.5 * unevenness(theirs)


def test_stratified_groups_keep_the_share_of_a_rare_class():
    rows = [("common", f"p{k}") for k in range(40) for _ in range(10)] + [("rare", f"r{k}") for k in range(10)]
    after = hold_out(samples_of(rows), SplitPlan(val=0.2, group_by="patient"))
    assert after.counts()["val"].tolist() == [80, 2]


def test_the_decision_is_logged_and_images_without_a_group_are_counted(lines):
    rows = [(label, f"p{k}") for k in range(10) for label in "ab"] + [("a", None)] * 5
    hold_out(samples_of(rows), SplitPlan(val=0.2, seed=3, group_by="patient"))
    assert lines() == [saying("5", "images", "patient"), saying("20", "3", "5", "25", "held out", "stratified")]


def test_classes_of_one_group_stay_in_training_with_a_warning(lines):
    after = hold_out(samples_of([("a", "p"), ("a", "p"), ("b", "q")]), SplitPlan(val=0.3, group_by="patient"))
    assert after.counts()["train"].tolist() == [2, 1]
    assert lines()[-1] == saying("taking", "whole", "training")


def test_by_time_the_latest_images_are_test_and_the_next_val():
    rows = [("ab"[k % 2], f"2024-01-{k + 1:02d}") for k in range(20)]
    after = hold_out(samples_of(rows, "taken"), SplitPlan(val=0.2, test=0.1, time_column="taken"))
    assert after.table["split"].tolist() == ["train"] * 14 + ["val"] * 4 + ["test"] * 2


@given(times=st.lists(st.integers(0, 8), min_size=2, max_size=40), wanted=st.floats(0.5, 30))
def test_images_held_out_by_time_are_later_than_all_others(times, wanted):
    array = np.array(times, dtype=float)
    held = hold_out_latest(array, count=wanted)
    if len(set(times)) == 1:
        assert not held.any()
    else:
        assert held.any()
        assert array[held].min() > array[~held].max()


def test_a_class_without_early_images_is_an_error():
    rows = [("ab"[k % 2], str(k)) for k in range(10)] + [("new", "11")]
    with pytest.raises(DataError, match=saying("'new'", "1").pattern):
        hold_out(samples_of(rows, "taken"), SplitPlan(val=0.2, time_column="taken"))


def test_times_are_numbers_or_dates():
    assert parse_times(pd.Series(["2", "10"]), name="taken").tolist() == [2, 10]
    with pytest.raises(DataError) as caught:
        parse_times(pd.Series(["2024-01-01", "yesterday", None], dtype="str"), name="taken")
    assert str(caught.value) == (
        saying("2", "3", "'taken'", "'yesterday'", "numbers", "2024-05-31", "2024-05-31T12:00:00Z")
    )


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"folds": 1}, saying("0", "1", "folds", "2")),
        ({"folds": 3, "fold": 3}, saying("3", "folds", "2", "0")),
        ({"group_by": "p", "time_column": "t"}, saying("group_by", "time_column")),
        ({"folds": 2, "time_column": "t"}, saying("time_column", "Folds", "images")),
    ],
)
def test_contradictory_plans_are_refused(plan, message):
    with pytest.raises(DataError) as caught:
        SplitPlan(**plan)
    assert str(caught.value) == message


def test_a_missing_column_suggests_the_nearest():
    with pytest.raises(DataError, match=saying("'patients'", "'patient'").pattern):
        hold_out(samples_of([("a", "p"), ("b", "q")]), SplitPlan(group_by="patients"))


def test_folds_need_enough_groups_and_a_free_split():
    samples = samples_of([("a", "p"), ("b", "p"), ("a", "q"), ("b", "q")])
    with pytest.raises(DataError, match=saying("2", "3", "fewer").pattern):
        hold_out(samples, SplitPlan(group_by="patient", folds=3))
    full = samples.table.assign(split=["train", "train", "val", "test"])
    with pytest.raises(DataError, match=saying("0", "data", "splits").pattern):
        hold_out(Samples(samples.root, samples.classes, full), SplitPlan(folds=2))
