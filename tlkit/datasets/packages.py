"""Packages of pip and apt that carry images: whether they are here, their files and versions, how to install them."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

SHARE = "/usr/local/share:/usr/share"
"""Where Debian's packages put their data, unless `XDG_DATA_DIRS` says otherwise."""


@dataclass(frozen=True)
class Package:
    """A package whose files a dataset is made of.

    Attributes:
        name: its name for pip or apt.
        place: of a package of pip the module; of one of apt the folder below /usr/share.
        tested: the version whose files have the digest that the gallery states.
        manager: pip or apt.
        extra: the extra of tlkit that brings it; "" = none does.
        dependencies: whether pip may bring what the package asks for; its images need none of it.
    """

    name: str
    place: str
    tested: str
    manager: Literal["pip", "apt"] = "pip"
    extra: str = ""
    dependencies: bool = True

    def folder(self) -> Path | None:
        """Return the folder of its files; None where it is not installed."""
        if self.manager == "apt":
            shares = (os.environ.get("XDG_DATA_DIRS") or SHARE).split(":")
            return next((path for share in shares if share and (path := Path(share, self.place)).is_dir()), None)
        spec = find_spec(self.place)
        places = () if spec is None else spec.submodule_search_locations or ()
        return next(map(Path, places), None)

    def version(self) -> str:
        """Return the installed version; "unknown" where the package does not say it."""
        if self.manager == "pip":
            try:
                return metadata.version(self.name)
            except metadata.PackageNotFoundError:
                return "unknown"
        folder = self.folder()
        share = None if folder is None else Path(str(folder)[: -len(self.place)])
        try:
            with gzip.open(share / "doc" / self.name / "changelog.Debian.gz") as file:  # type: ignore[operator]
                first = file.readline(1000).decode("utf-8", "replace")
        except (OSError, EOFError, TypeError):
            return "unknown"
        found = re.match(r"\S+ \(([^)]+)\)", first)
        return found[1] if found else "unknown"


def missing(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages that are not installed."""
    return tuple(package for package in packages if package.folder() is None)


def install_command(packages: Sequence[Package]) -> str:
    """Return the commands that install packages, joined by "and".

    Example:
        >>> install_command([Package("elpv-dataset", "elpv_dataset", "1.0.0.post1", dependencies=False)])
        'pip install --no-deps elpv-dataset'
    """
    extras = sorted({one.extra for one in packages if one.extra})
    alone = [one for one in packages if one.manager == "pip" and not one.extra]
    debian = [one.name for one in packages if one.manager == "apt"]
    plain = [one.name for one in alone if one.dependencies] + [f'"tlkit[{extra}]"' for extra in extras]
    without = [one.name for one in alone if not one.dependencies]
    parts = [(plain, "pip install"), (without, "pip install --no-deps"), (debian, "apt install")]
    return " and ".join(f"{command} {' '.join(names)}" for names, command in parts if names)


def digest_of_sources(sources: Mapping[str, Path]) -> str:
    """Return the SHA-256 (hex) of names and contents of files, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        content = sources[name].read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
