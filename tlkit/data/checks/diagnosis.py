"""`Diagnosis`: the findings of the data doctor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tlkit.data.checks.diagnosis_sarif import diagnosis_sarif
from tlkit.data.checks.diagnosis_tables import diagnosis_tables
from tlkit.data.checks.finding_kinds import KINDS, SEVERITIES, Severity
from tlkit.data.sources.entries import ListedIn
from tlkit.errors import DataError
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Finding:
    """The items of one kind of finding.

    Attributes:
        kind: a key of `KINDS`.
        severity: error (it spoils training or scores), warning (a person should look), or info.
        count: number of items.
        items: the files, folders or classes, each with details in brackets.
        files: paths of the images among them, relative to the root; for thumbnails.
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
    """The findings of the data doctor in a dataset.

    Attributes:
        source: the source of the images, as given.
        root: the folder that the paths are relative to.
        images: number of images, readable or not.
        classes: names of the classes.
        splits: images by split.
        findings: most severe first, in the order of `KINDS`; empty for a clean dataset.
        quarantine: path and reasons of each image to exclude from training, sorted: unreadable images, training images
            whose picture also lies in val or test, and pictures under several labels.
        listed_in: "list" or "shards" where only the images that it names were examined, no other files; else "".
        entries: numbers of the source's files, members or rows: found, read, companions (of shards), excluded, skipped.
    """

    source: str
    root: str
    images: int
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    findings: tuple[Finding, ...]
    quarantine: tuple[tuple[str, str], ...]
    listed_in: ListedIn = ""
    entries: Mapping[str, int] = field(default_factory=dict)

    def reaches(self, severity: Severity) -> bool:
        """Return whether any finding has this severity or a higher one."""
        severe = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return any(finding.severity in severe for finding in self.findings)

    def tables(self) -> tuple[Table, ...]:
        """Return the table of findings; its title states the images and the number of kinds of finding."""
        return diagnosis_tables(self)

    def to_sarif(self) -> str:
        """Return the findings as SARIF 2.1.0, which code scanning shows; paths are relative to the folder of images."""
        return diagnosis_sarif(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Diagnosis:
        """Return the diagnosis that `to_dict` wrote.

        Raises:
            DataError: the values have another format.
        """
        if values.get("format_version") != FORMAT_VERSION:
            raise DataError(
                f"This diagnosis has format {values.get('format_version')!r}; this tlkit reads {FORMAT_VERSION}. "
                "Run the doctor again."
            )
        read = {name: value for name, value in values.items() if name != "format_version"}
        read["classes"] = tuple(values["classes"])
        read["findings"] = tuple(
            Finding(**{**one, "items": tuple(one["items"]), "files": tuple(one["files"])}) for one in values["findings"]
        )
        read["quarantine"] = tuple((path, reason) for path, reason in values["quarantine"])
        return cls(**read)

    def __repr__(self) -> str:
        return f"Diagnosis({self.source}: {self.images} images, kinds of finding: {len(self.findings)})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
