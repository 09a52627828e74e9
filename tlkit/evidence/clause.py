"""`Clause`: what a run has to show for one clause of a law or a standard."""

from __future__ import annotations

from dataclasses import dataclass

ACT, TS, RMF = "EU AI Act", "ISO/IEC TS 12791:2024", "NIST AI RMF 1.0"
NOTHING_SHOWN = ""


@dataclass(frozen=True)
class Clause:
    """What a run has to show for one clause.

    Attributes:
        source: the law or the standard.
        clause: the clause, or the kind of treatment.
        subject: what it is about.
        files: the files that show something, of the run or of the evidence; empty = none does.
        figure: what they show, in one sentence or two; "" = nothing.
        verdict: where a figure was compared with a tolerance or tested, what came out: FAIL, PASS, NOT ENOUGH DATA, or
            the word of that measurement, such as LOSS or DRIFT; else "".
        not_assessed: what about this clause was not assessed here; "" = nothing that tlkit knows of.
    """

    source: str
    clause: str
    subject: str
    files: tuple[str, ...] = ()
    figure: str = NOTHING_SHOWN
    verdict: str = ""
    not_assessed: str = ""
