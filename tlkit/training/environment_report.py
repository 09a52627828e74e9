"""`EnvironmentReport`: the packages of this Python environment, and what works in it; a result with its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tlkit.tables import Column, Table


@dataclass(frozen=True)
class EnvironmentCheck:
    """One thing that was tried here.

    Attributes:
        name: what was tried.
        works: whether it works; None for a fact that can only be stated.
        found: what was found, such as a device or an error.
        remedy: what to do; "" where nothing is to be done.
        needed: whether training or prediction cannot do without it.
    """

    name: str
    works: bool | None
    found: str
    remedy: str = ""
    needed: bool = False


@dataclass(frozen=True)
class EnvironmentReport:
    """What is installed, what works, and what to do about what does not.

    Attributes:
        versions: version of each package, None where it is not installed.
        checks: what was tried.
    """

    versions: Mapping[str, str | None]
    checks: tuple[EnvironmentCheck, ...]

    @property
    def is_usable(self) -> bool:
        """Whether training and prediction work here."""
        return all(check.works is not False for check in self.checks if check.needed)

    def __repr__(self) -> str:
        failed = [check.name for check in self.checks if check.works is False]
        return (
            f"EnvironmentReport({'usable' if self.is_usable else 'NOT usable'}, fails: {', '.join(failed) or 'none'})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        checks = [asdict(check) for check in self.checks]
        return {"usable": self.is_usable, "versions": dict(self.versions), "checks": checks}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EnvironmentReport:
        """Read what `to_dict` wrote."""
        return cls(dict(values["versions"]), tuple(EnvironmentCheck(**check) for check in values["checks"]))

    def tables(self) -> Sequence[Table]:
        """Return the table of versions and the table of checks."""
        versions = tuple((name, version or "not installed") for name, version in self.versions.items())
        works = {True: "yes", False: "NO", None: ""}
        checks = tuple((check.name, works[check.works], check.found, check.remedy) for check in self.checks)
        verdict = "Training and prediction work here." if self.is_usable else "Training or prediction fails here."
        return (
            Table("versions", "installed", (Column("package", "package"), Column("version", "version")), versions),
            Table(
                "checks",
                "what works here",
                (Column("check", "check"), Column("works", "works"), Column("found", "found"), Column("remedy", "do")),
                checks,
                notes=(verdict,),
            ),
        )
