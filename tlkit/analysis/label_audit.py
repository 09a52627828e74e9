"""`LabelAudit`: images with probable label errors, most doubtful first, and an upper guess of their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
    """An image whose label is probably wrong.

    Attributes:
        path: of the image, relative to the run's root.
        split: that it belongs to.
        digest: sha256 of the file.
        label: class name in the data set.
        suggested: the class with the largest product of the head's probability and the neighbors' share.
        score: that product for the label, in (0, 1). Small = doubtful. The list is sorted by it.
        proba: the head's out-of-fold probability of each class.
        neighbors: the share of each class among the nearest neighbors.
        issue: whether confident learning calls the label wrong.
        copies: other images that show the same picture; they share a fold with this one.
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
    """Images with probable label errors, and an upper guess of the number of wrong labels.

    Attributes:
        classes: class names, in the order of `proba` and `neighbors`.
        images: how many were audited, by split.
        suspects: the images for which head and neighbors together prefer another class, most doubtful first.
        wrong: upper guess of the number of wrong labels among all images: the share of the clearest images that
            contradict their label, times all. The head's own errors count, so the interval begins at 0. It holds where
            labels of clear images are wrong as often as others; no value where there are too few images.
        accuracy: out-of-fold accuracy of the head, by the labels of the data set.
        head: kind of the head.
        folds: number of folds.
        k: number of nearest neighbors.
        confidence: level of the intervals.
        run: name of the run whose images they are; "" for features from elsewhere.
        strategy: kind of the run's strategy. A backbone that is not frozen has learned the labels, wrong ones too.
        left_out: images that are not judged, by class: those of classes with fewer images than folds.
        measured: accuracy of the run on held-out images; None = not measured.

    Example:
        >>> from tlkit import audit_labels
        >>> audit = audit_labels("runs/pets")
        >>> audit.classes, audit.images["train"]
        (('cat', 'dog'), 36)
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
    run: str = ""
    strategy: str = "frozen"
    left_out: Mapping[str, int] = field(default_factory=dict)
    measured: Estimate | None = None

    @property
    def total(self) -> int:
        """Number of audited images."""
        return sum(self.images.values())

    @property
    def issues(self) -> int:
        """Number of suspects that confident learning also calls wrong."""
        return sum(suspect.issue for suspect in self.suspects)

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the suspects; its notes give the number of wrong labels and its uncertainty."""
        return label_audit_tables(self)

    def table(self) -> pd.DataFrame:
        """Return all suspects as a data frame, most doubtful first, as `tlkit data labels RUN --out` writes it."""
        rows = []
        for rank, one in enumerate(self.suspects, start=1):
            given, better = self.classes.index(one.label), self.classes.index(one.suggested)
            proba = (round(one.proba[given], 4), round(one.proba[better], 4))
            neighbors = (round(one.neighbors[given], 4), round(one.neighbors[better], 4))
            issue, copies = "yes" if one.issue else "", "; ".join(one.copies)
            named = (rank, one.path, one.label, one.suggested, round(one.score, 6))
            rows.append((*named, *proba, *neighbors, issue, copies, one.split, one.digest))
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
        plain = {
            name: values[name] for name in ("images", "head", "folds", "k", "confidence", "run", "strategy", "left_out")
        }
        return cls(
            classes=tuple(values["classes"]),
            suspects=suspects,
            wrong=Estimate.from_dict(values["wrong"]),
            accuracy=Estimate.from_dict(values["accuracy"]),
            measured=Estimate.from_dict(values["measured"]) if values.get("measured") else None,
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
    "neighbors_label",
    "neighbors_suggested",
    "issue",
    "copies",
    "split",
    "digest",
)
