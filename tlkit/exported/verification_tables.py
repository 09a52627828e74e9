"""Tables of a `Verification`, and the sentences about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.exported.verification import DecodeEffect, Parity, Verification

MOST_NAMED = 20
"""Images that are named in the table of differences."""


def verification_tables(verification: Verification) -> tuple[Table, ...]:
    """Return the comparisons, and where images differ a table that names them."""
    columns: tuple[Column, ...] = (
        Column("subject", "compared", "word"),
        Column("reference", "with", "word"),
        Column("verdict", "verdict", "verdict"),
        Column("images", "images", "count"),
        Column("made", "made", "count"),
        Column("same_label", "same label", "count"),
        Column("largest", "largest |Δp|", "significant", digits=2),
        Column("largest_made", "made", "significant", digits=2),
        Column("movement", "movement", "significant", digits=2),
        Column("relative", "rounding", "significant", digits=2),
    )
    of_masks = any(parity.pixels is not None for parity in verification.parities)
    if of_masks:
        columns += (Column("pixels", "pixels", "count"), Column("other_pixels", "of another class", "count"))
    rows = tuple(
        (
            parity.subject,
            parity.reference,
            parity.verdict,
            parity.images,
            parity.made,
            parity.same_label,
            parity.largest,
            parity.largest_made,
            parity.movement,
            _relative(parity),
            *((parity.pixels, _other_pixels(parity)) if of_masks else ()),
        )
        for parity in verification.parities
    )
    comparisons = Table(
        "parity",
        f"{verification.run}, {verification.split} split: {verification.verdict}",
        columns,
        rows,
        notes=(*_reasons(verification), *_decode_note(verification.decode), *verification.notes, _legend()),
    )
    return (comparisons, _differences(verification)) if verification.differences else (comparisons,)


def _relative(parity: Parity) -> float | None:
    if parity.distance is None or not parity.torch_distance:
        return None
    return parity.distance / parity.torch_distance


def _other_pixels(parity: Parity) -> int | None:
    return None if parity.pixels is None or parity.same_pixels is None else parity.pixels - parity.same_pixels


def _reasons(verification: Verification) -> list[str]:
    return [f"{parity.subject}: {reason}" for parity in verification.parities for reason in parity.reasons]


def _decode_note(effect: DecodeEffect | None) -> list[str]:
    if effect is None or not effect.images or effect.largest is None or effect.median is None:
        return []
    return [
        f"{counted(effect.images, 'large JPEG')} decoded at a reduced scale by tlkit: from a full decode, which "
        f"model.onnx gets, probabilities differ by up to {effect.largest:.2g}, in the median image by "
        f"{effect.median:.2g}, and {effect.other_label} of the classes. A graph cannot imitate the decoder. "
        "Export with --decode full to have tlkit decode every pixel for the exported files, too."
    ]


def _legend() -> str:
    return (
        "made = images of every mode and of extreme sizes, in batches of 1 and 7. movement = largest range of a "
        "probability over the images. rounding = distance from torch in float64, as a multiple of float32 torch's."
    )


def _differences(verification: Verification) -> Table:
    columns = (
        Column("subject", "compared", "word"),
        Column("image", "image"),
        Column("difference", "|Δp|", "significant", digits=2),
        Column("expected", "expected", "word"),
        Column("found", "found", "word"),
    )
    rows = tuple((one.subject, one.image, one.difference, one.expected, one.found) for one in verification.differences)
    return Table("differences", "Images that differ", columns, rows).head(MOST_NAMED)
