"""Images behind gaps and slices, on the page: thumbnails with what they are, were taken for, and resemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.audit.error_example_tables import confusion_tables
from tlkit.audit.slices.slice_tables import shortcut_tables, slices_table
from tlkit.render.report.report_page import Picture, ShownPart, ShownSection, SlicedSection, Strip

if TYPE_CHECKING:
    from tlkit.audit.error_examples import ErrorExample, GroupImages
    from tlkit.audit.slices.slice_report import SliceReport

MOST_GROUPS = 8


def shown_section(
    evidence: Sequence[GroupImages], thumbnails: Mapping[str, str], *, without: str = ""
) -> ShownSection | None:
    """Return the images behind the rows that fail; None where no row fails for being worse than the rest."""
    if not evidence:
        return None
    lead = [
        "The groups that fail for being worse than the rest: what they are taken for, the images with the highest loss,"
        " and those that are only just right. Look for what they share."
    ]
    if without:
        lead.append(without)
    elif not any(shown.near for one in evidence for shown in one.wrong):
        lead.append("Which training images they resemble is known once `tlkit slices` has run.")
    if len(evidence) > MOST_GROUPS:
        lead.append(f"The {MOST_GROUPS} groups with the widest gaps, of {len(evidence)}.")
    return ShownSection(tuple(lead), tuple(_part(one, thumbnails) for one in evidence[:MOST_GROUPS]))


def mistakes_part(
    mistakes: GroupImages | None, thumbnails: Mapping[str, str], *, without: str = ""
) -> ShownPart | None:
    """Return the images that the model gets wrong, the worst first; None where it gets none wrong."""
    if mistakes is None or not mistakes.wrong:
        return None
    part = _part(mistakes, thumbnails)
    return replace(part, line=f"{part.line} {without}".rstrip())


def sliced_section(
    report: SliceReport | None, thumbnails: Mapping[str, str], *, without: str = ""
) -> SlicedSection | None:
    """Return the slices nobody declared; None where nobody has looked."""
    if report is None:
        return None
    shown = [one.images for one in report.confirmed if one.images is not None]
    return SlicedSection(
        verdict=f"{len(report.confirmed)} confirmed",
        mark="bad" if report.confirmed else "good" if not report.slices else "open",
        lead=(without,) if without else (),
        slices=slices_table(report),
        parts=tuple(_part(one, thumbnails) for one in shown),
        shortcuts=shortcut_tables(report),
    )


def _part(one: GroupImages, thumbnails: Mapping[str, str]) -> ShownPart:
    strips = []
    if one.wrong:
        caption = f"{len(one.wrong)} of {one.errors:,} wrong images, the highest loss first"
        if any(shown.near for shown in one.wrong):
            caption += "; small below each: its nearest training images, then the nearest of its class that is right"
        strips.append(Strip(caption, tuple(_picture(shown, thumbnails) for shown in one.wrong)))
    if one.close:
        strips.append(
            Strip("Right, but only just: the smallest margins", tuple(_picture(s, thumbnails) for s in one.close))
        )
    return ShownPart(
        name=one.name,
        line=f"{one.errors:,} of {one.n:,} images are wrong.",
        confusions=confusion_tables(one),
        strips=tuple(strips),
    )


def _picture(shown: ErrorExample, thumbnails: Mapping[str, str]) -> Picture:
    said = f"{shown.y_true}, taken for {shown.y_pred}" if shown.y_true != shown.y_pred else shown.y_true
    if shown.y_true != shown.y_pred and shown.loss is not None:
        said += f" (loss {shown.loss:z.1f})"
    elif shown.margin is not None:
        said += f" (margin {shown.margin:z.2f})"
    near = tuple(
        Picture(
            near.path, thumbnails.get(near.path), f"{'train' if near.split == 'train' else 'right'}: {near.label}", ()
        )
        for near in shown.near
    )
    return Picture(shown.path, thumbnails.get(shown.path), said, near)
