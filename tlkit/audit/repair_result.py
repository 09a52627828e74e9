"""`Repair`: the candidate heads on validation images, the chosen one, and its change on test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tlkit.audit.model_comparison import Comparison
from tlkit.audit.options import AuditOptions
from tlkit.audit.repair_tables import repair_tables
from tlkit.errors import refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1

RepairVerdict = Literal["PASS", "FAIL", "NOT ENOUGH DATA", "NOTHING HELPED"]


@dataclass(frozen=True)
class RepairTrial:
    """One candidate on the validation images, compared with the original head.

    Attributes:
        method: its name.
        learns_from: train or val; one that learns from val is evaluated out of fold.
        at_prediction: whether it needs the attribute of every image at prediction time.
        worst_group: name of its worst group.
        worst: accuracy there, with a Wilson interval.
        change: of the worst group's accuracy against the original head; see `tlkit.stats.worst_group.worst_change`.
        overall: accuracy on all validation images, with a Wilson interval.
        overall_change: against the original head, with Newcombe's interval for pairs.
        helps: whether the whole interval of the change lies above 0 and the overall loss is not beyond the margin.
        seconds: time to fit it.
    """

    method: str
    learns_from: str
    at_prediction: bool
    worst_group: str
    worst: Estimate
    change: Estimate
    overall: Estimate
    overall_change: Estimate
    helps: bool
    seconds: float


@dataclass(frozen=True)
class WorstGroupChange:
    """The worst group of the test images, before and after.

    Attributes:
        before_group: which group it was.
        before: its accuracy, with a Wilson interval.
        after_group: which group it is with the repaired head.
        after: its accuracy, with a Wilson interval.
        change: of the worst group's accuracy, with its interval; see `tlkit.stats.worst_group.worst_change`.
        overall_change: of the accuracy on all of these images, with Newcombe's interval for pairs.
    """

    before_group: str
    before: Estimate
    after_group: str
    after: Estimate
    change: Estimate
    overall_change: Estimate


@dataclass(frozen=True)
class Repair:
    """The result of a repair of a run's head. `tlkit.repair` makes it.

    Attributes:
        parent: name of the run whose head is repaired.
        by: the columns whose intersection with the class forms the groups; empty = the classes alone.
        judged_by: kind of the groups: "class", a column, or their intersection.
        groups: names of those groups.
        verdict: PASS = on test the worst group gained and overall accuracy is not inferior; FAIL = it lost, or overall
            accuracy is inferior; NOT ENOUGH DATA = neither is certain; NOTHING HELPED = no candidate beat the
            original head on val.
        too_few: the groups that cannot be the worst, with their images: on val fewer than `settings.min_group_size`;
            nothing was tried where fewer than two others are left. Or on test none, so that the chosen head is not
            judged. Usually empty.
        trials: the candidates on val, the simpler first.
        before: worst group of the original head on val, and its accuracy; None where nothing was tried.
        chosen: the method chosen on val, or None.
        run: name of the run that holds the repaired head; None where none was written.
        test: the worst group on test; None where nothing was chosen.
        comparison: all, classes and groups of test, before and after, image by image; None where nothing was chosen.
        offsets: what group_offsets adds to the log probabilities, by value of the attribute and class; empty for the
            other methods.
        margin: largest overall loss that is not inferior.
        settings: the options that it was made with: columns, fewest validation images of a group, level of the
            intervals, seed.
        images: images of train, val and test.
        seconds: for fitting all candidates, choosing and judging; without the time for features.
    """

    parent: str
    by: tuple[str, ...]
    judged_by: str
    groups: tuple[str, ...]
    verdict: RepairVerdict
    too_few: Mapping[str, int]
    trials: tuple[RepairTrial, ...]
    before: tuple[str, Estimate] | None
    chosen: str | None
    run: str | None
    test: WorstGroupChange | None
    comparison: Comparison | None
    offsets: Mapping[str, Mapping[str, float]]
    margin: float
    settings: AuditOptions
    images: Mapping[str, int]
    seconds: float

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: the worst group before and after, the changes on test, the candidates."""
        return repair_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        comparison = self.comparison.to_dict() if self.comparison else None
        return {"version": FORMAT_VERSION, **to_plain(self), "comparison": comparison}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Repair:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("This repair was", values["version"], known=FORMAT_VERSION)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"Repair({self.parent}: {self.verdict}; {len(self.trials)} candidates, chosen {self.chosen or 'none'})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
