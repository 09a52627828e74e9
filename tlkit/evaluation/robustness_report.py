"""`RobustnessReport`: accuracy under corruptions, paired with that of the clean images, and the worst groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tlkit.errors import DataError, refuse_newer
from tlkit.evaluation.robustness_tables import robustness_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
RobustnessVerdict = Literal["LOSS", "NO LOSS BEYOND TOLERANCE", "NOT ENOUGH DATA"]


@dataclass(frozen=True)
class SeverityFigures:
    """One corruption at one severity.

    Attributes:
        severity: 1 to 5.
        value: of the corruption's parameter.
        accuracy: under the corruption.
        change: accuracy under the corruption minus clean accuracy, on the same images, in [-1, 1].
        p: p-value of the test of equal accuracy: McNemar's, or that of the clusters; None where no image changes sides.
        p_holm: after Holm's correction over all corruptions and severities.
        certain_loss: whether `p_holm` is at most alpha and the accuracy is lower.
        consistency: share of images whose predicted class is that of the clean image.
    """

    severity: int
    value: float
    accuracy: Estimate
    change: Estimate
    p: float | None
    p_holm: float | None
    certain_loss: bool
    consistency: Estimate


@dataclass(frozen=True)
class WorstCorruptedGroup:
    """The group with the lowest accuracy under a corruption.

    Attributes:
        by: its column, or columns joined by " × ".
        group: its values.
        groups: how many groups were large enough.
        accuracy: of the group under the corruption.
        change: against the clean images of the group.
        extra: the group's change minus that of all other images, in [-2, 2]; below 0 = it loses more than they do.
    """

    by: str
    group: str
    groups: int
    accuracy: Estimate
    change: Estimate
    extra: Estimate


@dataclass(frozen=True)
class CorruptionResult:
    """One corruption at all severities.

    Attributes:
        name: of the corruption.
        parameter: what the values mean.
        source: where the values are from.
        severities: the figures, by severity.
        mean_change: change of accuracy, averaged over the severities.
        first_loss: the lowest severity at which a loss is certain; None = at none.
        verdict: LOSS; NO LOSS BEYOND TOLERANCE where every interval of a change ends above minus the tolerance.
        worst: the worst group at `RobustnessReport.group_severity`; None without groups that are large enough.
    """

    name: str
    parameter: str
    source: str
    severities: tuple[SeverityFigures, ...]
    mean_change: Estimate
    first_loss: int | None
    verdict: RobustnessVerdict
    worst: WorstCorruptedGroup | None


@dataclass(frozen=True, repr=False)
class RobustnessReport:
    """Accuracy of a run on one split under corruptions.

    Attributes:
        run: name of the run.
        split: that was judged.
        n: readable images.
        clean: accuracy of the images as they are.
        corruptions: the results, in the order that was given.
        tests: number of tests that Holm's correction counts.
        alpha: chance of any false alarm among them.
        tolerance: loss that is tolerated.
        detectable: smallest loss that McNemar's test finds in 80 % of cases at `alpha`, if a tenth of the images change
            sides; None where it finds none, or where images are in clusters.
        columns: group columns that were searched for the worst group.
        min_group_size: fewest images of a group.
        group_severity: severity at which groups are compared.
        clusters: column of clusters; "" = independent images.
        trained_on: whether the model was trained on these images.
        seed: of the corruptions.
        confidence: level of the intervals.
    """

    run: str
    split: str
    n: int
    clean: Estimate
    corruptions: tuple[CorruptionResult, ...]
    tests: int
    alpha: float
    tolerance: float
    detectable: float | None
    columns: tuple[str, ...]
    min_group_size: int
    group_severity: int
    clusters: str
    trained_on: bool
    seed: int
    confidence: float

    def corruption(self, name: str) -> CorruptionResult:
        """Return the result of one corruption.

        Raises:
            KeyError: it was not applied.
        """
        return {one.name: one for one in self.corruptions}[name]

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: a summary by corruption, every severity, and the worst groups."""
        return robustness_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RobustnessReport:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This robustness report was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"RobustnessReport({self.run}, {self.split}: {self.n} images, {len(self.corruptions)} corruptions)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
