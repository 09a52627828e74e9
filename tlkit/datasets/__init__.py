"""Datasets by name, generated on the user's machine from installed packages, with attribution."""

from __future__ import annotations

from tlkit.datasets.dataset_card import DatasetCard
from tlkit.datasets.digit_scenes import make_digit_scenes
from tlkit.datasets.digits import make_digits
from tlkit.datasets.gallery import Gallery, gallery, make_dataset_of, named_dataset
from tlkit.datasets.gallery_entry import GalleryEntry
from tlkit.datasets.occupations import SKEWS, make_occupations

__all__ = [
    "SKEWS",
    "DatasetCard",
    "Gallery",
    "GalleryEntry",
    "gallery",
    "make_dataset_of",
    "make_digit_scenes",
    "make_digits",
    "make_occupations",
    "named_dataset",
]
