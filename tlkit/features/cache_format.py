"""Versions of the feature cache: of its files, and of the keys that its features are found by."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from tlkit.stored_formats import Format

logger = logging.getLogger(__name__)

CACHE_FORMAT = Format("the feature cache", 1, "Its features are computed again.")
"""Format of the manifest of an entry and of the JSON file beside each block."""
CACHE_VERSION = 2
"""Part of every key; raised when the same inputs would give other features than before. Features under keys of an
earlier version are no longer found, so they are computed again: there is nothing that an upgrade could keep."""


@cache
def warn_of_format(folder: Path, message: str) -> None:
    """Log once for each folder that files of another format are ignored."""
    logger.warning("%s; without it features are computed again (%s).", message.rstrip("."), folder)
