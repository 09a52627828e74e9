"""`Int8Report`: whether an int8 file is no worse than the float file, overall and for every audited group. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkit.audit.gates.gate_report import GateReport
from tlkit.audit.gates.no_worse import no_worse_rows
from tlkit.audit.groups.intersections import validate_columns
from tlkit.audit.options import AuditOptions
from tlkit.audit.paired_predictions import pair_predictions
from tlkit.audit.row_intervals import overall_accuracy
from tlkit.audit.sampling_design import design_problems
from tlkit.choices import Verdict
from tlkit.errors import PredictionsError
from tlkit.exported.int8_tables import int8_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions import Predictions
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

INT8_TOLERANCE = 0.05
"""Loss of accuracy that int8 may cost by default, overall and in each group."""


@dataclass(frozen=True)
class Int8Report:
    """The loss of accuracy by int8, overall and by group. `judge_int8` makes it, and an export adds what it wrote.

    Attributes:
        split: split of the judged images.
        tolerance: largest loss of accuracy that is tolerated, overall and in each group.
        first: accuracy of the float file.
        second: accuracy of the int8 file.
        changed: images whose predicted class is another one.
        gate: the verdict overall and for each audited group; numbers of small groups are withheld.
        engine: what ran both files, such as "onnxruntime 1.31.1".
        calibration: training images that gave the ranges of the activations.
        float_nodes: nodes left in float.
        tried: for each attempt the number of nodes in float, and the mean change of a probability on training images.
        size: bytes of the int8 network; 0 = not stated.
        float_size: bytes of the float network.
        written: whether the file was written.
    """

    split: str
    tolerance: float
    first: Estimate
    second: Estimate
    changed: int
    gate: GateReport
    engine: str = ""
    calibration: int = 0
    float_nodes: tuple[str, ...] = ()
    tried: tuple[tuple[int, float], ...] = ()
    size: int = 0
    float_size: int = 0
    written: bool = True

    @property
    def verdict(self) -> Verdict:
        """FAIL where a group or all images fail, PASS where all pass, else NOT ENOUGH DATA."""
        return self.gate.verdict

    @property
    def exit_code(self) -> int:
        """0 = PASS, 1 = FAIL, 3 = NOT ENOUGH DATA."""
        return self.gate.exit_code

    @property
    def summary(self) -> str:
        """The verdict with its figures in one line, for a file's metadata."""
        row = self.gate.rows[0]
        groups = self.gate.rows[1:]
        told = ", ".join(
            f"{sum(one.verdict == word for one in groups)} {word}" for word in ("PASS", "FAIL", "NOT ENOUGH DATA")
        )
        change = f"change of accuracy {row.value.format(signed=True)} on {row.n} images, all images {row.verdict}"
        return f"{self.verdict} at a tolerance of {self.tolerance:g}: {change}; groups: {told if groups else 'none'}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without the numbers of small groups; `from_dict` reads them back."""
        return {"verdict": self.verdict, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Int8Report:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def tables(self) -> tuple[Table, ...]:
        """Return what was done, and the verdicts by group."""
        return int8_tables(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())


def judge_int8(
    first: Predictions,
    second: Predictions,
    *,
    split: str,
    tolerance: float = INT8_TOLERANCE,
    options: AuditOptions | None = None,
) -> Int8Report:
    """Return whether an int8 model loses no more accuracy than the tolerance, overall and in every audited group.

    Each verdict is that of the gate "no worse" (`no_worse_rows`): Newcombe's paired interval and McNemar's exact test.
    All must pass, so a PASS needs no correction (an intersection-union test: Berger 1982, Technometrics 24:295). Equal
    predictions do not pass by themselves: on few images they prove little.

    Args:
        first: predictions of the float file, with labels and group columns.
        second: those of the int8 file on the same images.
        split: name of the split, for the tables.
        tolerance: largest loss of accuracy that is tolerated, in [0, 1).
        options: columns, sizes, levels and design of the audit; default: no groups.

    Raises:
        PredictionsError: no image has a label, or a column is not there.
    """
    options = options or AuditOptions()
    paired = pair_predictions(first, second, names=("float32", "int8"))
    problems = (
        validate_columns(paired.groups, options.columns, max_values=options.max_values) if options.columns else []
    )
    problems += design_problems(paired.groups, options)
    if problems:
        raise PredictionsError(*problems)
    rows = no_worse_rows(
        paired, second, by=options.columns, margin=tolerance, where="--int8", options=options, same_passes=False
    )
    before, after = (overall_accuracy(right, None, options) for right in (paired.first_right, paired.second_right))
    gate = GateReport("int8", len(paired), options, tuple(rows))
    return Int8Report(split, tolerance, before, after, int(np.sum(~paired.same)), gate)
