"""The gallery: datasets by name, made of what installed packages carry; nothing is downloaded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.datasets.animals import ANIMALS
from tlkit.datasets.dataset_card import DatasetCard
from tlkit.datasets.digit_scenes import DIGIT_SCENES
from tlkit.datasets.digits import DIGITS
from tlkit.datasets.emoji_keywords import EMOJI_KEYWORDS
from tlkit.datasets.emoji_masks import EMOJI_MASKS
from tlkit.datasets.emoji_scenes import EMOJI_SCENES
from tlkit.datasets.fashion_mnist import FASHION_MNIST
from tlkit.datasets.flags import FLAGS
from tlkit.datasets.gallery_entry import GalleryEntry
from tlkit.datasets.gallery_tables import entry_tables, gallery_tables
from tlkit.datasets.glyphs import GLYPHS
from tlkit.datasets.occupations import OCCUPATIONS_ENTRY, make_occupations
from tlkit.datasets.solar import SOLAR
from tlkit.datasets.textiles import TEXTILES
from tlkit.disk import cache_folder
from tlkit.errors import DataError, did_you_mean
from tlkit.tables import Table, to_html

logger = logging.getLogger(__name__)

ENTRIES = (
    ANIMALS,
    DIGIT_SCENES,
    DIGITS,
    EMOJI_KEYWORDS,
    EMOJI_MASKS,
    EMOJI_SCENES,
    FASHION_MNIST,
    FLAGS,
    GLYPHS,
    OCCUPATIONS_ENTRY,
    SOLAR,
    TEXTILES,
)


@dataclass(frozen=True)
class Gallery:
    """Datasets that packages carry.

    Attributes:
        entries: the datasets, sorted by name.
    """

    entries: Sequence[GalleryEntry]

    def to_dict(self) -> dict[str, Any]:
        """Return the datasets as JSON values."""
        return {"datasets": [entry.to_dict() for entry in self.entries]}

    def tables(self) -> tuple[Table, ...]:
        """Return all datasets in one table; of a single one its facts, too."""
        return gallery_tables(self) if len(self.entries) > 1 else entry_tables(self.entries[0])

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def gallery(name: str | None = None) -> Gallery:
    """Return the datasets that packages carry, whether they are installed or not.

    Args:
        name: one of them; None = all.

    Raises:
        DataError: there is none of this name.

    Example:
        >>> gallery("digits").entries[0].license
        'CC BY 4.0'
    """
    return Gallery(ENTRIES if name is None else (find_entry(name),))


def find_entry(name: str) -> GalleryEntry:
    """Return the dataset of a name.

    Raises:
        DataError: there is none; the message names the nearest.
    """
    known = {str(entry.name): entry for entry in ENTRIES}
    if name not in known:
        raise DataError(f"There is no dataset {name!r}.{did_you_mean(name, known)} Use one of {', '.join(known)}.")
    return known[name]


def make_dataset_of(
    name: str, dest: str | Path, *, skew: str | None = None, per_class: int | None = None, seed: int = 0
) -> DatasetCard:
    """Make the folder of a dataset of the gallery, and return its card; a folder that the same call made is reused.

    Args:
        name: name of the dataset.
        dest: folder to write to; created where it is missing.
        skew: of occupations, the groups that train shows; None = all.
        per_class: most training images of each class; see `GalleryEntry.make`. Not for occupations; None = all.
        seed: seed of the split and of random poses, 0 or more.

    Raises:
        DataError: there is no such dataset, a package is missing, `skew` or `per_class` is for another dataset, or the
            folder holds something else.
        MissingExtraError: a package is missing that an extra of tlkit brings.

    Example:
        >>> import tempfile
        >>> make_dataset_of("digits", Path(tempfile.mkdtemp(), "digits")).counts
        {'train': 1078, 'val': 360, 'test': 359}
    """
    entry = find_entry(name)
    if entry is OCCUPATIONS_ENTRY:
        if per_class is not None:
            raise DataError("per_class is not for occupations, whose poses belong together. Leave it out.")
        return make_occupations(dest, skew=skew, seed=seed)
    if skew is not None:
        raise DataError(f"skew is for the dataset occupations; {name} has no groups to skew.")
    return entry.make(dest, seed=seed, per_class=per_class)


def named_dataset(name: str) -> DatasetCard:
    """Return the card of a dataset that a recipe names; it is made once, in the cache folder (`TLKIT_CACHE`).

    Raises:
        DataError: there is no such dataset, a package is missing, or its folder was changed.
        MissingExtraError: a package is missing that an extra of tlkit brings.
    """
    entry = find_entry(name)
    if not entry.commercial:
        logger.warning("The dataset %s is under %s: no commercial use.", name, entry.license)
    return make_dataset_of(name, cache_folder() / "datasets" / name)
