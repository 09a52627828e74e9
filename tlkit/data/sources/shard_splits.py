"""The split that the name of a tar shard states."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from tlkit.errors import first_few

logger = logging.getLogger(__name__)

SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of splits, compared in lower case."""
NUMBERING = {"of", "part", "shard"}


def split_of(name: str) -> str | None:
    """Return the split that a shard's path states; None where it states none.

    The word is the last one before the shard's number: `train.tar`, `val-000.tar`, `imagenet1k-train-0000.tar`,
    `test-00001-of-00008.tar`. Else it is the whole name of a folder: `val/000.tar`. A word elsewhere decides nothing.

    Example:
        >>> split_of("imagenet1k-validation-00.tar"), split_of("test_tube-000.tar"), split_of("val/000.tar")
        ('val', None, 'val')
    """
    *folders, file = PurePosixPath(name).parts
    for word in reversed(_words(file)):
        stated = SPLIT_ALIASES.get(re.sub(r"\d+$", "", word))
        if stated is not None:
            return stated
        if word not in NUMBERING and not any(character.isdigit() for character in word):
            break
    return next((SPLIT_ALIASES[one.lower()] for one in reversed(folders) if one.lower() in SPLIT_ALIASES), None)


def warn_of_words(names: Iterable[str]) -> None:
    """Log the shards that belong to train although their name has a split's word, where it decides nothing."""
    found = [
        name for name in names if split_of(name) is None and set(_words(PurePosixPath(name).name)) & {*SPLIT_ALIASES}
    ]
    if found:
        logger.warning(
            "Shards that belong to train, since a split's word decides only as the last one before the shard's number, "
            "as in val-000.tar (%d): %s. Rename them, or state the splits in a list: data.split.",
            len(found),
            first_few(found),
        )


def _words(file: str) -> list[str]:
    return [word for word in re.split(r"[^0-9a-z]+", file.lower().removesuffix(".tar")) if word]
