"""`MetricComparison`: any metric of two models or more on the same images, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from tlkit.arrays import Mask
from tlkit.choices import ALPHA, CONFIDENCE, ChangeDirection
from tlkit.errors import PredictionsError, did_you_mean
from tlkit.evaluation.clustered_figures import units_of
from tlkit.evaluation.compared_models import AnyTable, ComparedModels, compared_models
from tlkit.evaluation.metric_comparison_tables import metric_comparison_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import mcnemar
from tlkit.stats.influence import NO_VARIANCE, bounded_estimate, spread_of
from tlkit.stats.measured import Measured, ScoreFacts, paired_spread
from tlkit.stats.paired import Pairs, paired_difference, pairs_needed
from tlkit.stats.power import images_to_resolve
from tlkit.tables import Table, to_html


@dataclass(frozen=True)
class Contender:
    """A model, or the models of one recipe with different seeds.

    Attributes:
        name: of the model or recipe.
        runs: names of its models.
        values: the metric of each; None where it is undefined.
        score: their mean with the interval of the images drawn; for one model, of the model.
        deviation: standard deviation over the seeds; None for one model.
    """

    name: str
    runs: tuple[str, ...]
    values: tuple[float | None, ...]
    score: Estimate
    deviation: float | None


@dataclass(frozen=True)
class MetricChange:
    """The difference of two contenders.

    Attributes:
        first: name of the first.
        second: name of the second.
        difference: second minus first.
        p: p-value of no difference; None where there is no test.
        p_holm: corrected by Holm's method over all pairs.
        change: whether the second is better or worse, by `p_holm`; "not distinguishable" does not mean equal.
        needed: about how many images a test would need to detect a difference of `resolve`, at the level of the first
            step of Holm's method with a power of 80 %; None where nothing varies or no number is enough.
    """

    first: str
    second: str
    difference: Estimate
    p: float | None
    p_holm: float | None
    change: ChangeDirection
    needed: int | None


@dataclass(frozen=True)
class MetricComparison:
    """One metric of several models on the images that all predicted. `compare_metric` makes it.

    Attributes:
        metric: name of the metric.
        title: its title.
        higher_is_better: whether a higher value is better.
        images: labelled images that all models predicted.
        left_out: images that not all predicted.
        unlabelled: images without a label; left out.
        cluster_by: column of the clusters; None = independent images.
        clusters: how many there are.
        weights: column of the weights; None = equal weights.
        confidence: level of the intervals.
        alpha: chance of any false alarm among all pairs.
        resolve: the difference that `needed` is about.
        contenders: models or recipes, in the order given.
        changes: every pair of them.
    """

    metric: str
    title: str
    higher_is_better: bool
    images: int
    left_out: int
    unlabelled: int
    cluster_by: str | None
    clusters: int | None
    weights: str | None
    confidence: float
    alpha: float
    resolve: float
    contenders: tuple[Contender, ...]
    changes: tuple[MetricChange, ...]

    def tables(self) -> tuple[Table, ...]:
        """Return the models, and the pairs with what is not distinguishable."""
        return metric_comparison_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MetricComparison:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def compare_metric(
    models: Mapping[str, AnyTable],
    metric: str | None = None,
    *,
    recipes: Mapping[str, str] | None = None,
    cluster_by: str | None = None,
    weights: str | None = None,
    confidence: float = CONFIDENCE,
    alpha: float = ALPHA,
    resolve: float | None = None,
) -> MetricComparison:
    """Compare a metric of two models or more on the images that all of them predicted.

    Every difference is paired, image by image: its variance is that of the difference of the images' influences on the
    two values, and the test Student's t; for clusters see `spread_of`. For DeLong's test of two AUROCs it is his
    (1988, Biometrics 44:837). The accuracies of two single models on independent images are compared by McNemar's exact
    test and Newcombe's interval. All pairs are tested, corrected by Holm's method.

    Models of one recipe are its seeds: their mean is compared, and the variance of the seeds, s²/k for each recipe, is
    added to that of the images (Bouthillier et al. 2021, MLSys 3:747), with Satterthwaite's degrees of freedom.

    Args:
        models: predictions by the name of the model, two or more, of one task.
        metric: such as "macro_f1", "auroc", "log_loss", "top_5" or "recall:cat"; see `score_names.facts_of`. Of labels,
            grades and numbers see `task_measures.task_facts`. Default: accuracy, or the main figure of the task.
        recipes: name of the recipe of each model that has one in common with others, by the name of the model.
        cluster_by: group column of the clusters.
        weights: group column of the images' weights.
        confidence: two-sided level of the intervals, in (0, 1).
        alpha: chance of any false alarm among all pairs, in (0, 1).
        resolve: the difference for which the number of images is given, above 0; default: 0.02, or for errors in the
            unit of the numbers 5 % of the first model's.

    Raises:
        PredictionsError: there is no such metric or column; a model has no probabilities that it needs; the models have
            no image in common, other classes or other labels; an option is out of its range.

    Example:
        >>> from tlkit.predictions import Predictions
        >>> images = {"classes": ["cat", "dog"], "path": [str(i) for i in range(100)], "y_true": [0] * 50 + [1] * 50}
        >>> old = Predictions.build(**images, y_pred=[1] * 30 + [0] * 20 + [1] * 50)
        >>> new = Predictions.build(**images, y_pred=[1] * 5 + [0] * 45 + [1] * 50)
        >>> found = compare_metric({"old": old, "new": new}, "macro_f1")
        >>> found.changes[0].difference.format(), found.changes[0].change
        ('0.280 [0.186, 0.373]', 'better')
    """
    if len(models) < 2:
        raise PredictionsError(f"A comparison needs two models or more. Got {len(models)}.")
    if problems := [
        f"{name} must be above 0 and below 1. Got {value} instead."
        for name, value in (("confidence", confidence), ("alpha", alpha))
        if not 0.0 < value < 1.0
    ]:
        raise PredictionsError(*problems)
    if resolve is not None and not resolve > 0.0:
        raise PredictionsError(f"resolve must be above 0. Got {resolve} instead.")
    compared = compared_models(models, metric)
    tables, facts, groups = compared.tables, compared.facts, compared.groups
    for option, column in (("cluster_by", cluster_by), ("weights", weights)):
        if column is not None and column not in groups.columns:
            raise PredictionsError(
                f"{option} names {column!r}, which is no group column of the models."
                f"{did_you_mean(column, list(map(str, groups.columns)))}"
            )
    units = None
    if cluster_by is not None or weights is not None:
        units = units_of(groups, cluster_by, weights)
        held = units.weight > 0
        tables, units = {name: table.take(held) for name, table in tables.items()}, units.take(held)
    measured = {name: compared.measure(table, units) for name, table in tables.items()}
    resolve = compared.resolved(next(iter(measured.values())).value) if resolve is None else resolve
    members: dict[str, list[str]] = {}
    for name in tables:
        members.setdefault((recipes or {}).get(name, name), []).append(name)
    sides = [_Side(name, tuple(own), tuple(measured[one] for one in own)) for name, own in members.items()]
    pairs = list(combinations(sides, 2))
    level = alpha / max(len(pairs), 1)
    right = None
    if compared.right is not None and units is None:
        right = {name: compared.right(table) for name, table in tables.items()}
    changes = [
        _change(one, two, units, right, confidence=confidence, level=level, resolve=resolve) for one, two in pairs
    ]
    adjusted = holm([change.p for change in changes])
    n, weighted = len(next(iter(tables.values()))), replace(compared, tables=tables)
    return MetricComparison(
        metric=compared.metric,
        title=facts.title,
        higher_is_better=facts.higher_is_better,
        images=n,
        left_out=compared.left_out,
        unlabelled=compared.unlabelled,
        cluster_by=cluster_by,
        clusters=None if units is None or cluster_by is None else units.clusters,
        weights=weights,
        confidence=confidence,
        alpha=alpha,
        resolve=resolve,
        contenders=tuple(
            _contender(side, weighted, units, confidence=confidence, design=(cluster_by, weights)) for side in sides
        ),
        changes=tuple(
            replace(change, p_holm=p, change=_direction(change, p, facts, alpha))
            for change, p in zip(changes, adjusted, strict=True)
        ),
    )


@dataclass(frozen=True)
class _Side:
    """The measured models of one contender."""

    name: str
    runs: tuple[str, ...]
    measured: tuple[Measured, ...]

    @property
    def why(self) -> str:
        return next((one.why for one in self.measured if one.why), "")

    @property
    def values(self) -> list[float]:
        return [one.value for one in self.measured if one.value is not None]

    def mean(self) -> Measured:
        """Return the mean over the models."""
        first, every = self.measured[0], self.measured
        return replace(
            first,
            value=float(np.mean(self.values)),
            influence=np.mean([one.influence for one in every], axis=0),
            df=min(one.df for one in every),
            unseen=float(np.mean([one.unseen for one in every])),
            bias=float(np.mean([one.bias for one in every])),
        )

    @property
    def seed_variance(self) -> float:
        """Variance of the mean over seeds; 0 for one model, whose variance is unknown."""
        return float(np.var(self.values, ddof=1)) / len(self.values) if len(self.values) > 1 else 0.0


def _contender(
    side: _Side,
    compared: ComparedModels,
    units: Units | None,
    *,
    confidence: float,
    design: tuple[str | None, str | None],
) -> Contender:
    """Return the values of a contender: of one model with the interval of its evaluation, of several their mean."""
    values, first = tuple(one.value for one in side.measured), compared.tables[side.runs[0]]
    n, facts = len(first), compared.facts
    if side.why and (None in values or len(values) > 1):
        middle = None if None in values else float(np.mean(side.values))
        return Contender(side.name, side.runs, values, Estimate(middle, None, None, n=n, note=side.why), None)
    if len(values) == 1:
        return Contender(side.name, side.runs, values, compared.score(first, confidence, *design), None)
    mean = side.mean()
    assert mean.value is not None, "the metric is defined"
    spread = spread_of(mean.influence, units, most_df=mean.df, more_df=mean.more_df, corrected=mean.corrected)
    spread = replace(spread, variance=spread.variance + mean.unseen**2)
    if facts.highest > 1.0 or not np.isfinite(facts.lowest) or not spread.df > 0:
        score = _t_estimate(mean.value, spread.variance, spread.df, n=n, confidence=confidence)
        if score.low is not None:
            score = replace(score, low=max(score.low, facts.lowest))
    else:
        least = n if units is None else units.clusters
        score = bounded_estimate(
            mean.value, spread, n=n, least=least, lowest=facts.lowest, bias=mean.bias, confidence=confidence
        )
    return Contender(side.name, side.runs, values, score, float(np.std(side.values, ddof=1)))


def _t_estimate(value: float, variance: float, df: float, *, n: int, confidence: float) -> Estimate:
    if not (df > 0 and np.isfinite(variance)):
        return Estimate(value, None, None, n=n, note="no interval: too few clusters")
    if variance <= NO_VARIANCE:
        return Estimate(value, None, None, n=n, note="no interval: nothing varies")
    half = float(stdtrit(max(df, 1.0), 0.5 + confidence / 2)) * float(np.sqrt(variance))
    return Estimate(value, value - half, value + half, n=n)


def _change(
    one: _Side,
    two: _Side,
    units: Units | None,
    right: Mapping[str, Mask] | None,
    *,
    confidence: float,
    level: float,
    resolve: float,
) -> MetricChange:
    """Return the difference of two contenders, not yet corrected for several tests."""
    n = len(one.measured[0].influence)
    if why := one.why or two.why:
        undefined = Estimate(None, None, None, n=n, note=why)
        return MetricChange(one.name, two.name, undefined, None, None, "not distinguishable", None)
    if right is not None and len(one.runs) == len(two.runs) == 1:
        pairs = Pairs.from_correct(right[one.runs[0]], right[two.runs[0]])
        test = mcnemar(pairs.first, pairs.second)
        return MetricChange(
            one.name,
            two.name,
            paired_difference(pairs, confidence),
            None if test is None else test.p,
            None,
            "not distinguishable",
            pairs_needed(resolve, pairs.discordant / n, alpha=level) if pairs.discordant else None,
        )
    first, second = one.mean(), two.mean()
    assert first.value is not None and second.value is not None, "the metric is defined"
    spread = paired_spread(first, second, units)
    seeds = [(side.seed_variance, len(side.values) - 1) for side in (one, two) if len(side.values) > 1]
    parts = [(spread.variance, spread.df), *seeds]
    variance = sum(v for v, _ in parts)
    squares = sum(v * v / max(df, 1.0) for v, df in parts)
    df = variance**2 / squares if squares > 0 else spread.df
    difference = _t_estimate(second.value - first.value, variance, df, n=n, confidence=confidence)
    p = None
    if difference.low is not None and difference.value is not None:
        p = float(2 * stdtr(max(df, 1.0), -abs(difference.value) / np.sqrt(variance)))
    fixed, needed = sum(v for v, _ in seeds), None
    if spread.variance > NO_VARIANCE:
        needed = images_to_resolve(spread.variance * n, resolve, fixed=fixed, alpha=level)
    return MetricChange(one.name, two.name, difference, p, None, "not distinguishable", needed)


def _direction(change: MetricChange, p: float | None, facts: ScoreFacts, alpha: float) -> ChangeDirection:
    if p is None or p >= alpha or change.difference.value is None:
        return "not distinguishable"
    return "better" if (change.difference.value > 0) is facts.higher_is_better else "worse"
