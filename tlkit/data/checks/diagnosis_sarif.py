"""The findings of the data doctor as SARIF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlkit.data.checks.finding_kinds import KINDS, Severity
from tlkit.tables import counted
from tlkit.tables.sarif import Level, SarifFinding, SarifRule, to_sarif

if TYPE_CHECKING:
    from tlkit.data.checks.diagnosis import Diagnosis, Finding

IMAGES = "IMAGES"
MOST_ITEMS = 1000  # of one kind; code scanning shows 5,000 findings in all
LEVELS: Mapping[Severity, Level] = {"error": "error", "warning": "warning", "info": "note"}
JOINTS = (" = ", " ~ ")  # between the paths of copies and of pairs that look alike


def diagnosis_sarif(diagnosis: Diagnosis) -> str:
    """Return SARIF: a rule per kind of finding, a result per item, at most 1,000 of a kind and one for the others.

    Paths are relative to the folder of images.
    """
    rules = [
        SarifRule(one.kind, KINDS[one.kind].what, KINDS[one.kind].advice, LEVELS[one.severity])
        for one in diagnosis.findings
    ]
    findings = [item for one in diagnosis.findings for item in _items(one)]
    images = {"images": diagnosis.images, "classes": len(diagnosis.classes), "splits": dict(diagnosis.splits)}
    bases = {IMAGES: "The folder of the images."}
    return to_sarif(rules, findings, bases=bases, properties=images)


def _items(finding: Finding) -> list[SarifFinding]:
    kind, level = KINDS[finding.kind], LEVELS[finding.severity]
    known = set(finding.files)
    found = [
        SarifFinding(
            finding.kind,
            f"{kind.what[0].upper()}{kind.what[1:]}: {item.removesuffix('.')}. {kind.advice}",
            level,
            _files(item, known),
            base=IMAGES,
        )
        for item in finding.items[:MOST_ITEMS]
    ]
    more = len(finding.items) - MOST_ITEMS
    if more > 0:
        text = f"{counted(more, 'more item')} of this kind, of {finding.count:,} in all: {kind.what}."
        found.append(SarifFinding(finding.kind, text, level, (".",), base=IMAGES))
    return found


def _files(item: str, known: set[str]) -> tuple[str, ...]:
    """Return the files that an item names; the folder where it names none.

    Example:
        >>> _files("a/1.png = b/2.png", {"a/1.png", "b/2.png"}), _files("cat (3)", set())
        (('a/1.png', 'b/2.png'), ('.',))
    """
    for joint in JOINTS:
        parts = item.split(joint)
        files = tuple(path for part in parts if (path := _path(part, known)))
        if len(parts) > 1 and len(files) == len(parts):
            return files
    path = _path(item, known)
    return (path,) if path else (".",)


def _path(text: str, known: set[str]) -> str:
    """Return the file that a text is, or begins with before details in brackets; "" if none."""
    if text in known:
        return text
    at = len(text)
    while (at := text.rfind(" (", 0, at)) > 0:
        if text[:at] in known:
            return text[:at]
    return ""
