"""Thresholds by label, chosen on val with intervals, and applied to other images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import CONFIDENCE, SEED
from tlkit.errors import PredictionsError
from tlkit.evaluation.clustered_figures import units_of
from tlkit.evaluation.label_tables import threshold_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions import MultilabelPredictions
from tlkit.predictions.image_columns import require_apart
from tlkit.predictions.multilabel_predictions import THRESHOLD
from tlkit.stats.bootstrap import CHUNK_CELLS
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

LEAST_POSITIVES = 5
"""With fewer images with a label, its threshold stays at 0.5."""
REPLICATES = 500


@dataclass(frozen=True)
class LabelThreshold:
    """The threshold of one label.

    Attributes:
        label: its name.
        threshold: from this probability on the label is predicted; its interval shows how much the choice depends on
            the images. 0.5 without an interval where val has too few images to choose.
        positives: images of val with the label.
        f1: F1 on val at the threshold: too high for other images, since the threshold was chosen on these. None where
            it is undefined.
    """

    label: str
    threshold: Estimate
    positives: int
    f1: float | None


@dataclass(frozen=True)
class LabelThresholds:
    """Thresholds by label, as `choose_thresholds` returns them.

    Attributes:
        thresholds: one for each label.
        images: images of val.
        confidence: level of the intervals.
    """

    thresholds: tuple[LabelThreshold, ...]
    images: int
    confidence: float

    @property
    def values(self) -> dict[str, float]:
        """The threshold of each label."""
        return {one.label: float(one.threshold.value or 0.0) for one in self.thresholds}

    def apply(self, predictions: MultilabelPredictions) -> MultilabelPredictions:
        """Return predictions whose labels are predicted from these thresholds on; their true labels are not read.

        Raises:
            PredictionsError: they have no probabilities, or a label that has no threshold.
        """
        return predictions.with_thresholds(self.values)

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the thresholds."""
        return threshold_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return dict(to_plain(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelThresholds:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def choose_thresholds(
    val: MultilabelPredictions,
    *,
    cluster_by: str | None = None,
    confidence: float = CONFIDENCE,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> LabelThresholds:
    """Return the threshold of each label with the highest F1 on val.

    Thresholds lie halfway between two neighbouring probabilities; of equally good ones the nearest to 0.5 is taken. The
    optimal threshold of F1 is half the F1 that it attains (Lipton, Elkan & Naryanaswamy 2014, ECML PKDD, LNCS 8725:225,
    theorem 1), so it differs between labels. The interval is the percentile interval of the bootstrap of images or
    clusters. A maximum over steps is no smooth function of the sample, so the interval is a measure of stability and
    its level is approximate.

    Args:
        val: predictions with true labels and probabilities, of images that are in no later test.
        cluster_by: group column of the clusters, which are resampled whole; None = independent images.
        confidence: level of the intervals, in (0, 1).
        replicates: number of resamples.
        seed: seed of the resamples.

    Raises:
        PredictionsError: there are no probabilities or no true labels.
    """
    if val.proba is None:
        raise PredictionsError("Thresholds are chosen on probabilities (columns proba_<label>), which val lacks.")
    if not val.known.any():
        raise PredictionsError(f"None of the {len(val)} images of val has a true label, so no threshold can be chosen.")
    unit = np.arange(len(val), dtype=np.int64)
    if cluster_by is not None:
        if cluster_by not in val.groups.columns:
            raise PredictionsError(f"cluster_by names {cluster_by!r}, which is no group column of val.")
        unit = units_of(val.groups, cluster_by).unit
    drawn = np.random.default_rng(seed).multinomial(
        count := int(unit.max()) + 1, np.full(count, 1 / count), size=replicates
    )
    found = []
    for column, label in enumerate(val.labels):
        known = val.known[:, column]
        positive = val.y_true[known, column] == 1
        found.append(
            _threshold(label, val.proba[known, column], positive, drawn=drawn[:, unit[known]], confidence=confidence)
        )
    return LabelThresholds(tuple(found), len(val), confidence)


def thresholds_for(
    test: MultilabelPredictions,
    val: MultilabelPredictions,
    *,
    cluster_by: str | None = None,
    confidence: float = CONFIDENCE,
) -> LabelThresholds:
    """Return the thresholds chosen on val, after checking that no image of val is among those of test.

    Raises:
        PredictionsError: images are in both, or what `choose_thresholds` raises.
    """
    require_apart(val.path, test.path, purpose="where thresholds are chosen")
    return choose_thresholds(val, cluster_by=cluster_by, confidence=confidence)


def _threshold(label: str, score: Floats, positive: Mask, *, drawn: Ints, confidence: float) -> LabelThreshold:
    positives, n = int(positive.sum()), len(score)
    order = np.argsort(-score, kind="stable")
    ranked, truly = score[order], positive[order]
    last = np.append(ranked[1:] != ranked[:-1], True) if n else np.zeros(0, dtype=np.bool_)
    cuts = (ranked[last] + np.append(ranked[last][1:], 0.0)) / 2  # the label is predicted for all above a cut

    def best(weights: Floats) -> tuple[Ints, Floats]:
        """Return the place of the best cut for each row of weights, shape (B,), and its F1."""
        true = np.cumsum(weights * truly, axis=1)
        called = np.cumsum(weights, axis=1)
        with np.errstate(invalid="ignore"):
            f1 = np.nan_to_num((2 * true / (called + true[:, -1:]))[:, last])
        top = f1.max(axis=1, keepdims=True)
        away = np.where(f1 >= top - 1e-12, np.abs(cuts - THRESHOLD), np.inf)
        return away.argmin(axis=1), top[:, 0]

    if positives < LEAST_POSITIVES or positives == n:
        called = score >= THRESHOLD
        both = positives + int(called.sum())
        why = "all images have it" if positives == n and n else f"fewer than {LEAST_POSITIVES} images with the label"
        kept = Estimate(THRESHOLD, None, None, n=n, note=f"not chosen: {why}")
        return LabelThreshold(label, kept, positives, 2 * int((called & positive).sum()) / both if positives else None)
    place, f1 = best(np.ones((1, n)))
    value = float(cuts[place[0]])
    chosen, chunk = [], max(1, CHUNK_CELLS // n)
    for start in range(0, len(drawn), chunk):
        weights = drawn[start : start + chunk][:, order].astype(np.float64)
        chosen.append(cuts[best(weights[(weights @ truly) > 0])[0]])
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(chosen), [tail, 1 - tail])
    ends = min(float(low), value), max(float(high), value)
    return LabelThreshold(label, Estimate(value, *ends, n=n), positives, float(f1[0]))
