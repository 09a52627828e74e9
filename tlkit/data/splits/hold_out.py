"""Holds out images for validation and test, the same ones on every machine."""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.choices import LABEL_SEPARATOR, TEST_SHARE, VAL_SHARE
from tlkit.data.splits.group_split import GroupClassCounts, fold_of_groups, hold_out_groups
from tlkit.data.splits.iterative_stratification import stratify_labels
from tlkit.data.splits.temporal_split import hold_out_latest, parse_times
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.samples import PATH, SPLIT, SPLITS, Samples

logger = logging.getLogger(__name__)

MOST_LACKING = 5  # classes that are named one by one
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitPlan:
    """How images are held out where the data has no val or test split.

    Attributes:
        val: share of the training images for validation, in [0, 1).
        test: share of the training images for test, in [0, 1); together with `val` below 1.
        seed: seed of the split.
        stratify: keep the shares of the classes equal in all splits; else only the total counts.
        group_by: column whose values never lie in two splits, such as patient; an image without a value is a group.
        time_column: column of dates or numbers; the latest images go to test, those before them to val.
        folds: number of folds of the training images, at least 2, of which one is held out; None = no folds.
        fold: the fold that is held out, in 0…folds-1: as test, or as val where the data has a test split.

    Example:
        >>> SplitPlan(val=0.1, test=0.2, seed=1, group_by="patient").group_by
        'patient'
    """

    val: float = VAL_SHARE
    test: float = TEST_SHARE
    seed: int = 0
    stratify: bool = True
    group_by: str | None = None
    time_column: str | None = None
    folds: int | None = None
    fold: int = 0

    def __post_init__(self) -> None:
        problems = []
        if any(not 0 <= share < 1 for share in (self.val, self.test)) or self.val + self.test >= 1:
            problems.append(
                f"val = {self.val:g} and test = {self.test:g} leave nothing to train on. Each must be at least 0, "
                "their sum below 1."
            )
        if self.group_by is not None and self.time_column is not None:
            problems.append("A split is made by groups or by time. Give group_by or time_column, not both.")
        if self.folds is not None and self.time_column is not None:
            problems.append("Folds would train on later images than they test on. Give folds or time_column, not both.")
        if self.folds is not None and (self.folds < 2 or not 0 <= self.fold < self.folds):
            problems.append(f"fold {self.fold} of {self.folds} does not exist. Use folds of 2 or more, counted from 0.")
        if problems:
            raise DataError(*problems)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the plan needs."""
        return tuple(name for name in (self.group_by, self.time_column) if name is not None)


def hold_out(samples: Samples, plan: SplitPlan) -> Samples:
    """Return the samples with training images moved to val, test or both.

    Only a split without images is filled, and only from train. The moved images depend on the plan, the relative paths,
    the labels and the plan's column: not on the order of files, machine or platform.

    - **Stratified**: within each class the images are ranked by sha256("{seed}:{path}"); the first ones go to test, the
      next ones to val. So classes do not affect each other, and another share of val does not change test. Of a class
      with n training images, floor(share × n + 0.5) are held out, but at least one if n allows: train keeps at least
      one image, then val gets at least one, then test. Several labels are stratified iteratively, with the same order
      of the images (see `stratify_labels`), numbers by up to ten quantiles.
    - **By groups**: whole groups move (see `group_split`); the shares are exact up to the size of one group, and train
      keeps a group of every class.
    - **By time**: the latest images go to test, the latest of the others to val; images of equal time stay together.
    - **Folds**: one fold is held out as test (as val where there is a test split); val is held out of the others.

    Args:
        samples: the images.
        plan: what to hold out.

    Raises:
        DataError: the plan's column is missing or holds no times, nothing is left to train on, or the data has a val
            and a test split, so that there is none for a fold.
    """
    unknown = [name for name in plan.columns if name not in samples.group_columns]
    if unknown:
        has = f"The columns are {', '.join(samples.group_columns)}." if samples.group_columns else "There are none."
        hint = did_you_mean(unknown[0], samples.group_columns)
        raise DataError(f"The images have no column {unknown[0]!r} to split by. {has}{hint}")
    present = set(samples.table[SPLIT])
    if plan.folds is not None:
        samples, present = _hold_out_fold(samples, plan, present)
    shares = {name: getattr(plan, name) for name in ("test", "val") if name not in present and getattr(plan, name) > 0}
    if plan.folds is not None:
        shares.pop("test", None)
    if not shares:
        return samples
    splits = samples.table[SPLIT].to_numpy(dtype=object).copy()
    pool = np.flatnonzero(splits == "train")
    scarce: list[str] = []
    if plan.time_column is not None:
        how = f"the latest by {plan.time_column}"
        _by_time(samples, splits, pool, shares, plan)
    elif plan.group_by is not None or not plan.stratify:
        how = f"by {plan.group_by}, with no value in two splits" if plan.group_by else "unstratified"
        how = f"{'stratified, ' if plan.stratify else ''}{how}, seed {plan.seed}"
        _by_groups(samples, splits, pool, shares, plan)
    else:
        how = f"stratified, seed {plan.seed}"
        divide = _by_labels if samples.has_several else _by_rank
        scarce = divide(samples, splits, pool, shares, plan)
    result = _with_splits(samples, splits)
    for split, share in shares.items():
        moved = int((splits == split).sum())
        logger.info(
            "There is no %s split: %d of %d images are held out for it (%g %%, %s; data.%s changes the share).",
            split,
            moved,
            len(pool),
            100 * share,
            how,
            split,
        )
        if not moved:
            logger.warning("Nothing could be held out for %s without taking a whole class out of training.", split)
    if scarce:
        logger.warning("Classes with too few images for every split (%d): %s.", len(scarce), first_few(scarce))
    return result


def require_trainable(samples: Samples, *, where: str) -> None:
    """Check that there are two classes or more, each with training images; or two different numbers to train on.

    Args:
        samples: the images.
        where: their source, for the message.

    Raises:
        DataError: a class has no training images, or there are fewer than two classes, or numbers.
    """
    if samples.task == "regression":
        if len(set(samples.split("train").target_values.tolist())) < 2:
            raise DataError(
                f"{where} has fewer than two different numbers to train on; a regression needs some spread."
            )
        return
    if samples.task == "segmentation":
        if not len(samples.split("train")):
            raise DataError(f"{where} has no training images. Put some into train, or leave splits out.")
        return
    what = {"multilabel": "label", "ordinal": "grade"}.get(samples.task, "class")
    if len(samples.classes) < (1 if samples.task == "detection" else 2):
        none = f"no {what} for any of {len(samples)} images" if len(samples) else "no images"
        only = f"only one {what}, {samples.classes[0]!r}" if samples.classes else none
        if samples.task == "multiclass":
            raise DataError(f"{where} has {only}; a classifier needs at least two classes.")
        raise DataError(f"{where} has {only}; task: {samples.task} needs at least two {what}s.")
    counts = samples.counts()
    if not counts["train"].sum():
        held = " and ".join(split for split in SPLITS if counts[split].sum())
        raise DataError(
            f"{where} has images for {held}, but none for training. Add some (folders train/CLASS, or split train in a "
            "list), or give images without a split and let tlkit hold out a share of them."
        )
    if problems := _without_training(samples, counts, what=what, where=where):
        raise DataError(*problems)
    for split in SPLITS[1:]:
        without = [name for name in samples.classes if counts.loc[name, split] == 0]
        if without and counts[split].sum():
            many = {"class": "Classes", "label": "Labels", "grade": "Grades"}[what]
            logger.warning("%s without %s images (%d): %s.", many, split, len(without), first_few(without))


def _without_training(samples: Samples, counts: pd.DataFrame, *, what: str, where: str) -> list[str]:
    """Return what is wrong with the classes that have no training images."""
    lacking = [name for name in samples.classes if counts.loc[name, "train"] == 0]
    problems = []
    for name in lacking[:MOST_LACKING]:
        row = counts.T[name]
        others = [f"{row[split]} {split} images" for split in SPLITS if row[split]]
        held = f"{' and '.join(others)}, but no training images," if others else "no images"
        problems.append(f"The {what} {name!r} has {held} in {where}. Give it some, or remove the {what}.")
    if more := lacking[MOST_LACKING:]:
        problems.append(f"Training images are missing for {len(more)} more, such as {more[0]!r}.")
    several = [name for name in samples.classes if LABEL_SEPARATOR in name]
    if problems and samples.task == "multiclass" and 2 * len(several) > len(samples.classes):
        problems.append(
            f"Names such as {several[0]!r} look like several labels of one image: that is the task multilabel (task: "
            "multilabel in a recipe, --task multilabel in a command that takes it)."
        )
    return problems


def _with_splits(samples: Samples, splits: npt.NDArray[np.object_]) -> Samples:
    column = pd.Series(splits, index=samples.table.index, dtype="str")
    return samples.with_table(samples.table.assign(**{SPLIT: column}))


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _ranks(samples: Samples, rows: Rows, seed: int) -> npt.NDArray[np.object_]:
    return np.array([_rank(seed, path) for path in samples.table[PATH].iloc[rows]], dtype=object)


def _groups(samples: Samples, rows: Rows, plan: SplitPlan) -> tuple[Rows, GroupClassCounts]:
    """Return the group of each row, and the counts of the groups; a row without a value is a group of its own."""
    paths = samples.table[PATH].iloc[rows].to_numpy(dtype=object)
    if plan.group_by is None:
        names = [f"path {path}" for path in paths]
    else:
        values = samples.table[plan.group_by].iloc[rows]
        known = values.notna().to_numpy()
        if not known.all():
            logger.info("%d images have no %s; each is a group of its own.", int((~known).sum()), plan.group_by)
        pairs = zip(known, values.to_numpy(dtype=object), paths, strict=True)
        names = [f"group {value}" if is_known else f"path {path}" for is_known, value, path in pairs]
    unique, inverse = np.unique(np.array(names, dtype=object), return_inverse=True)
    ranks, codes = [_rank(plan.seed, name) for name in unique], inverse.astype(np.int64)
    if samples.has_several:
        return codes, GroupClassCounts.of_labels(codes, samples.label_matrix[rows], ranks=ranks)
    strata = samples.strata
    classes = max(len(samples.classes), int(strata.max(initial=0)) + 1)
    return codes, GroupClassCounts.of(codes, strata[rows], ranks=ranks, classes=classes)


def _by_groups(
    samples: Samples, splits: npt.NDArray[np.object_], pool: Rows, shares: dict[str, float], plan: SplitPlan
) -> None:
    """Hold out whole groups for one split after the other, so that the share of val does not affect test."""
    left = pool
    for split, share in shares.items():
        codes, groups = _groups(samples, left, plan)
        share_of_left = min(share * len(pool) / len(left), 0.95)  # test may have taken more than its share
        held = hold_out_groups(groups, share=share_of_left, stratify=plan.stratify)[codes]
        splits[left[held]] = split
        left = left[~held]


def _by_time(
    samples: Samples, splits: npt.NDArray[np.object_], pool: Rows, shares: dict[str, float], plan: SplitPlan
) -> None:
    assert plan.time_column is not None
    times = parse_times(samples.table[plan.time_column].iloc[pool], name=plan.time_column)
    for split, share in shares.items():
        free = splits[pool] == "train"
        splits[pool[hold_out_latest(np.where(free, times, np.nan), count=share * len(pool))]] = split
    require_trainable(_with_splits(samples, splits), where=f"the split by {plan.time_column}")


def _hold_out_fold(samples: Samples, plan: SplitPlan, present: set[str]) -> tuple[Samples, set[str]]:
    """Move one fold of the training images to test, or to val where there is a test split."""
    assert plan.folds is not None
    target = "val" if "test" in present else "test"
    if target in present:
        raise DataError(
            f"The data has val and test splits of its own, so there is none for fold {plan.fold} of {plan.folds}. "
            "Remove folds, or give a folder without split folders."
        )
    splits = samples.table[SPLIT].to_numpy(dtype=object).copy()
    pool = np.flatnonzero(splits == "train")
    if plan.group_by is not None:
        codes, groups = _groups(samples, pool, plan)
        if len(groups.ranks) < plan.folds:
            raise DataError(
                f"{plan.group_by} has {len(groups.ranks)} values, too few for {plan.folds} folds. Use fewer folds."
            )
        folds = fold_of_groups(groups, folds=plan.folds)[codes]
    else:
        folds = _folds(samples, pool, plan, plan.folds)
    moved = folds == plan.fold
    splits[pool[moved]] = target
    result = _with_splits(samples, splits)
    logger.info(
        "Fold %d of %d is %s%s: %d of %d images.",
        plan.fold,
        plan.folds,
        target,
        f", by {plan.group_by}, with no value in two splits" if plan.group_by else "",
        int(moved.sum()),
        len(pool),
    )
    require_trainable(result, where=f"fold {plan.fold} of {plan.folds}")
    return result, present | {target}


def _folds(samples: Samples, pool: Rows, plan: SplitPlan, count: int) -> Rows:
    """Return the fold of each image of the pool."""
    ranks = _ranks(samples, pool, plan.seed)
    if plan.stratify and samples.has_several:
        return stratify_labels(samples.label_matrix[pool], [1 / count] * count, ranks=ranks.tolist())
    keys = (ranks, samples.strata[pool]) if plan.stratify else (ranks,)
    folds = np.empty(len(pool), dtype=np.int64)
    folds[np.lexsort(keys)] = np.arange(len(pool)) % count  # sorted by class, then dealt in turn
    return folds


def _by_labels(
    samples: Samples, splits: npt.NDArray[np.object_], pool: Rows, shares: dict[str, float], plan: SplitPlan
) -> list[str]:
    """Hold out images so that every label keeps its share; return the labels with too few images for every split.

    A label that would lose all training images keeps one of those that were held out for val, else for test.
    """
    ranks, labels = _ranks(samples, pool, plan.seed), samples.label_matrix[pool]
    names = [*shares, "train"]
    parts = stratify_labels(labels, [*shares.values(), 1 - sum(shares.values())], ranks=ranks.tolist())
    splits[pool] = np.array(names, dtype=object)[parts]
    for column in range(labels.shape[1]):
        has = pool[labels[:, column] == 1]
        if len(has) and not (splits[has] == "train").any():
            splits[has[np.argsort(splits[has] != "val", kind="stable")[0]]] = "train"
    return [
        name
        for column, name in enumerate(samples.classes)
        if any(not (splits[pool[labels[:, column] == 1]] == split).any() for split in shares)
    ]


def _by_rank(
    samples: Samples, splits: npt.NDArray[np.object_], pool: Rows, shares: dict[str, float], plan: SplitPlan
) -> list[str]:
    """Hold out the first images of each class by rank; return the classes with too few images for every split."""
    ranks, strata = _ranks(samples, pool, plan.seed), samples.strata[pool]
    scarce: list[str] = []
    for code in np.unique(strata):
        at = np.flatnonzero(strata == code)
        rows = pool[at][np.argsort(ranks[at], kind="stable")]
        held = _amounts(len(rows), shares)
        splits[rows[: held["test"]]] = "test"
        splits[rows[held["test"] : held["test"] + held["val"]]] = "val"
        if any(held[split] == 0 for split in shares):
            scarce.append(samples.classes[code] if samples.classes else f"quantile {code + 1}")
    return scarce


def _amounts(n: int, shares: dict[str, float]) -> dict[str, int]:
    """Return how many of `n` images go to val and to test."""
    free = max(0, n - 1)  # train keeps one
    held = {}
    for split in ("val", "test"):
        held[split] = min(1, free) if split in shares else 0
        free -= held[split]
    for split in ("test", "val"):
        goal = math.floor(shares.get(split, 0.0) * n + 0.5)
        extra = min(max(0, goal - held[split]), free)
        held[split] += extra
        free -= extra
    return held
