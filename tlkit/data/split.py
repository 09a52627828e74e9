"""Holding out images for validation and test, the same ones on every machine."""

from __future__ import annotations

import hashlib
import logging
import math

import numpy as np
import pandas as pd

from tlkit.errors import DataError, first_few
from tlkit.samples import LABEL, PATH, SPLIT, Samples

logger = logging.getLogger(__name__)


def hold_out(samples: Samples, *, val: float, test: float, seed: int) -> Samples:
    """Return the samples with a share of each class moved from train to val, test or both.

    Only a split that has no images yet is filled. Within each class the images are ranked by
    sha256("{seed}:{path}"); the first ones go to test, the next ones to val. So the result depends on nothing but the
    seed and the relative paths: not on file order, machine, platform or the other classes, and asking for another share
    of val leaves test as it was.

    Of a class with n training images, floor(share × n + 0.5) are held out, but at least one where there are enough:
    train keeps at least one image, then val gets at least one, then test.

    Args:
        samples: the images, as `scan_folder` gives them.
        val: share of the training images to validate on, in [0, 1).
        test: share of the training images to test on, in [0, 1); together with `val` below 1.
        seed: chooses among the equally good splits.

    Raises:
        DataError: the shares leave nothing to train on.
    """
    present = set(samples.table[SPLIT])
    shares = {name: share for name, share in (("test", test), ("val", val)) if name not in present and share > 0}
    if any(not 0 <= share < 1 for share in (val, test)) or sum(shares.values()) >= 1:
        raise DataError(
            f"val = {val:g} and test = {test:g} leave nothing to train on. Each must be at least 0, their sum below 1."
        )
    if not shares:
        return samples
    splits = samples.table[SPLIT].to_numpy(dtype=object).copy()
    ranks = np.array([_rank(seed, path) for path in samples.table[PATH]], dtype=object)
    scarce: list[str] = []
    train = np.flatnonzero(splits == "train")
    for name, at in samples.table.iloc[train].groupby(LABEL).indices.items():
        rows = train[at][np.argsort(ranks[train[at]], kind="stable")]
        held = _amounts(len(rows), shares)
        splits[rows[: held["test"]]] = "test"
        splits[rows[held["test"] : held["test"] + held["val"]]] = "val"
        if any(held[split] == 0 for split in shares):
            scarce.append(str(name))
    result = Samples(
        samples.root,
        samples.classes,
        samples.table.assign(**{SPLIT: pd.Series(splits, index=samples.table.index, dtype="str")}),
    )
    _log(result, shares, seed=seed, total=int((samples.table[SPLIT] == "train").sum()), scarce=scarce)
    return result


def _rank(seed: int, path: str) -> str:
    return hashlib.sha256(f"{seed}:{path}".encode()).hexdigest()


def _amounts(n: int, shares: dict[str, float]) -> dict[str, int]:
    """Say how many of `n` images go to val and to test."""
    free = max(0, n - 1)  # train keeps one
    held = {"val": 0, "test": 0}
    least = {}
    for split in ("val", "test"):
        least[split] = min(1, free) if split in shares else 0
        free -= least[split]
    for split in ("test", "val"):
        wanted = math.floor(shares.get(split, 0.0) * n + 0.5)
        extra = min(max(0, wanted - least[split]), free)
        held[split] = least[split] + extra
        free -= extra
    return held


def _log(result: Samples, shares: dict[str, float], *, seed: int, total: int, scarce: list[str]) -> None:
    for split, share in shares.items():
        moved = int((result.table[SPLIT] == split).sum())
        logger.info(
            "No %s folder: holding out %g %%, stratified, seed %d: %d of %d images.",
            split, 100 * share, seed, moved, total,
        )  # fmt: skip
    if scarce:
        logger.warning(
            "Classes with too few images to give one to every held-out split (%d): %s.", len(scarce), first_few(scarce)
        )
