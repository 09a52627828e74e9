"""`Diagnosis`: what the data doctor found, finding by finding, as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tlkit.data.checks.diagnosis_tables import diagnosis_tables
from tlkit.data.checks.finding_kinds import KINDS, SEVERITIES, Severity
from tlkit.errors import DataError
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    Attributes:
        kind: a key of `KINDS`.
        severity: error (it spoils training or scores), warning (a person should look), or info.
        count: how many there are.
        items: the files, folders or classes, sorted, each with what is to be said about it in brackets.
        files: the paths among them, relative to the root; for thumbnails.
    """

    kind: str
    severity: Severity
    count: int
    items: tuple[str, ...]
    files: tuple[str, ...] = ()


def make_finding(kind: str, items: Sequence[str], *, files: Sequence[str] = ()) -> Finding:
    """Return a finding with the severity of its kind."""
    return Finding(kind, KINDS[kind].severity, len(items), tuple(items), tuple(files))


@dataclass(frozen=True)
class Diagnosis:
    """What a dataset suffers from.

    Attributes:
        source: where the images are, as it was given.
        root: the folder that the paths are relative to.
        images: how many images there are, readable or not.
        classes: names of the classes.
        splits: images by split.
        findings: gravest first, in the order of `KINDS`; empty for a clean dataset.
        quarantine: path and reasons of each image that training should go without, sorted: what cannot be read,
            training images whose picture also lies in val or test, and pictures under several labels.
        unchecked: what was not looked at, in a sentence; "" where everything was.
    """

    source: str
    root: str
    images: int
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    findings: tuple[Finding, ...]
    quarantine: tuple[tuple[str, str], ...]
    unchecked: str = ""

    def reaches(self, severity: Severity) -> bool:
        """Say whether anything is as grave as `severity`, or graver."""
        grave = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return any(finding.severity in grave for finding in self.findings)

    def tables(self) -> tuple[Table, ...]:
        """Return the table of findings; its title says what was examined, and how many kinds of finding there are."""
        return diagnosis_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; `from_dict` reads it back."""
        return {"format_version": FORMAT_VERSION, **asdict(self), "splits": dict(self.splits)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Diagnosis:
        """Read what `to_dict` gave.

        Raises:
            DataError: a later tlkit wrote it, or it is no diagnosis.
        """
        if values.get("format_version") != FORMAT_VERSION:
            raise DataError(
                f"This diagnosis has format {values.get('format_version')!r}; this tlkit reads {FORMAT_VERSION}. "
                "Run the doctor again."
            )
        findings = tuple(
            Finding(f["kind"], f["severity"], f["count"], tuple(f["items"]), tuple(f["files"]))
            for f in values["findings"]
        )
        quarantine = tuple((path, reason) for path, reason in values["quarantine"])
        return cls(
            values.get("source", values["root"]),
            values["root"],
            values["images"],
            tuple(values["classes"]),
            dict(values["splits"]),
            findings,
            quarantine,
            values.get("unchecked", ""),
        )

    def __repr__(self) -> str:
        return f"Diagnosis({self.source}: {self.images} images, kinds of finding: {len(self.findings)})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
