from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import saying

from tlkit.data.sources.folder import scan_folder
from tlkit.data.splits.hold_out import SplitPlan, hold_out
from tlkit.errors import DataError
from tlkit.samples import Samples

names = st.lists(st.text("abcdefgh01/é", min_size=1, max_size=6), min_size=1, max_size=30, unique=True)
shares = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.33, 0.45])


def samples_of(classes: dict[str, list[str]]) -> Samples:
    rows = [(f"{label}/{name}.png", label, "train", "") for label, found in classes.items() for name in found]
    table = pd.DataFrame(rows, columns=["path", "label", "split", "digest"], dtype="str")
    return Samples(Path(), tuple(sorted(classes)), table)


def assignment(samples: Samples) -> dict[str, str]:
    return dict(zip(samples.table["path"], samples.table["split"], strict=True))


@given(a=names, b=names, val=shares, test=shares, seed=st.integers(0, 9))
def test_splits_partition_the_images(a, b, val, test, seed):
    before = samples_of({"a": a, "b": b})
    after = hold_out(before, SplitPlan(val=val, test=test, seed=seed))
    assert after.table[["path", "label", "digest"]].equals(before.table[["path", "label", "digest"]])
    assert set(after.table["split"]) <= {"train", "val", "test"}
    assert (after.counts()["train"] >= 1).all()


@given(a=names, b=names, val=shares, test=shares, order=st.randoms())
def test_splits_ignore_the_order_of_files(a, b, val, test, order):
    before = samples_of({"a": a, "b": b})
    mixed = list(range(len(before)))
    order.shuffle(mixed)
    shuffled = Samples(before.root, before.classes, before.table.iloc[mixed].reset_index(drop=True))
    plan = SplitPlan(val=val, test=test)
    assert assignment(hold_out(before, plan)) == assignment(hold_out(shuffled, plan))


@given(a=names, b=names, more=names, val=shares, test=shares)
def test_images_added_to_one_class_do_not_move_another(a, b, more, val, test):
    few, many = (
        assignment(hold_out(samples_of(classes), SplitPlan(val=val, test=test)))
        for classes in ({"a": a, "b": b}, {"a": a, "b": sorted({*b, *more}), "c": more})
    )
    assert all(many[path] == split for path, split in few.items() if path.startswith("a/"))


@given(a=names, val=st.sampled_from([0.1, 0.2, 0.4]), other=st.sampled_from([0.1, 0.2, 0.4]))
def test_another_share_of_val_does_not_change_test(a, val, other):
    def tested(share: float) -> set[str]:
        splits = assignment(hold_out(samples_of({"a": a}), SplitPlan(val=share, test=0.2, seed=0)))
        return {path for path, split in splits.items() if split == "test"}

    assert tested(val) == tested(other)


@pytest.mark.parametrize(
    ("n", "val", "test", "counts"),
    [
        (1, 0.2, 0.2, [1, 0, 0]),
        (2, 0.2, 0.2, [1, 1, 0]),
        (2, 0.0, 0.2, [1, 0, 1]),
        (3, 0.01, 0.01, [1, 1, 1]),
        (3, 0.9, 0.0, [1, 2, 0]),
        (10, 0.25, 0.0, [7, 3, 0]),
        (124, 0.2, 0.1, [87, 25, 12]),
        (100, 0.2, 0.1, [70, 20, 10]),
    ],
)
def test_the_rounding_rule(n, val, test, counts):
    after = hold_out(samples_of({"a": [str(k) for k in range(n)]}), SplitPlan(val=val, test=test, seed=0))
    assert after.counts().loc["a"].tolist() == counts


def test_the_split_is_the_same_on_every_machine():
    after = hold_out(samples_of({"a": list("abcdefghij")}), SplitPlan(val=0.2, test=0.1, seed=7))
    moved = {path: split for path, split in assignment(after).items() if split != "train"}
    assert moved == {"a/g.png": "test", "a/a.png": "val", "a/f.png": "val"}


def test_another_seed_gives_another_split():
    before = samples_of({"a": [str(k) for k in range(50)]})
    first, second = (assignment(hold_out(before, SplitPlan(val=0.2, seed=seed))) for seed in (0, 1))
    assert first != second


def test_given_splits_are_kept_and_the_decision_is_logged(tmp_path, make_image, lines):
    for label in ("ant", "bee"):
        for number in range(10):
            make_image(f"train/{label}/{number}.png")
        make_image(f"test/{label}/0.png")
    scanned = scan_folder(tmp_path)
    after = hold_out(scanned, SplitPlan(val=0.2, test=0.5, seed=0))
    assert after.counts().to_numpy().tolist() == [[8, 2, 1], [8, 2, 1]]
    assert lines() == [saying("20", "0", "4", "held out", "stratified")]
    assert hold_out(scanned, SplitPlan(val=0.0, test=0.5, seed=0)) is scanned


def test_classes_too_small_to_share_are_named(lines):
    hold_out(samples_of({"a": ["1"], "b": ["1", "2", "3"]}), SplitPlan(val=0.2, test=0, seed=0))
    assert lines()[-1] == saying("1", "Classes", "images")


@pytest.mark.parametrize(("val", "test"), [(0.6, 0.4), (1.0, 0.0), (-0.1, 0.0)])
def test_shares_that_leave_no_training_images_are_an_error(val, test):
    with pytest.raises(DataError, match=saying(f"{val:g}", f"{test:g}", "0", "1").pattern):
        hold_out(samples_of({"a": ["1", "2"]}), SplitPlan(val=val, test=test, seed=0))
