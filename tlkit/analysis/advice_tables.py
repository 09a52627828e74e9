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
    if one.reason == "latency":
        return f"{one.seen:.3g} ms per image on this machine, more than {one.limit:.3g} ms"
    return f"the same weights fit {one.rival} better (LogME {one.limit:z.3f}, here {one.seen:z.3f})"


def advice_sentences(advice: Advice) -> list[str]:
    """Return the ranking in sentences: the best backbone, those not distinguishable from it, caveats."""
    best, tied, cheapest = advice.best, advice.tied, advice.suggested
    what = "is the most accurate" if len(advice.backbones) > 1 else "is the only one with a rank"
    images = counted(advice.images, "image")
    sentences = [f"{best.label} {what}: {best.probe.format()} of {images}, out of {advice.folds} folds."]
    behind = len(advice.backbones) - 1 - len(tied)
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


def _ranking(advice: Advice) -> Table:
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
