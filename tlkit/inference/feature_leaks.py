"""Leaks found by features: val and test images of which a cropped or edited copy lies in an earlier split."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.choices import OnLeak
from tlkit.data.checks.duplicates import DUPLICATE_KINDS, DuplicateSet, Pair
from tlkit.data.checks.gray_thumbnails import GrayThumbnails
from tlkit.data.checks.leaks import describe_leaks, find_leaks, log_near_duplicates
from tlkit.data.checks.near_duplicates import find_near_duplicates
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.errors import DataError
from tlkit.features.features import Features
from tlkit.samples import PATH, Samples

logger = logging.getLogger(__name__)


def feature_duplicate_pairs(
    samples: Samples,
    features: Features,
    leaks: pd.DataFrame,
    *,
    gray_thumbnails: GrayThumbnails | None = None,
    decode_options: DecodeOptions = DecodeOptions(),
) -> list[Pair]:
    """Return the pairs in different splits that are alike and no known leaks; see `add_feature_leaks`."""
    rows = rows_of(samples, features.path)
    order = rows.argsort()
    known = _known(samples, leaks)
    found = find_near_duplicates(
        samples,
        features.x[order],
        rows[order],
        known=known,
        across=True,
        gray_thumbnails=gray_thumbnails,
        decode_options=decode_options,
    )
    return sorted(set(found.pairs) - set(known.pairs))


def add_feature_leaks(
    samples: Samples,
    features: Features,
    leaks: pd.DataFrame,
    *,
    on_leak: OnLeak = "warn",
    gray_thumbnails: GrayThumbnails | None = None,
    decode_options: DecodeOptions = DecodeOptions(),
) -> pd.DataFrame:
    """Return the known leaks, followed by those that features find; near duplicates are only named in the log.

    Args:
        samples: the images of all splits.
        features: their features, in any order.
        leaks: the known leaks, as `Run.leaks` gives them.
        on_leak: "error" refuses new leaks; "warn" and "drop" name them in the log. The splits are final by now, so
            "drop" drops none of them.
        gray_thumbnails: by digest; images without one are decoded.
        decode_options: pixel limit and background color of decoding.

    Returns:
        The table `leaks` itself where there are no others; else a longer one with the same columns.

    Raises:
        DataError: images leak, and `on_leak` is "error".
    """
    pairs = feature_duplicate_pairs(
        samples, features, leaks, gray_thumbnails=gray_thumbnails, decode_options=decode_options
    )
    found = DuplicateSet((), 1.0).joined(pairs)
    table = find_leaks(samples, found).table
    table = table[~table[PATH].isin(set(leaks[PATH]))]
    log_near_duplicates(samples, found, pd.concat([leaks, table]))
    if table.empty:
        return leaks
    counts = samples.split_sizes()
    sentences = describe_leaks(table, counts)
    if on_leak == "error":
        raise DataError(*sentences, "Remove the copies, or use data.on_leak: warn.")
    for sentence in sentences:
        logger.warning("%s", sentence)
    scores = "given with and without them" if samples.task == "multiclass" else "too good with them"
    if on_leak == "drop":
        logger.warning(
            "These were found by features, after the split was made. Their copies stay in training, and scores are "
            "%s. To train without: tlkit data doctor ROOT --embed %s --fix FILE, then "
            "data.quarantine=FILE.",
            scores,
            features.made_by.architecture,
        )
    else:
        logger.warning("Scores are %s.", scores)
    return pd.concat([leaks, table.assign(dropped="")], ignore_index=True)


def _known(samples: Samples, leaks: pd.DataFrame) -> DuplicateSet:
    """Return the pairs of a table of leaks of which both images are among the samples."""
    row_of = {path: row for row, path in enumerate(samples.table[PATH])}
    pairs = []
    for path, duplicate_of, how in leaks[["path", "duplicate_of", "how"]].itertuples(index=False):
        if how in DUPLICATE_KINDS and path in row_of and duplicate_of in row_of:
            first, second = sorted((row_of[path], row_of[duplicate_of]))
            pairs.append(Pair(first, second, how, 1.0, True))
    return DuplicateSet((), 1.0).joined(pairs)


def rows_of(samples: Samples, paths: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
    """Return the rows of some paths among the samples."""
    row_of = {path: row for row, path in enumerate(samples.table[PATH])}
    return np.array([row_of[path] for path in paths.tolist()], dtype=np.intp)
