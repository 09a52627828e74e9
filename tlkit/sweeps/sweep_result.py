"""`SweepResult`: the trials of a sweep, its winner, and the winner against the default recipe on unseen images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tlkit.audit.model_comparison import Comparison
from tlkit.choices import CONFIDENCE
from tlkit.errors import RunError, refuse_newer
from tlkit.evaluation.metric_comparison import MetricComparison
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.sweeps.sweep_tables import sweep_tables, verdict_sentence
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
TrialState = Literal["complete", "pruned", "failed", "unfinished"]


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        number: its number, which names its run.
        state: complete, pruned, failed, or unfinished.
        figure: of val; None where it has none.
        settings: the searched keys with their values, as YAML text.
        starts: how often it was started: more than once where its process was killed or stopped.
        seconds: its last start took so long; None where it has not ended.
        reason: why it failed; else "".
    """

    number: int
    state: TrialState
    figure: Estimate | None
    settings: dict[str, str]
    starts: int
    seconds: float | None
    reason: str = ""


@dataclass(frozen=True)
class Importance:
    """Share of the variance of the figure over the trials that a key explains.

    Attributes:
        key: dotted recipe key.
        share: mean over several random forests, 0 to 1; the shares of all keys sum to 1.
        low: smallest of them.
        high: largest of them.
    """

    key: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class SweepResult:
    """What a sweep has found. `run_sweep` makes it.

    Attributes:
        name: of the sweep.
        metric: that chose on val.
        higher_is_better: whether a higher value of it is better.
        trials: by number.
        default: the figure of the default recipe on val.
        best: number of the winner; None where no trial is complete.
        importances: most important key first; empty with fewer than 10 complete trials.
        split: the split that judged the winner: "test"; None where there is none, or no winner.
        judged: default and winner on it by the metric, paired; None where they were not judged.
        comparison: their accuracy overall, by class and by group, as `tlkit compare` has it; None likewise.
        confidence: level of the intervals, in (0, 1): that of the default recipe.
    """

    name: str
    metric: str
    higher_is_better: bool
    trials: tuple[TrialRow, ...]
    default: Estimate
    best: int | None
    importances: tuple[Importance, ...] = ()
    split: str | None = None
    judged: MetricComparison | None = None
    comparison: Comparison | None = None
    confidence: float = CONFIDENCE

    @property
    def winner(self) -> TrialRow | None:
        """The best trial on val."""
        return next((row for row in self.trials if row.number == self.best), None)

    @property
    def verdict(self) -> str:
        """Whether the winner is better than the default recipe, in a sentence."""
        return verdict_sentence(self)

    def tables(self, *, most_rows: int | None = 10) -> tuple[Table, ...]:
        """Return the trials, best first, the importance of the keys, and the winner against the default.

        Args:
            most_rows: trials to show; None = all.
        """
        return sweep_tables(self, most_rows=most_rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        found = {"format_version": FORMAT_VERSION, **to_plain(self), "verdict": self.verdict}
        return found | {"comparison": None if self.comparison is None else self.comparison.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SweepResult:
        """Read what `to_dict` wrote.

        Raises:
            RunError: a newer tlkit wrote it.
        """
        refuse_newer("This sweep was", values["format_version"], known=FORMAT_VERSION, error=RunError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"SweepResult({self.name}: {len(self.trials)} trials, best {self.best})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def best_of(trials: tuple[TrialRow, ...], *, higher_is_better: bool) -> int | None:
    """Return the number of the complete trial with the best figure; of equal ones the first."""
    values = [
        (row.figure.value if higher_is_better else -row.figure.value, -row.number)
        for row in trials
        if row.state == "complete" and row.figure is not None and row.figure.value is not None
    ]
    return -max(values)[1] if values else None
