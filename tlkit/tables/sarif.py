"""Findings as SARIF 2.1.0, the format of code scanning in continuous integration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from tlkit import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class SarifRule:
    """A kind of finding.

    Attributes:
        id: its identifier.
        text: what it means.
        help: what to do about it.
        level: the level of its findings.
    """

    id: str
    text: str
    help: str
    level: Level


@dataclass(frozen=True)
class SarifFinding:
    """One finding.

    Attributes:
        rule: identifier of its rule.
        message: what was found.
        level: error, warning or note.
        files: the files it is about, relative to `base` or to the working directory; the first is its place.
        line: the line of the first file, from 1; None = the file as a whole.
        base: a name of a folder that the files are relative to; "" = none.
        properties: further values.
    """

    rule: str
    message: str
    level: Level
    files: tuple[str, ...]
    line: int | None = None
    base: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


def to_sarif(
    rules: Sequence[SarifRule],
    findings: Sequence[SarifFinding],
    *,
    bases: Mapping[str, str] = {},
    properties: Mapping[str, Any] = {},
) -> str:
    """Return a SARIF log with one run (OASIS, Static Analysis Results Interchange Format 2.1.0, 2023).

    Names of files are percent-encoded. Folders are named and described, never given as a path of this machine. Equal
    values give equal text.

    Args:
        rules: the rules, each of them once.
        findings: the findings; each names one of the rules.
        bases: for each name of a folder, what it is.
        properties: further values of the run.
    """
    places = {rule.id: place for place, rule in enumerate(rules)}
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "tlkit", "version": __version__, "rules": [_rule(rule) for rule in rules]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, places[finding.rule]) for finding in findings],
    }
    if bases:
        run["originalUriBaseIds"] = {name: {"description": {"text": text}} for name, text in bases.items()}
    if properties:
        run["properties"] = dict(properties)
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _rule(rule: SarifRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.text},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(finding: SarifFinding, place: int) -> dict[str, Any]:
    locations = [_location(name, finding) for name in finding.files]
    if finding.line is not None:
        locations[0]["physicalLocation"]["region"] = {"startLine": finding.line}
    result = {
        "ruleId": finding.rule,
        "ruleIndex": place,
        "level": finding.level,
        "message": {"text": finding.message},
        "locations": locations[:1],
    }
    if locations[1:]:
        result["relatedLocations"] = [{"id": number, **one} for number, one in enumerate(locations[1:], start=1)]
    if finding.properties:
        result["properties"] = dict(finding.properties)
    return result


def _location(name: str, finding: SarifFinding) -> dict[str, Any]:
    place = {"uri": quote(name.encode("utf-8", "surrogateescape"), safe="/")}
    return {
        "physicalLocation": {"artifactLocation": {**place, **({"uriBaseId": finding.base} if finding.base else {})}}
    }
