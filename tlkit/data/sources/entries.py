"""Entries of a source of images: how many were read, excluded and skipped, each with its name and reason.

Every source fills the same value, so that read + companions + excluded + skipped = found. An entry is a file or a link
in a folder, a folder that is not entered, a row of a list, or a member of a tar that is no folder.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from tlkit.data.checks.finding_kinds import KINDS
from tlkit.errors import first_few

if TYPE_CHECKING:
    from tlkit.samples import Samples

logger = logging.getLogger(__name__)

ListedIn = Literal["", "list", "shards"]


class Entry(NamedTuple):
    """An entry that is not read.

    Attributes:
        kind: a key of `KINDS`, which says what such entries are and what to do.
        name: its path in the source, or the row of a list.
        reason: details; "" where the kind says all.
    """

    kind: str
    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name


@dataclass(frozen=True)
class Entries:
    """The count of a source's entries.

    Attributes:
        read: entries that are images, or rows that belong to one.
        companions: members of a tar that belong to an image that is read, such as its class; files of the class folders
            of several labels that are an image of another folder.
        excluded: entries that somebody set aside, such as quarantined rows.
        skipped: entries that cannot be read as an image.
    """

    read: int = 0
    companions: int = 0
    excluded: tuple[Entry, ...] = ()
    skipped: tuple[Entry, ...] = ()

    @property
    def found(self) -> int:
        """The number of all entries."""
        return self.read + self.companions + len(self.excluded) + len(self.skipped)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of entries found, read, companions, excluded and skipped."""
        return {
            "found": self.found,
            "read": self.read,
            "companions": self.companions,
            "excluded": len(self.excluded),
            "skipped": len(self.skipped),
        }

    def __add__(self, other: Entries) -> Entries:
        return Entries(
            self.read + other.read,
            self.companions + other.companions,
            self.excluded + other.excluded,
            self.skipped + other.skipped,
        )

    def log(self, source: object = "") -> None:
        """Log the skipped entries of each kind by name, as a warning where images may be lost."""
        where = f" of {source}" if source else ""
        for kind, items in by_kind(self.skipped).items():
            lost = KINDS[kind].severity != "info"
            advice = f" {KINDS[kind].advice}" if lost else ""
            logger.log(
                logging.WARNING if lost else logging.DEBUG,
                "Ignoring %s%s (%d): %s.%s",
                KINDS[kind].what,
                where,
                len(items),
                first_few(items),
                advice,
            )


def by_kind(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return entries by kind, in the order of `KINDS`."""
    found: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for entry in entries:
        found[entry.kind].append(entry)
    return {kind: items for kind, items in found.items() if items}


@dataclass(frozen=True)
class Survey:
    """The images of a source, whether or not it can be used for training.

    Attributes:
        samples: the images; may be none.
        entries: the count of the source's entries.
        problems: the errors that reading the source for training would raise.
        empty_classes: class folders without an image.
        listed_in: "list" or "shards" where only the images that it names are known, not other files in the folders.
    """

    samples: Samples
    entries: Entries
    problems: tuple[str, ...] = ()
    empty_classes: Sequence[str] = ()
    listed_in: ListedIn = ""
