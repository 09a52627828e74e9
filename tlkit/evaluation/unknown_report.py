"""`UnknownReport`: thresholds for unknown images, false alarms by group, and detection of given foreign images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tlkit.arrays import Floats
from tlkit.choices import OodScoreName
from tlkit.errors import DataError, refuse_newer
from tlkit.evaluation.unknown_tables import unknown_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.stats.ood_detection import Detection
from tlkit.stats.unknown_threshold import UnknownThreshold
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ScoreThreshold:
    """The threshold of one score.

    Attributes:
        score: which.
        threshold: from the validation images.
        held_out: share of the held-out images beyond it: false alarms; without a value where there are none.
    """

    score: OodScoreName
    threshold: UnknownThreshold
    held_out: Estimate


@dataclass(frozen=True)
class GroupUnknown:
    """False alarms in a group of in-distribution images.

    Attributes:
        by: the group column; "class" for the true class.
        group: its value.
        n: images.
        unknown: images that are called unknown.
        rate: their share; without a value where the group is too small.
    """

    by: str
    group: str
    n: int
    unknown: int
    rate: Estimate


@dataclass(frozen=True)
class ForeignSet:
    """Detection of one set of foreign images by one score.

    Attributes:
        name: of the set.
        score: which.
        n: different images.
        detection: AUROC and FPR95 against the held-out images.
        unknown: share of the set that is beyond the threshold.
    """

    name: str
    score: OodScoreName
    n: int
    detection: Detection
    unknown: Estimate


@dataclass(frozen=True, eq=False, repr=False)
class UnknownReport:
    """Thresholds beyond which images are called unknown, and what they do.

    Attributes:
        run: name of the run.
        score: the one whose threshold `tlkit predict --unknown` uses.
        wanted: rate of false alarms that the thresholds are for.
        thresholds: of every score that the model gives.
        known: split of the in-distribution images that the rates are measured on: "test", or "val" where there is no
            test split. The thresholds come from val, so that its rates are no independent measurement.
        groups: false alarms by class and by group column.
        foreign: detection of the given sets.
        scores: of the chosen score by set: "val", "test" and the names of the foreign sets, each (N,).
        reference: training images that the scores compare with.
        clusters: whether images form clusters, of which one image each counts for the thresholds.
        stored: whether the threshold was stored with the model.
        confidence: level of the intervals.
        left_out: scores that the model does not give, with the reasons.
    """

    run: str
    score: OodScoreName
    wanted: float
    thresholds: tuple[ScoreThreshold, ...]
    known: str
    groups: tuple[GroupUnknown, ...]
    foreign: tuple[ForeignSet, ...]
    scores: Mapping[str, Floats]
    reference: int
    clusters: bool
    stored: bool
    confidence: float
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def threshold(self) -> UnknownThreshold:
        """The threshold of the chosen score."""
        return next(one.threshold for one in self.thresholds if one.score == self.score)

    def with_foreign_of(self, earlier: UnknownReport) -> UnknownReport:
        """Return this report with foreign sets of an earlier one, if it has none and the thresholds are the same."""
        limits = [
            (one.score, [(each.score, each.threshold.value) for each in one.thresholds]) for one in (self, earlier)
        ]
        if self.foreign or not earlier.foreign or limits[0] != limits[1]:
            return self
        names = {one.name for one in earlier.foreign}
        scores = {name: values for name, values in earlier.scores.items() if name in names}
        return replace(self, foreign=earlier.foreign, scores={**self.scores, **scores})

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: thresholds, false alarms by group, detection of the foreign sets."""
        return unknown_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UnknownReport:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        version = values["format_version"]
        refuse_newer("This report on unknown images was", version, known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"UnknownReport({self.run}, {self.score}, false alarms {self.threshold.false_alarms.format()})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
