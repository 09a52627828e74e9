"""`GateReport`: what became of each gate, with the forms that continuous integration reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any
from xml.etree import ElementTree as ET

from tlkit.audit.group_tables import Verdict, as_json
from tlkit.audit.options import AuditOptions
from tlkit.audit.words import p_is, p_text, signed
from tlkit.errors import refuse_newer
from tlkit.notebook import html_table
from tlkit.stats.estimate import Estimate

FORMAT_VERSION = 1
EXIT_CODES: Mapping[Verdict, int] = {"PASS": 0, "FAIL": 1, "NOT ENOUGH DATA": 3}
SIGNS: Mapping[Verdict, str] = {"FAIL": "✗ FAIL", "PASS": "✓ PASS", "NOT ENOUGH DATA": "? NOT ENOUGH DATA"}

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class GateRow:
    """One gate for one group.

    Attributes:
        kind: "tolerance", "at least", "at most" or "no worse".
        where: the place of the gate in its file.
        by: the columns.
        group: the group; "all images" for all.
        rate: the rate, such as "accuracy" or "recall of cat".
        bound: the tolerance, limit or margin.
        n: denominator of the rate.
        value: what is held against the bound: the difference from the rest, the rate, or the change, with its interval;
            without a number where the images are too few for one, as in the audit's tables.
        p_holm: p-value, corrected over the gates of this kind; None = no test.
        verdict: PASS, FAIL or NOT ENOUGH DATA.
        note: why it cannot be told, or why it passes without an interval; else "".
    """

    kind: str
    where: str
    by: str
    group: str
    rate: str
    bound: float
    n: int
    value: Estimate
    p_holm: float | None
    verdict: Verdict
    note: str = ""

    @property
    def asks(self) -> str:
        """What the gate asks for, in words."""
        return {
            "tolerance": f"{self.rate} within {self.bound:g} of the rest",
            "at least": f"{self.rate} at least {self.bound:g}",
            "at most": f"{self.rate} at most {self.bound:g}",
            "no worse": f"{self.rate} no worse than before by more than {self.bound:g}",
        }[self.kind]

    @property
    def found(self) -> str:
        """What was found, in words: "-0.200 [-0.334, -0.052]", "[-0.513, +0.064]" where that is wide, "n = 7"."""
        if self.value.value is None:
            if self.value.low is None or self.value.high is None:
                return f"n = {self.n}"
            text = self._in_words(replace(self.value, value=0.0))
            return text[text.index("[") :]
        return self._in_words(self.value)

    def _in_words(self, value: Estimate) -> str:
        return value.format() if self.kind in ("at least", "at most") else signed(value)

    @property
    def subject(self) -> str:
        """Whom the gate is about: "skin_tone dark", "all images"."""
        return self.group if self.group == self.by else f"{self.by} {self.group}"

    def sentence(self) -> str:
        """Return the outcome in one plain sentence."""
        p = "" if self.p_holm is None else f", {p_is(self.p_holm)} (Holm)"
        why = f" ({self.note})" if self.note else ""
        return (
            f"{self.where}  {self.verdict} for {self.subject}: {self.asks}; found {self.found}, n = {self.n}{p}{why}."
        )


@dataclass(frozen=True)
class GateReport:
    """What became of the gates of one file. `tlkit.gate` makes it.

    Attributes:
        source: the file of gates.
        images: labelled images.
        settings: the options of the audit behind the gates; each gate has a tolerance of its own.
        rows: one a gate and group.
    """

    source: str
    images: int
    settings: AuditOptions
    rows: tuple[GateRow, ...]

    @property
    def verdict(self) -> Verdict:
        """FAIL if any gate fails, PASS if all pass, else NOT ENOUGH DATA."""
        verdicts = {row.verdict for row in self.rows}
        if "FAIL" in verdicts:
            return "FAIL"
        return "PASS" if verdicts == {"PASS"} else "NOT ENOUGH DATA"

    @property
    def exit_code(self) -> int:
        """0 = all gates pass, 1 = a gate failed, 3 = none failed, but not all can be decided."""
        return EXIT_CODES[self.verdict]

    @property
    def counts_text(self) -> str:
        """How many gates passed, failed and are open."""
        counts = {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in EXIT_CODES}
        return f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['NOT ENOUGH DATA']} cannot be decided"

    def summary_rows(self) -> list[tuple[str, ...]]:
        """Return all gates as text, one tuple a row, the header first."""
        rows: list[tuple[str, ...]] = [
            ("gate", "by", "group", "n", f"found [{self.settings.confidence:.0%}]", "p (Holm)", "verdict")
        ]
        return rows + [
            (row.asks, row.by, row.group, str(row.n), row.found, p_text(row.p_holm), row.verdict) for row in self.rows
        ]

    def sentences(self) -> list[str]:
        """Return what failed and what cannot be decided, in plain English, then the verdict on all."""
        open_ = [row.sentence() for row in self.rows if row.verdict == "FAIL"]
        open_ += [row.sentence() for row in self.rows if row.verdict == "NOT ENOUGH DATA"]
        return [*open_, f"Gates of {self.source}: {self.verdict}; {self.counts_text}."]

    def to_junit(self) -> str:
        """Return JUnit XML: a test case per gate and group, a failure for FAIL, an error for NOT ENOUGH DATA.

        An error, because a gate that cannot be decided must not look like one that passed.
        """
        count = {
            "tests": str(len(self.rows)),
            "failures": str(sum(row.verdict == "FAIL" for row in self.rows)),
            "errors": str(sum(row.verdict == "NOT ENOUGH DATA" for row in self.rows)),
        }
        suites = ET.Element("testsuites", {"name": "tlkit gates", **count, "time": "0"})
        suite = ET.SubElement(suites, "testsuite", {"name": _xml(self.source), **count, "skipped": "0", "time": "0"})
        for row in self.rows:
            case = ET.SubElement(
                suite,
                "testcase",
                {"classname": _xml(f"{row.by}.{row.group}"), "name": _xml(f"{row.asks}: {row.subject}"), "time": "0"},
            )
            if row.verdict != "PASS":
                kind = "failure" if row.verdict == "FAIL" else "error"
                message = _xml(row.sentence())
                ET.SubElement(case, kind, {"type": row.verdict, "message": message}).text = message
        ET.indent(suites)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"

    def to_markdown(self) -> str:
        """Return a Markdown summary for the job page of a continuous integration system."""
        head, *rows = self.summary_rows()
        lines = [
            f"## Gates: {SIGNS[self.verdict]}",
            "",
            f"{self.counts_text}; {self.images:,} labelled images, `{_cell(self.source)}`.",
            "",
            "| " + " | ".join(head) + " |",
            "|" + " --- |" * len(head),
        ]
        for row, cells in zip(self.rows, rows, strict=True):
            texts = [_cell(cell) for cell in cells]
            texts[-1] = SIGNS[row.verdict] + (f" ({_cell(row.note)})" if row.note else "")
            lines.append("| " + " | ".join(texts) + " |")
        lines += [
            "",
            "A gate passes or fails where the whole interval lies on one side of its bound, and fails only if the "
            f"corrected test agrees (alpha {self.settings.alpha:g}). NOT ENOUGH DATA is not a weaker pass.",
        ]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        values = asdict(self)
        return {"version": FORMAT_VERSION, "verdict": self.verdict, **as_json(values)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GateReport:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("This gate report was", values["version"], known=FORMAT_VERSION)
        kept = {key: value for key, value in values.items() if key not in ("version", "verdict", "rows", "settings")}
        rows = tuple(GateRow(**{**row, "value": Estimate.from_dict(row["value"])}) for row in values["rows"])
        return cls(**kept, settings=AuditOptions.from_dict(values["settings"]), rows=rows)

    def __repr__(self) -> str:
        return f"GateReport({self.source}: {self.verdict}; {self.counts_text})"

    def _repr_html_(self) -> str:
        title = f"<p><b>Gates of {escape(self.source)}: {SIGNS[self.verdict]}</b><br>{self.counts_text}</p>"
        return f"<div>{title}{html_table(self.summary_rows())}</div>"


def _xml(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("�", text)


def _cell(text: str) -> str:
    """Return text that cannot leave its cell of a Markdown table, nor become a tag, a link or a code span."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", one_line).replace("&", "&amp;").replace("<", "&lt;")


__all__ = ["EXIT_CODES", "SIGNS", "GateReport", "GateRow"]
