"""`LabelAudit`: the labels that look wrong, most doubtful first, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from tlkit.analysis.label_audit_tables import label_audit_tables
from tlkit.errors import DataError, refuse_newer
from tlkit.features.heads.head_kinds import HeadKind
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Suspect:
    """An image whose label looks wrong.

    Attributes:
        path: of the image, relative to the run's root.
        split: that it belongs to.
        digest: sha256 of the file.
        label: the class that it is given.
        suggested: the class that head and neighbors together prefer.
        score: how well the label fits, above 0 and below 1: the head's probability of the label times the neighbors'
            smoothed share of it. Small = doubtful. The list is sorted by it.
        proba: the head's probability of each class, which has not learnt from this image, nor from its copies.
        neighbors: the share of each class among its nearest neighbors.
        issue: confident learning calls the label wrong.
        copies: other images that show the same picture; they were kept in one fold with this one.
    """

    path: str
    split: str
    digest: str
    label: str
    suggested: str
    score: float
    proba: tuple[float, ...]
    neighbors: tuple[float, ...]
    issue: bool
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class LabelAudit:
    """Which labels look wrong, and about how many are.

    Attributes:
        classes: class names, in the order of `proba` and `neighbors`.
        images: how many were audited, by split.
        suspects: the images for which head and neighbors together prefer another class, most doubtful first.
        wrong: estimated number of wrong labels among all images, with its interval; no value where there are too few.
        accuracy: of the head on images that it had not learnt from, held against the labels as they are.
        head: kind of the head.
        folds: in which the images were predicted.
        k: neighbors that were asked.
        confidence: level of the intervals.
        notes: what a reader has to know, sentences.
    """

    classes: tuple[str, ...]
    images: Mapping[str, int]
    suspects: tuple[Suspect, ...]
    wrong: Estimate
    accuracy: Estimate
    head: HeadKind
    folds: int
    k: int
    confidence: float
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many images were audited."""
        return sum(self.images.values())

    @property
    def issues(self) -> int:
        """How many of the suspects confident learning calls wrong, too."""
        return sum(suspect.issue for suspect in self.suspects)

    def tables(self) -> tuple[Table, ...]:
        """Return the table that shows this audit; its notes say how many labels look wrong, and how sure that is."""
        return label_audit_tables(self)

    def table(self) -> pd.DataFrame:
        """Return all suspects as a data frame, most doubtful first: what `tlkit data labels RUN --out` writes."""
        rows = []
        for rank, one in enumerate(self.suspects, start=1):
            given, better = self.classes.index(one.label), self.classes.index(one.suggested)
            rows.append(
                {
                    "rank": rank,
                    "path": one.path,
                    "label": one.label,
                    "suggested": one.suggested,
                    "score": round(one.score, 6),
                    "p_label": round(one.proba[given], 4),
                    "p_suggested": round(one.proba[better], 4),
                    "neighbours_label": round(one.neighbors[given], 4),
                    "neighbours_suggested": round(one.neighbors[better], 4),
                    "issue": "yes" if one.issue else "",
                    "copies": "; ".join(one.copies),
                    "split": one.split,
                    "digest": one.digest,
                }
            )
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **asdict(self), "images": dict(self.images)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelAudit:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This label audit was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        tuples = ("proba", "neighbors", "copies")
        suspects = tuple(
            Suspect(**{**one, **{name: tuple(one[name]) for name in tuples}}) for one in values["suspects"]
        )
        plain = {name: values[name] for name in ("images", "head", "folds", "k", "confidence")}
        return cls(
            classes=tuple(values["classes"]),
            suspects=suspects,
            wrong=Estimate.from_dict(values["wrong"]),
            accuracy=Estimate.from_dict(values["accuracy"]),
            notes=tuple(values["notes"]),
            **plain,
        )

    def __repr__(self) -> str:
        return f"LabelAudit({len(self.suspects)} suspects of {self.total} images)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())


COLUMNS = (
    "rank",
    "path",
    "label",
    "suggested",
    "score",
    "p_label",
    "p_suggested",
    "neighbours_label",
    "neighbours_suggested",
    "issue",
    "copies",
    "split",
    "digest",
)
