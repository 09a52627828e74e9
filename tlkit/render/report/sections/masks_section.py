"""The section with the worst masks: image, true mask and predicted mask side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlkit.render.report.page_section import PageSection, Picture, PictureGallery


@dataclass(frozen=True)
class MaskImage:
    """An image with its masks.

    Attributes:
        path: of the image.
        iou: mean IoU of the classes that its masks show.
        weakest: the class with the lowest IoU, and that IoU.
        views: by name image, truth and prediction, JPEG, base64.
    """

    path: str
    iou: float
    weakest: tuple[str, float]
    views: tuple[tuple[str, str], ...]


def masks_section(worst: Sequence[MaskImage], legend: Sequence[tuple[str, str]]) -> PageSection | None:
    """Return the images with the lowest mean IoU, the worst first; None where there are none to show.

    Args:
        worst: the images.
        legend: by name of the class its colour, JPEG, base64.
    """
    if not worst:
        return None
    pictures = tuple(
        Picture(
            path=one.path,
            data=None,
            label=f"IoU {one.iou:.2f}",
            said=f"{one.weakest[0]}: {one.weakest[1]:.2f}",
            wrong=True,
            views=tuple(Picture(one.path, data, name) for name, data in one.views),
        )
        for one in worst
    )
    claim = (
        "These images have the lowest mean IoU of the classes that their masks show. Each is a wrong mask, a wrong "
        "truth or a hard picture: look, then decide."
    )
    caption = f"The {len(worst)} worst images, the lowest IoU first, each with its weakest class"
    colours = tuple(Picture("", data, name) for name, data in legend)
    key = Picture("", None, "Colours of the classes; the first class has none", near=colours)
    return PageSection("masks", "Worst masks", claim, (PictureGallery(caption, (*pictures, key)),))
