"""Leaks: images of val and test whose picture or group also lies in an earlier split."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tlkit.choices import OnLeak
from tlkit.data.checks.duplicates import DUPLICATE_KINDS, DuplicateSet
from tlkit.data.splits.hold_out import require_trainable
from tlkit.errors import DataError, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, SPLITS, Samples

logger = logging.getLogger(__name__)

COLUMNS = ("path", "split", "duplicate_of", "duplicate_split", "how")
EARLIER = {"val": ("train",), "test": ("train", "val")}
"""Splits that leak into a split; val selects the weights, so a test image in val leaks as well."""


@dataclass(frozen=True)
class Leaks:
    """Images of val and test that also lie in an earlier split.

    Attributes:
        table: one row per leaked image, by split and path: `path`, `split`, `duplicate_of` (an image of an earlier
            split with the same picture), `duplicate_split`, and `how`: a kind of `Pair`, or "same patient" for a
            column.
        copies: rows of the copies in earlier splits, sorted; without them nothing leaks.
    """

    table: pd.DataFrame
    copies: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.table)


def warn_of_label_conflicts(samples: Samples, copies: DuplicateSet) -> None:
    """Log a warning about pictures that lie in more than one class."""
    paths, labels = samples.table[PATH].tolist(), samples.table[LABEL].tolist()
    groups = [" = ".join(paths[row] for row in group) for group in copies.across(labels)]
    if groups:
        logger.warning(
            "The same picture (identical, saved again, scaled, mirrored or turned) lies in more than one class, so a "
            "label may be wrong (%d): %s.",
            len(groups),
            first_few(groups),
        )


MOST_ALIKE = 0.1
"""Near duplicates of an earlier split are usual up to this share of a split's images."""


def log_near_duplicates(samples: Samples, duplicates: DuplicateSet, leaks: pd.DataFrame) -> None:
    """Log which images of val and test look like images of an earlier split but are no copies.

    Such pairs are candidates, on which a person decides: other pictures by their pixels, as two drawings of one kind
    are. So it is a warning only where they are more than `MOST_ALIKE` of a split, as after a random split of frames.

    Args:
        samples: the images of all splits.
        duplicates: their duplicates.
        leaks: the known leaks, which are not named again.
    """
    table, counts = samples.table, samples.split_sizes()
    splits, paths, leaked = table[SPLIT].tolist(), table[PATH].tolist(), set(leaks[PATH])
    like: dict[str, dict[str, str]] = {"test": {}, "val": {}}
    for pair in duplicates.near:
        for row, other in (pair[:2], pair[1::-1]):
            if splits[other] in EARLIER.get(splits[row], ()) and paths[row] not in leaked:
                like[splits[row]].setdefault(paths[row], paths[other])
    for split, found in like.items():
        if found:
            named = [f"{path} as {other}" for path, other in sorted(found.items())]
            logger.log(
                logging.WARNING if len(found) > MOST_ALIKE * counts[split] else logging.INFO,
                "Different pictures that look alike (no leaks): %d of %d %s images resemble an image of an earlier "
                "split, such as %s. If they show one scene, state data.group_by. See them: tlkit data doctor --html.",
                len(found),
                counts[split],
                split,
                named[0],
            )
            logger.debug("Near duplicates of %s: %s.", split, "; ".join(named))


def find_leaks(samples: Samples, duplicates: DuplicateSet, *, group_by: str | None = None) -> Leaks:
    """Return the images of val and test that also lie in an earlier split.

    Args:
        samples: the images of all splits, with their digests.
        duplicates: their duplicates (see `find_copies`); near duplicates do not count.
        group_by: column whose values must not lie in two splits, such as patient.
    """
    splits, digests = samples.table[SPLIT].tolist(), samples.table[DIGEST].tolist()
    found: dict[int, tuple[int, str]] = {}
    copies: set[int] = set()
    kinds = {(pair.first, pair.second): pair.kind for pair in duplicates.pairs if pair.is_copy}
    for group in duplicates.groups:
        for row, others in _leaked(group, splits):
            copies.update(others)
            how, duplicate_of = min((_how(row, other, digests, kinds), other) for other in others)
            found[row] = (duplicate_of, DUPLICATE_KINDS[how])
    if group_by is not None:
        values = samples.table[group_by]
        for rows in values.groupby(values).indices.values():  # missing values are in no group
            for row, others in _leaked(np.asarray(rows).tolist(), splits):
                copies.update(others)
                found.setdefault(row, (others[0], f"same {group_by}"))
    return Leaks(_table(samples, found), tuple(sorted(copies)))


def handle_leaks(samples: Samples, leaks: Leaks, *, on_leak: OnLeak) -> Samples:
    """Log the leaks and return the samples; with `drop`, without the copies in earlier splits.

    Raises:
        DataError: with `error`, something leaks; with `drop`, a class has no training images left.
    """
    if not len(leaks):
        return samples
    sentences = describe_leaks(leaks.table, samples.split_sizes())
    if on_leak == "error":
        raise DataError(*sentences, "Remove the copies, or use data.on_leak: drop, which trains without them, or warn.")
    for sentence in sentences:
        logger.warning("%s", sentence)
    if on_leak == "warn":
        scores = "given with and without them" if samples.task == "multiclass" else "too good with them"
        logger.warning("Scores are %s. data.on_leak: drop trains without their copies.", scores)
        return samples
    keep = np.ones(len(samples), dtype=bool)
    keep[list(leaks.copies)] = False
    kept = samples.with_table(samples.table[keep].reset_index(drop=True))
    dropped = samples.table[SPLIT][~keep].value_counts()
    logger.warning(
        "data.on_leak: drop: dropped %s.",
        " and ".join(f"{dropped[split]} {split} images" for split in SPLITS if dropped.get(split)),
    )
    require_trainable(kept, where="the training split without the copies of leaked images")
    return kept


def _how(row: int, duplicate_of: int, digests: Sequence[str], kinds: Mapping[tuple[int, int], str]) -> int:
    """Return the kind of two duplicates as a position in its kinds; re-encoded where a chain joins them."""
    if digests[row] == digests[duplicate_of]:
        return 0
    return DUPLICATE_KINDS.index(kinds.get((min(row, duplicate_of), max(row, duplicate_of)), "re-encoded"))


def _leaked(rows: Sequence[int], splits: list[str]) -> list[tuple[int, list[int]]]:
    """Return each row that leaks, with those of the rows that lie in an earlier split."""
    if len({splits[row] for row in rows}) < 2:
        return []
    found = ((row, [other for other in rows if splits[other] in EARLIER.get(splits[row], ())]) for row in rows)
    return [(row, others) for row, others in found if others]


def _table(samples: Samples, found: dict[int, tuple[int, str]]) -> pd.DataFrame:
    paths, splits = samples.table[PATH].tolist(), samples.table[SPLIT].tolist()
    rows = sorted(
        (splits[row], paths[row], paths[duplicate_of], splits[duplicate_of], how)
        for row, (duplicate_of, how) in found.items()
    )
    columns = ["split", "path", "duplicate_of", "duplicate_split", "how"]
    return pd.DataFrame(rows, columns=columns, dtype="str")[list(COLUMNS)]


HOW_MANY = {
    "identical": "identical",
    "re-encoded": "saved again or scaled",
    "mirrored": "mirrored",
    "turned": "turned",
    "cropped": "cropped",
    "edited": "recoloured or written on",
}


def describe_leaks(table: pd.DataFrame, counts: Mapping[str, int]) -> list[str]:
    """Return one sentence for each split and each way to leak, test first.

    Args:
        table: as in `Leaks`.
        counts: number of images of each split.
    """
    sentences = []
    for split in ("test", "val"):
        rows = table[table["split"] == split]
        by_column = ~rows["how"].isin(DUPLICATE_KINDS)
        for how, part in ((None, rows[~by_column]), *rows[by_column].groupby("how")):
            if len(part):
                sentences.append(_sentence(part, str(how) if how else "", split=split, of=counts[split]))
    return sentences


def _sentence(rows: pd.DataFrame, how: str, *, split: str, of: int) -> str:
    named = first_few([f"{path} as {other}" for path, other in zip(rows["path"], rows["duplicate_of"], strict=True)])
    where = " and ".join(name for name in SPLITS if (rows["duplicate_split"] == name).any())
    count = f"Leak: {len(rows):,} of {of:,} {split} images"
    if how:
        has = "has" if len(rows) == 1 else "have"
        return f"{count} {has} the {how} as an image of {where}: {named}."
    counts = rows["how"].value_counts()
    kinds = ", ".join(f"{counts[kind]:,} {HOW_MANY[kind]}" for kind in DUPLICATE_KINDS if kind in counts)
    shows, picture = ("shows", "a picture") if len(rows) == 1 else ("show", "pictures")
    lies = "lies" if len(rows) == 1 else "lie"
    return f"{count} {shows} {picture} that {lies} in {where} as well ({kinds}): {named}."
