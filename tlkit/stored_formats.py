"""`Format`: the version of a stored format, and the functions that read its earlier versions.

The policy is in `docs/versions.md`: files of an earlier version are read through its upgrade and never changed; those
of a newer version, and of an earlier one without an upgrade, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tlkit import __version__
from tlkit.errors import TlkitError, refuse_newer

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns the values of the next version; may change the mapping that it gets."""
WRITER = "tlkit"
"""Key of the version of tlkit that wrote a file."""

_RELEASE = re.compile(r"\d+(\.\d+){1,3}((a|b|rc)\d+)?")


@dataclass(frozen=True)
class Format:
    """A stored format.

    Attributes:
        name: what is stored, such as "a stored model".
        version: the present one; from 1.
        remedy: what to do about a version that cannot be read any more.
        error: type of the errors.
        upgrades: by an earlier version, what makes the values of the next one of its values.
        key: of the version in the file.
    """

    name: str
    version: int
    remedy: str
    error: type[TlkitError] = TlkitError
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    key: str = "format_version"

    def stamp(self, version: int | None = None) -> dict[str, Any]:
        """Return what every file of the format states: its version and that of the tlkit that writes it.

        Args:
            version: an earlier version that holds all that is written, so that an earlier tlkit can read it; default:
                the present one.
        """
        return {self.key: self.version if version is None else version, WRITER: __version__}

    def current(self, values: Mapping[str, Any], *, what: str) -> dict[str, Any]:
        """Return the values of a file as the present version has them; the given ones stay as they are.

        Args:
            values: what the file holds.
            what: start of a message, such as "model.json was".

        Raises:
            TlkitError: the version is newer, none, or an earlier one without an upgrade; of the type `error`.
            KeyError: the file states no version.

        Example:
            >>> def upgrade(values):
            ...     return {**values, "unit": "px"}
            >>> sizes = Format("a size", 2, "Measure again.", upgrades={1: upgrade})
            >>> sizes.current({"format_version": 1, "side": 3}, what="This size was")
            {'format_version': 2, 'side': 3, 'unit': 'px'}
        """
        version = values[self.key]
        refuse_newer(what, version, known=self.version, by=release_of(values), error=self.error)
        found = dict(values)
        for number in range(version, self.version):
            if number not in self.upgrades:
                raise self.error(
                    f"{what} written by an earlier tlkit, in format {version} of {self.name}; this one reads "
                    f"{self._readable}. {self.remedy}"
                )
            found = self.upgrades[number](found)
        return {**found, self.key: self.version}

    @property
    def _readable(self) -> str:
        first = self.version
        while first - 1 in self.upgrades:
            first -= 1
        return f"format {self.version}" if first == self.version else f"formats {first} to {self.version}"


def release_of(values: Mapping[str, Any]) -> str | None:
    """Return the version of tlkit that wrote a file, if it states one.

    Example:
        >>> release_of({"tlkit": "0.3.0"}), release_of({"tlkit": "; rm"}), release_of({})
        ('0.3.0', None, None)
    """
    writer = values.get(WRITER)
    return writer if isinstance(writer, str) and _RELEASE.fullmatch(writer) else None
