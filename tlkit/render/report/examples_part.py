"""Report sections with example images: groups that fail, slices, and the worst images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.audit.error_example_tables import confusion_tables
from tlkit.audit.slices.slice_tables import shortcut_tables, slices_table
from tlkit.render.report.report_page import ExamplesPart, ExamplesSection, Picture, SlicesSection, Strip

if TYPE_CHECKING:
    from tlkit.audit.error_examples import ErrorExample, GroupImages
    from tlkit.audit.slices.slice_report import SliceReport

MOST_GROUPS = 8


def examples_section(
    examples: Sequence[GroupImages], thumbnails: Mapping[str, str], *, without: str = ""
) -> ExamplesSection | None:
    """Return images of the groups that fail because they are worse than their complement; None if there is none."""
    if not examples:
        return None
    lead = [
        "The groups that fail because they are worse than their complement: confusions, images with the highest loss,"
        " and right images with the smallest margin. Look for what they have in common."
    ]
    if without:
        lead.append(without)
    elif not any(shown.near for one in examples for shown in one.wrong):
        lead.append("Run `tlkit slices` to see the training images that they resemble.")
    if len(examples) > MOST_GROUPS:
        lead.append(f"The {MOST_GROUPS} groups with the widest gaps, of {len(examples)}.")
    return ExamplesSection(tuple(lead), tuple(_part(one, thumbnails) for one in examples[:MOST_GROUPS]))


def worst_images_part(
    worst: GroupImages | None, thumbnails: Mapping[str, str], *, without: str = ""
) -> ExamplesPart | None:
    """Return the wrong images, the highest loss first; None if no image is wrong."""
    if worst is None or not worst.wrong:
        return None
    part = _part(worst, thumbnails)
    return replace(part, line=f"{part.line} {without}".rstrip())


def slices_section(
    report: SliceReport | None, thumbnails: Mapping[str, str], *, without: str = ""
) -> SlicesSection | None:
    """Return the slices; None if they were not searched for."""
    if report is None:
        return None
    shown = [one.images for one in report.confirmed if one.images is not None]
    return SlicesSection(
        verdict=f"{len(report.confirmed)} confirmed",
        mark="bad" if report.confirmed else "good" if not report.slices else "open",
        lead=(without,) if without else (),
        slices=slices_table(report),
        parts=tuple(_part(one, thumbnails) for one in shown),
        shortcuts=shortcut_tables(report),
    )


def _part(one: GroupImages, thumbnails: Mapping[str, str]) -> ExamplesPart:
    strips = []
    if one.wrong:
        caption = f"{len(one.wrong)} of {one.errors:,} wrong images, the highest loss first"
        if any(shown.near for shown in one.wrong):
            caption += "; below each its nearest training images, then the nearest right image of its class"
        strips.append(Strip(caption, tuple(_picture(shown, thumbnails) for shown in one.wrong)))
    if one.close:
        strips.append(Strip("Right, with the smallest margins", tuple(_picture(s, thumbnails) for s in one.close)))
    return ExamplesPart(
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
