"""Sections with images: those of failing groups, slices, and the worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.audit.error_example_tables import confusion_tables
from tlkit.audit.slices.slice_tables import shortcut_tables, slices_table
from tlkit.render.report.page_section import Fold, Grid, PageSection, Part, Picture, PictureGallery, VerdictBadge, Words

if TYPE_CHECKING:
    from tlkit.audit.error_examples import ErrorExample, GroupImages
    from tlkit.render.report.page_section import Block
    from tlkit.render.report.run_contents import ReportImages, RunContents

MOST_GROUPS = 8
METHODS = {"grad_cam": "Grad-CAM", "attention": "attention, weighted by gradients", "rollout": "attention rollout"}
HEAT_NOTE = (
    "In a heat map yellow marks what counted most for the class that the model said. It shows where, not why; `tlkit"
    " explain RUN --check` compares maps with those of random weights."
)


def group_images_section(run: RunContents) -> PageSection | None:
    """Return images of the groups that fail because they are worse than their complement; None if there is none."""
    examples, images = run.images.groups, run.images
    if not examples:
        return None
    notes = [images.without_thumbnails] if images.without_thumbnails else []
    if not notes and not any(shown.near for one in examples for shown in one.wrong):
        notes.append("Run `tlkit slices` to see the training images that they resemble.")
    if len(examples) > MOST_GROUPS:
        notes.append(f"The {MOST_GROUPS} groups with the widest gaps, of {len(examples)}.")
    parts = (_part(one, images) for one in examples[:MOST_GROUPS])
    claim = "What the model gets wrong in the groups that are worse off. Look for what these images have in common."
    return PageSection("examples", "Images behind the gaps", claim, (*map(Words, notes), *parts))


def worst_section(run: RunContents) -> PageSection | None:
    """Return the wrong images, the lowest probability of the true class first; None if there are none to show."""
    worst = run.images.worst
    if worst is None or not worst.wrong:
        return None
    part = _part(worst, run.images)
    notes = [run.images.without_thumbnails] if run.images.without_thumbnails else []
    notes += [HEAT_NOTE] if any(shown.path in run.images.heat for shown in worst.wrong) else []
    claim = (
        f"{part.claims[0]} In these it gave the true class the least probability. Each is a wrong answer, a wrong label"
        " or a picture of neither class: look, then decide."
    )
    return PageSection("worst", "Worst errors", claim, (*map(Words, notes), *part.blocks))


def slices_section(run: RunContents) -> PageSection | None:
    """Return the slices; None if they were not searched for."""
    report = run.slices
    if report is None:
        return None
    confirmed = len(report.confirmed)
    notes = [run.images.without_thumbnails] if run.images.without_thumbnails and not run.images.groups else []
    parts = [_part(one.images, run.images) for one in report.confirmed if one.images is not None]
    claim = "Groups of images that nobody declared: found on one half of the images, tested on the other."
    return PageSection(
        "slices",
        "Slices",
        claim,
        (
            *map(Words, notes),
            *parts,
            Grid(slices_table(report).selected(("slice", "standing", "n_tested", "tested", "difference"))),
            Fold("Statistics: slices", (slices_table(report),)),
            *(Part("Shortcuts", (Grid(one),)) for one in shortcut_tables(report)),
        ),
        VerdictBadge(f"{confirmed} confirmed", "bad" if confirmed else "open" if report.slices else "good"),
    )


def _part(one: GroupImages, images: ReportImages) -> Part:
    blocks: list[Block] = []
    if one.wrong:
        caption = f"{len(one.wrong)} of {one.errors:,} wrong images, the lowest probability of the true class first"
        if any(shown.path in images.heat for shown in one.wrong):
            caption += f"; beside each where the model looked ({METHODS.get(images.heat_method, images.heat_method)})"
        if any(shown.near for shown in one.wrong):
            caption += "; below its nearest training images, then the nearest right image of its class"
        blocks.append(PictureGallery(caption, _pictures(one.wrong, images)))
    if one.close:
        blocks.append(PictureGallery("Right, but only just", _pictures(one.close, images)))
    if tables := confusion_tables(one):
        blocks.append(Fold(f"Confusions: {one.name}", tables))
    return Part(one.name, tuple(blocks), claims=(f"{one.errors:,} of {one.n:,} images are wrong.",))


def _pictures(shown: Sequence[ErrorExample], images: ReportImages) -> tuple[Picture, ...]:
    return tuple(_picture(one, images) for one in shown)


def _picture(shown: ErrorExample, images: ReportImages) -> Picture:
    sure = "" if shown.sure is None else f", {_sure(shown.sure)} sure"
    near = tuple(
        Picture(
            near.path,
            images.thumbnails.get(near.path),
            f"{'train' if near.split == 'train' else 'right'}: {near.label}",
        )
        for near in shown.near
    )
    data, heat = images.thumbnails.get(shown.path), images.heat.get(shown.path)
    wrong = shown.y_true != shown.y_pred
    said = f"said {shown.y_pred}{sure}"
    if heat is None:
        return Picture(shown.path, data, shown.y_true, said, wrong, near)
    if not heat.picture:
        return Picture(shown.path, data, shown.y_true, f"{said}; no place counted for it", wrong, near)
    return Picture(shown.path, data, shown.y_true, said, wrong, near, heat.picture, heat.explained)


def _sure(probability: float) -> str:
    """Return a probability in percent, never rounded to 100%.

    Example:
        >>> _sure(0.9994), _sure(0.99999), _sure(0.51)
        ('99.9%', '>99.9%', '51.0%')
    """
    return ">99.9%" if probability >= 0.9995 else f"{100 * probability:.1f}%"
