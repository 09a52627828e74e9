"""The tables of an `Advice`: the ranking of backbones, and the backbones without a rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.analysis.advice import Advice, AdvisedBackbone, LeftOut


def advice_tables(advice: Advice) -> tuple[Table, ...]:
    """Return the ranking, with notes on its meaning, and, where there are any, the backbones without a rank."""
    left_out = Table(
        name="left_out",
        title="Left out",
        columns=(Column("name", "backbone"), Column("weights", "weights"), Column("reason", "why")),
        rows=tuple((one.name, one.weights, left_out_reason(one)) for one in advice.left_out),
    )
    return (_ranking(advice), *([left_out] if advice.left_out else []))


def left_out_reason(one: LeftOut) -> str:
    """Return in words why a backbone has no rank."""
    if isinstance(one.seen, str):
        allowed = ", ".join(one.limit) if isinstance(one.limit, tuple) else ""
        return f"its license is {one.seen}, and only {allowed} is allowed" if one.reason == "license" else one.seen
    if one.seen is None or not isinstance(one.limit, float | int):
        features = "its features are not all finite numbers"
        return features if one.reason == "not finite" else "it gives the same features for every image"
    if one.reason == "parameters":
        return f"{one.seen / 1e6:.3g} million parameters, more than {one.limit / 1e6:.3g} million"
    return f"the same weights fit {one.rival} better (LogME {one.limit:z.3f}, here {one.seen:z.3f})"


def advice_sentences(advice: Advice) -> list[str]:
    """Return the ranking in sentences: the best backbone, those not distinguishable from it, caveats."""
    best, tied, cheapest = advice.best, advice.tied, advice.suggested
    several = len(advice.candidates) > 1
    what = "is the most accurate" if several else "is the only one with a rank"
    if advice.over_budget and not best.over_budget:
        what = f"{'is the most accurate' if several else 'is the only one'} within the budget"
    images = counted(advice.images, "image")
    sentences = [f"{best.label} {what}: {best.probe.format()} of {images}, out of {advice.folds} folds."]
    sentences += _budget_sentences(advice)
    behind = len(advice.candidates) - 1 - len(tied)
    if behind:
        others = f"{behind} other{'s' if behind > 1 else ''}"
        others = others if tied else "the other" if behind == 1 else "each of the others"
        sentences.append(f"It is ahead of {others} by more than chance (McNemar's test, Holm, 5 %).")
    if tied:
        names = ", ".join(backbone.label for backbone in (best, *tied))
        sentences.append(
            f"Not distinguishable: {names}; the cheapest of them is {cheapest.label} "
            f"({cheapest.latency_ms.value:.3g} ms)."
        )
    regularized = [backbone.label for backbone in advice.backbones if backbone.strongly_regularized]
    if regularized:
        sentences.append(
            f"{first_few(regularized)}: trained with label smoothing, mixup and the like, which often makes worse "
            "fixed features (Kornblith, Shlens & Le 2019, CVPR). Fine-tuning may rank them differently."
        )
    cost = f"Latency: one image on {advice.machine}. GMACs: torch's FlopCounterMode, at the image size stated."
    return [*sentences, cost]


def _budget_sentences(advice: Advice) -> list[str]:
    """Return how many backbones are over the budget, and which one comes nearest where all are."""
    over, limit = advice.over_budget, advice.max_latency_ms
    if not over or limit is None:
        return []
    measured = "by the whole interval of each of several measurements"
    if not advice.best.over_budget:
        return [f"Over the budget of {limit:.3g} ms, {measured}: {', '.join(one.label for one in over)}."]
    fastest = advice.pareto[0]
    return [
        f"No backbone is within the budget of {limit:.3g} ms on this machine, {measured}; the nearest is "
        f"{fastest.label} ({fastest.latency_ms.value:.3g} ms). The ranking is of backbones over the budget."
    ]


def _ranking(advice: Advice) -> Table:
    limit = advice.max_latency_ms
    budget = [Column("budget", f"budget {limit:.3g} ms", "word")] if limit is not None else []
    return Table(
        name="backbones",
        title="Backbones",
        columns=(
            Column("backbone", "backbone"),
            Column("probe", "probe", "estimate"),
            Column("knn", "5 nearest", "estimate"),
            Column("log_me", "LogME", "number"),
            Column("parameters", "parameters", "significant", unit="million"),
            Column("gmacs", "GMACs", "significant"),
            Column("image_size", "image size", "word", unit="px"),
            Column("latency_ms", "latency", "estimate", unit="ms per image", digits=1),
            *budget,
            Column("images_per_s", "images/s", "significant"),
            Column("license", "license"),
        ),
        rows=tuple(
            (
                one.label,
                one.probe,
                one.knn,
                one.log_me,
                one.parameters / 1e6,
                None if one.macs is None else one.macs / 1e9,
                _size(one),
                one.latency_ms,
                *(["OVER" if one.over_budget else "within"] if budget else []),
                one.images_per_s,
                one.license,
            )
            for one in advice.backbones
        ),
        notes=(*advice_sentences(advice), f"For the recipe: {advice.recipe()}"),
    )


def _size(backbone: AdvisedBackbone) -> str:
    height, width = backbone.image_size
    return str(height) if height == width else f"{height}x{width}"
