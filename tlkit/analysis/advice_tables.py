"""The tables of an `Advice`: the ranking of backbones, and the backbones without a rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.analysis.advice import Advice, AdvisedBackbone


def advice_tables(advice: Advice) -> tuple[Table, ...]:
    """Return the ranking, with notes on its meaning, and, where there are any, the backbones without a rank."""
    left_out = Table(
        name="left_out",
        title="Left out",
        columns=(Column("name", "backbone"), Column("weights", "weights"), Column("reason", "why")),
        rows=tuple((one.name, one.weights, one.reason) for one in advice.left_out),
    )
    return (_ranking(advice), *([left_out] if advice.left_out else []))


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
