"""`GateReport`: the verdict of each gate, with JUnit, Markdown and JSON for continuous integration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tlkit.audit.gates.gate_sarif import gate_sarif
from tlkit.audit.gates.gate_tables import counts_text, gate_table, gate_tables
from tlkit.audit.group_tables import Direction
from tlkit.audit.options import AuditOptions
from tlkit.choices import EXIT_CODES, Counted, Verdict
from tlkit.errors import refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html, to_junit, to_markdown

FORMAT_VERSION = 1

GateReason = Literal[
    "", "no labels", "no estimate", "small complement", "more images", "same predictions", "same figure"
]


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
        n: denominator of the rate; of a figure of boxes the true objects, of the IoU of a class the images that show
            it.
        counted: what n counts, as `min_group_size` does.
        value: the estimate compared with the bound: the difference from the complement, the rate, or the change, with
            its interval; redacted as in the audit's tables.
        p_holm: p-value, corrected over the gates of this kind; None = no test.
        verdict: PASS, FAIL or NOT ENOUGH DATA.
        reason: why there is no verdict: "no labels" = no labelled image, "no estimate" = the note of `value` says why,
            "small complement", "more images" = `needed` of them; or "same predictions" or "same figure", why it
            passes without an interval; else "".
        needed: about how many images would show a loss of the margin; None except with "more images".
        direction: on which side of the complement the rate lies; only where a tolerance fails.
    """

    kind: str
    where: str
    by: str
    group: str
    rate: str
    bound: float
    n: int
    value: Estimate
    p_holm: float | None = None
    verdict: Verdict = "NOT ENOUGH DATA"
    reason: GateReason = ""
    needed: int | None = None
    direction: Direction | None = None
    counted: Counted = "image"


@dataclass(frozen=True)
class GateReport:
    """The verdicts on the gates of one file. `tlkit.gate` makes it.

    Attributes:
        source: the file of gates.
        images: labelled images.
        settings: the options of the audit behind the gates; each gate has its own tolerance.
        rows: one per gate and group.
        objects: true objects in the images, which gates of boxes count; None for other tasks.
    """

    source: str
    images: int
    settings: AuditOptions
    rows: tuple[GateRow, ...]
    objects: int | None = None

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

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the gates for readers; its notes count the verdicts."""
        return gate_tables(self)

    def to_junit(self) -> str:
        """Return JUnit XML: a test case per gate and group, a failure for FAIL, an error for NOT ENOUGH DATA.

        An error, because an undecided gate must not count as passed.
        """
        return to_junit(
            gate_table(self),
            name="tlkit gates",
            suite=self.source,
            classname=("by", "group"),
            case=("gate", "by", "group"),
        )

    def to_sarif(self) -> str:
        """Return SARIF 2.1.0: an error for FAIL and a warning for NOT ENOUGH DATA, at the line of the gate."""
        return gate_sarif(self)

    def to_markdown(self) -> str:
        """Return a Markdown summary for the job page of a continuous integration system."""
        return to_markdown(self.tables()) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back. What is about objects is there for boxes alone."""
        values = {"version": FORMAT_VERSION, "verdict": self.verdict, **to_plain(self)}
        if self.objects is None:
            del values["objects"]
            values["rows"] = [{name: row[name] for name in row if name != "counted"} for row in values["rows"]]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GateReport:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("This gate report was", values["version"], known=FORMAT_VERSION)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"GateReport({self.source}: {self.verdict}; {counts_text(self)})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
