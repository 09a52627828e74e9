"""Folds: stratified partitions that depend on seed, paths, labels and groups only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says

from tlkit.errors import DataError
from tlkit.features.folds import assign_folds, bound_images, max_folds, optimism_note, warn_rare_classes
from tlkit.stats.intervals import wilson


def paths(n):
    return [f"{number}.jpg" for number in range(n)]


@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=8, max_size=60),
    folds=st.integers(2, 5),
    seed=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_folds_are_stratified_and_do_not_depend_on_the_order_of_images(labels, folds, seed, order):
    y = np.array(labels)
    fold = assign_folds(paths(len(y)), y, folds=folds, seed=seed).assignments[0]
    for code in np.unique(y):
        counts = np.bincount(fold[y == code], minlength=folds)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    mixed = list(range(len(y)))
    order.shuffle(mixed)
    again = assign_folds([paths(len(y))[i] for i in mixed], y[mixed], folds=folds, seed=seed).assignments[0]
    assert np.array_equal(again, fold[mixed])


def test_groups_and_distinct_files_limit_the_number_of_folds():
    assert max_folds(5) == 5
    assert max_folds(5, groups=["a", "a", "b", None, ""], digests=["1", "2", "2", "3", "4"]) == 3
    with pytest.raises(DataError, match=saying("4", "3", "folds").pattern):
        assign_folds(list("vwxyz"), [0, 1, 0, 1, 0], folds=4, groups=["a", "a", "b", "", ""], digests=list("12234"))


def test_groups_and_duplicates_stay_in_one_fold_and_classes_stay_even():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    groups = [f"patient {number}" if number < 50 else None for number in rng.integers(0, 60, 300)]
    digests = [str(number) for number in range(300)]
    digests[299] = digests[0]  # a copy joins two groups
    fold = assign_folds(paths(300), y, groups=groups, digests=digests, seed=1).assignments[0]
    for name in {*groups} - {None}:
        assert len({fold[row] for row in range(300) if groups[row] == name}) == 1
    assert fold[0] == fold[299]
    for code in range(3):
        counts = np.bincount(fold[y == code], minlength=5)
        assert counts.max() - counts.min() <= 4
    loose = [row for row in range(300) if groups[row] is None]
    assert len({fold[row] for row in loose}) == 5


def test_repeats_and_seeds_give_other_folds():
    y = np.arange(100) % 2
    several = assign_folds(paths(100), y, repeats=3)
    assert several.assignments.shape == (3, 100)
    assert not np.array_equal(several.assignments[0], several.assignments[1])
    assert np.array_equal(several.assignments[0], assign_folds(paths(100), y).assignments[0])
    assert not np.array_equal(several.assignments[0], assign_folds(paths(100), y, seed=1).assignments[0])


def test_rare_classes_are_named(caplog):
    y = np.array([0] * 20 + [1] * 20 + [2] * 3)
    folds = assign_folds(paths(43), y)
    assert folds.rare_classes == (2,)
    assert len({*folds.assignments[0][y == 2].tolist()}) == 3
    warn_rare_classes(folds, ["ant", "bee", "wasp"])
    assert says(caplog.text, "5", "1", "Classes", "images")


def test_too_few_images_or_groups_are_refused():
    with pytest.raises(DataError, match=saying("3", "5", "different", "images").pattern):
        assign_folds(paths(3), [0, 1, 0])
    with pytest.raises(DataError, match=saying("2", "5", "groups", "images").pattern):
        assign_folds(paths(6), [0, 1, 0, 1, 0, 1], groups=list("aaabbb"))
    with pytest.raises(DataError, match=saying("2", "1", "repeat", "instead").pattern):
        assign_folds(paths(6), [0, 1] * 3, folds=1)


def alike(*pairs) -> pd.DataFrame:
    rows = [(f"{one}.jpg", f"{other}.jpg", "re-encoded", is_copy) for one, other, is_copy in pairs]
    return pd.DataFrame(rows, columns=["path", "other", "how", "is_copy"])


def units_of(bound) -> list[list[int]]:
    """Return the rows that share a number, where there are several."""
    rows = pd.Series(range(len(bound))).groupby(bound).agg(list)
    return sorted(unit for unit in rows if len(unit) > 1)


def test_groups_files_copies_and_near_duplicates_bind_images_also_through_others(caplog):
    groups: list[str | None] = ["burst" if row in (3, 4) else None for row in range(60)]
    digests = [str(max(row, 1)) for row in range(60)]  # 0 and 1 are one file
    pairs = alike((1, 2, True), (2, 3, False), (10, 11, False), (20, 99, False), (98, 99, True))
    bound = bound_images(paths(60), groups=groups, digests=digests, alike=pairs)
    assert units_of(bound) == [[0, 1, 2, 3, 4], [10, 11]]
    assert not caplog.records
    fold = assign_folds(paths(60), np.arange(60) % 2, groups=bound).assignments[0]
    assert len(set(fold[:5].tolist())) == len(set(fold[10:12].tolist())) == 1


def test_near_duplicates_that_join_more_than_a_tenth_of_the_images_do_not_bind_folds_but_copies_do(caplog):
    chain = [(row, row + 1, False) for row in range(5)]
    copies = [(30, 31, True)]
    at_a_tenth = bound_images(paths(60), alike=alike(*chain, *copies))
    assert units_of(at_a_tenth) == [[0, 1, 2, 3, 4, 5], [30, 31]]
    assert not caplog.records
    beyond = bound_images(paths(60), alike=alike(*chain, (5, 6, False), (40, 41, False), *copies))
    assert units_of(beyond) == [[30, 31]]
    assert says(caplog.messages, "Near duplicates", "7 of 60", "data.group_by")


def test_out_of_fold_accuracy_far_above_the_measured_one_is_named():
    assert optimism_note(wilson(384, 384), wilson(130, 144)) == saying("1.000", "0.903", "data.group_by")
    assert optimism_note(wilson(350, 384), wilson(130, 144)) == ""
    assert optimism_note(wilson(384, 384), None) == ""
