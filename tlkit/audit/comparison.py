"""`Comparison`: how two models differ on the same images, overall, class by class and group by group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from tlkit.audit.cells import by_problems
from tlkit.audit.pairing import Mask, Paired, pair
from tlkit.errors import PredictionsError, TlkitError, refuse_newer
from tlkit.predictions import Predictions
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.paired import Pairs, detectable_difference, paired_difference, pairs_needed
from tlkit.stats.tests import mcnemar

FORMAT_VERSION = 1
ALL, CLASS = "(all)", "(class)"
FEWEST_SHOWN = 20  # groups of fewer images show their size and nothing else, as in an audit

Change = Literal["better", "worse", "not distinguishable"]


@dataclass(frozen=True)
class ChangeRow:
    """Some of the images, and how the second model does on them beside the first.

    Attributes:
        by: "(all)", "(class)", or a group column.
        name: the class or group; "all images" for all.
        pairs: the images by who was right.
        first: accuracy of the first model with a Wilson interval.
        second: accuracy of the second model with a Wilson interval.
        difference: second minus first, with Newcombe's interval for pairs.
        p: exact McNemar p-value; None where both are right on the same images.
        p_holm: corrected over all classes and groups of the comparison; for all images it is p, a test of its own.
        change: better or worse where p_holm is below alpha; not distinguishable does not mean equal.
        detectable: the smallest difference that so many pairs could have shown (80 % power); None = none at all.
        needed: about how many pairs a difference as large as the one seen would need; None where none was seen, or
            where it was found.
    """

    by: str
    name: str
    pairs: Pairs
    first: Estimate
    second: Estimate
    difference: Estimate
    p: float | None
    p_holm: float | None
    change: Change
    detectable: float | None
    needed: int | None

    @property
    def small(self) -> bool:
        """Whether it is a group of so few images that text shows its size and nothing else."""
        return self.by not in (ALL, CLASS) and self.pairs.n < FEWEST_SHOWN


@dataclass(frozen=True)
class Comparison:
    """How two models differ on the same images. `compare_predictions` makes it.

    Attributes:
        first: name of the first model.
        second: name of the second model.
        images: labelled images that both predicted.
        only_first: images that only the first predicted; left out.
        only_second: images that only the second predicted; left out.
        unlabelled: images of both without a label; left out.
        confidence: two-sided level of the intervals, in (0, 1).
        alpha: chance of any false alarm among classes and groups, in (0, 1).
        tests: tests of classes and groups that Holm's correction counts.
        rows: all images, then each class, then the groups of each column.
        leaked: how many of the images a model had met in training; they are in all rows.
        without_leaks: the row of all other images, a test of its own; None where none leaked, or all did.
    """

    first: str
    second: str
    images: int
    only_first: int
    only_second: int
    unlabelled: int
    confidence: float
    alpha: float
    tests: int
    rows: tuple[ChangeRow, ...]
    leaked: int = 0
    without_leaks: ChangeRow | None = None

    @property
    def overall(self) -> ChangeRow:
        """The row of all images."""
        return self.rows[0]

    def table(self) -> pd.DataFrame:
        """Return one row per class, group, and all images, as a DataFrame."""
        return pd.DataFrame(
            [
                {
                    "by": row.by, "name": row.name, "n": row.pairs.n,
                    "first": row.first.value, "second": row.second.value,
                    "difference": row.difference.value, "low": row.difference.low, "high": row.difference.high,
                    "only_first_right": row.pairs.first, "only_second_right": row.pairs.second, "p": row.p,
                    "p_holm": row.p_holm, "change": row.change,
                }
                for row in self.rows
            ]
        )  # fmt: skip

    def summary_rows(self) -> list[tuple[str, ...]]:
        """Return all rows as text, one tuple a row, the header first."""
        from tlkit.audit.comparison_words import summary_rows

        return summary_rows(self)

    def sentences(self) -> list[str]:
        """Return what changed, and what could not be told, in plain English."""
        from tlkit.audit.comparison_words import sentences

        return sentences(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with every number, also those of small groups; `from_dict` reads them back."""
        values = asdict(self)
        return {"version": FORMAT_VERSION, "complete": True, **values, "rows": list(values["rows"])}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Comparison:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit, or published without the numbers of small groups.
        """
        if not values.get("complete", True):
            raise TlkitError(
                "This comparison was published without the numbers of small groups, so it cannot be read back. Use "
                "what `Comparison.to_dict` returns."
            )
        refuse_newer("This comparison was", values["version"], known=FORMAT_VERSION)
        clean = values.get("without_leaks")
        read = {
            "rows": tuple(_row_from_dict(row) for row in values["rows"]),
            "without_leaks": None if clean is None else _row_from_dict(clean),
        }
        return cls(**{key: value for key, value in values.items() if key not in ("version", "complete")} | read)

    def __repr__(self) -> str:
        one = self.overall
        change = f"accuracy {one.first.format()} → {one.second.format()}, {one.change}"
        return f"Comparison({self.first} with {self.second}: {self.images} images, {change})"

    def _repr_html_(self) -> str:
        from tlkit.audit.comparison_words import comparison_html

        return comparison_html(self)


def compare_predictions(
    first: Predictions,
    second: Predictions,
    *,
    by: str | Sequence[str] | None = None,
    names: tuple[str, str] = ("first", "second"),
    leaked: Collection[str] = (),
    confidence: float = 0.95,
    alpha: float = 0.05,
) -> Comparison:
    """Compare two models on the images that both predicted: overall, for each class, and for each group.

    Every comparison is paired, image by image, so that hard images cancel out: exact McNemar tests, corrected by Holm's
    method over classes and groups, and Newcombe's interval for pairs.

    Args:
        first: predictions of one model, such as the one in use.
        second: predictions of another one on the same images; matched by path, classes by name.
        by: group columns; default: all columns of either table that do not look like identifiers.
        names: what to call the two.
        leaked: paths of images that either model had met in training: counted as all others, and compared without.
        confidence: two-sided level of the intervals, in (0, 1).
        alpha: chance of any false alarm among classes and groups, in (0, 1).

    Raises:
        PredictionsError: no image is common to both, they disagree about a label, or a column is not there.

    Example:
        >>> images = {"classes": ["cat", "dog"], "path": [str(i) for i in range(100)], "y_true": [0] * 100}
        >>> old = Predictions.build(**images, y_pred=[1] * 30 + [0] * 70)
        >>> new = Predictions.build(**images, y_pred=[1] * 15 + [0] * 85)
        >>> found = compare_predictions(old, new)
        >>> found.overall.difference.format(), found.overall.change
        ('0.150 [0.078, 0.226]', 'better')
    """
    paired = pair(first, second, names=names)
    seen = np.isin(paired.path.astype(str), list(leaked)) if leaked else np.zeros(len(paired), dtype=bool)
    columns = _columns(paired, by)
    parts = [(ALL, "all images", np.ones(len(paired), dtype=bool))]
    parts += [(CLASS, str(name), np.asarray(paired.label == name)) for name in sorted(set(paired.label.tolist()))]
    for column in columns:
        parts += paired.groups_of(column)
    counted = [(kind, name, paired.counted(rows)) for kind, name, rows in parts if rows.any()]
    tests = [mcnemar(pairs.first, pairs.second) for _, _, pairs in counted]
    p = [None if test is None else test.p for test in tests]
    adjusted = [p[0], *holm(p[1:])]
    rows = [
        _row(kind, name, pairs, p=p[i], p_holm=adjusted[i], confidence=confidence, alpha=alpha)
        for i, (kind, name, pairs) in enumerate(counted)
    ]
    return Comparison(
        first=names[0],
        second=names[1],
        images=len(paired),
        only_first=paired.only_first,
        only_second=paired.only_second,
        unlabelled=paired.unlabelled,
        confidence=confidence,
        alpha=alpha,
        tests=sum(value is not None for value in p[1:]),
        rows=tuple(rows),
        leaked=int(seen.sum()),
        without_leaks=_without_leaks(paired, ~seen, confidence=confidence, alpha=alpha) if seen.any() else None,
    )


def _without_leaks(paired: Paired, clean: Mask, *, confidence: float, alpha: float) -> ChangeRow | None:
    """Return the row of the images that did not leak; None where all did."""
    if not clean.any():
        return None
    pairs = paired.counted(clean)
    test = mcnemar(pairs.first, pairs.second)
    p = None if test is None else test.p
    return _row(ALL, "without leaks", pairs, p=p, p_holm=p, confidence=confidence, alpha=alpha)


def _row_from_dict(values: Mapping[str, Any]) -> ChangeRow:
    estimates = {name: Estimate.from_dict(values[name]) for name in ("first", "second", "difference")}
    return ChangeRow(**{**values, "pairs": Pairs(**values["pairs"]), **estimates})


def _columns(paired: Paired, by: str | Sequence[str] | None) -> list[str]:
    if by is None:
        return [column for column in paired.groups.columns if not by_problems(paired.groups, [column])]
    columns = [by] if isinstance(by, str) else list(dict.fromkeys(by))
    if columns and (problems := by_problems(paired.groups, columns)):
        raise PredictionsError(*problems)
    return columns


def _row(
    kind: str, name: str, pairs: Pairs, *, p: float | None, p_holm: float | None, confidence: float, alpha: float
) -> ChangeRow:
    change: Change = "not distinguishable"
    if p_holm is not None and p_holm < alpha:
        change = "better" if pairs.second > pairs.first else "worse"
    share = pairs.discordant / pairs.n
    difference = paired_difference(pairs, confidence)
    assert difference.value is not None, "a row has images"
    open_ = change == "not distinguishable"
    return ChangeRow(
        by=kind,
        name=name,
        pairs=pairs,
        first=wilson(pairs.both + pairs.first, pairs.n, confidence),
        second=wilson(pairs.both + pairs.second, pairs.n, confidence),
        difference=difference,
        p=p,
        p_holm=p_holm,
        change=change,
        detectable=detectable_difference(pairs.n, share, alpha=alpha),
        needed=pairs_needed(difference.value, share, alpha=alpha) if open_ else None,
    )
