"""Transforms from decoded images to the backbone's input size: augmented in training, never in evaluation.

Evaluation scales by `tlkit.data.decode.resizing` (Pillow's antialiased filters, as the weights were trained), random
framing by `random_framing`, and the other augmentation is Albumentations', which only `transform_presets` and
`transform_list` import.
"""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tlkit.data.augment.moved_boxes import Boxes, fitted_boxes, framed_boxes, with_boxes
from tlkit.data.augment.random_framing import framed, framed_mask
from tlkit.data.decode.resizing import Frame, Zoom, random_framing, reduction, resize_image
from tlkit.errors import DataError, did_you_mean, reason_of
from tlkit.preprocess import Preprocess

if TYPE_CHECKING:
    import albumentations as A

PRESETS: dict[str, str] = {
    "none": "the evaluation geometry, nothing random",
    "light": "random framing (60–100 % of the area), horizontal flip",
    "medium": "random framing (35–100 %), horizontal flip, color jitter ±20 %, rotation ±10°",
    "heavy": (
        "random framing (20–100 %), horizontal flip, color jitter ±40 %, rotation ±20° and shear ±8°, grayscale, "
        "blur / noise / JPEG artefacts, one erased rectangle"
    ),
}
"""Descriptions of the presets."""

PRESETS_VERSION = 3
"""Raised when a preset or a list gives other pixels than before.

2: a container may frame the image; 3: torch scales what is framed at random, and a list's result has its own size.
"""

ZOOMS = {"light": Zoom(0.6, 1.15), "medium": Zoom(0.35, 4 / 3), "heavy": Zoom(0.2, 4 / 3)}


class Transform:
    """Transforms decoded images to the backbone's input size; a pure function of (image, seed, epoch, sample id).

    Threads must not share a random transform: Albumentations keeps its random state in its objects.

    Attributes:
        preprocess: geometry and size.
        is_random: whether the result depends on seed, epoch and sample id.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        *,
        zoom: Zoom | None = None,
        before: A.Compose | None = None,
        after: A.Compose | None = None,
        framed: bool = False,
    ) -> None:
        """Set the steps.

        Args:
            preprocess: geometry and size.
            zoom: random framing; None = the evaluation geometry.
            before: transforms of the decoded image in its own size.
            after: transforms of the image in its final size.
            framed: `before` frames the image, so only scaling to the size follows.
        """
        self.preprocess = preprocess
        self.is_random = zoom is not None or before is not None or after is not None
        self._zoom = zoom
        self._before = before
        self._after = after
        self._final = preprocess.replace(crop_pct=1.0) if framed else preprocess

    @property
    def cached_form(self) -> dict[str, Any]:
        """What the pixels depend on that can be cached for every epoch.

        They are those that the transform returns, where it is not random; else those that the decoder returns.
        """
        if not self.is_random:
            values = self.preprocess.to_dict()
            return {"pixels": "input", **{name: one for name, one in values.items() if name not in ("mean", "std")}}
        common = {"pixels": "decoded", "background": list(self.preprocess.background)}
        if self._before is not None or self._final.decode == "full":
            return common
        zoom = None if self._zoom is None else [self._zoom.area, self._zoom.stretch]
        final = self._final
        return {**common, "zoom": zoom, "size": list(final.image_size), "resize": final.resize, "crop": final.crop_pct}

    def reduction(self, width: int, height: int) -> int:
        """Return by how much the decoder may divide the sides of an image of this size: 1, 2, 4 or 8.

        A recipe's list of transforms applies to the image in its own size, which needs every pixel.
        """
        return 1 if self._before is not None else reduction(width, height, self._final, self._zoom)

    def __call__(
        self,
        image: Image.Image | npt.NDArray[np.uint8],
        *,
        frame: Frame | None = None,
        seed: int = 0,
        epoch: int = 0,
        sample_id: int = 0,
    ) -> npt.NDArray[np.uint8]:
        """Return the image as uint8 RGB, shape (H, W, 3) with (H, W) = `preprocess.image_size`.

        Args:
            image: RGB, uint8 (H, W, 3) or a Pillow image, any size.
            frame: where the picture lies in an image that was decoded at a reduced scale; None = it fills the image.
            seed: seed of the augmentation, at least 0.
            epoch: the epoch, at least 0.
            sample_id: number of the sample, 0…2⁶⁴-1, from `sample_id_of(path)`.

        Raises:
            DataError: a transform cannot be applied to an image of this size.
        """
        return self._steps(image, None, frame=frame, seed=seed, epoch=epoch, sample_id=sample_id)[0]

    def with_mask(
        self,
        image: Image.Image | npt.NDArray[np.uint8],
        mask: npt.NDArray[np.uint8],
        *,
        seed: int = 0,
        epoch: int = 0,
        sample_id: int = 0,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Return the image, and its mask moved alike, shape (H, W).

        Args:
            image: as for a call, decoded at full scale.
            mask: a class for each of its pixels, 255 where it is unknown, as padding is, too.
            seed: as for a call.
            epoch: as for a call.
            sample_id: as for a call.

        Raises:
            DataError: a transform cannot be applied to an image of this size, or to masks.
        """
        pixels, moved, _ = self._steps(image, mask, frame=None, seed=seed, epoch=epoch, sample_id=sample_id)
        assert moved is not None, "a mask was given"
        return pixels, moved

    def for_boxes(self) -> Transform:
        """Return the same transform for images with boxes.

        Raises:
            DataError: the images are cropped, which leaves objects out that are judged.
        """
        if self.preprocess.resize == "crop":
            raise DataError(
                "Images with boxes are scaled whole, but the preprocessing crops them (resize: crop). Use letterbox or "
                "squash; in a script of your own, pass preprocess=classifier.preprocess to the data module."
            )
        found = copy.copy(self)
        found._before, found._after = (one and with_boxes(one) for one in (self._before, self._after))
        return found

    def with_boxes(
        self,
        image: Image.Image | npt.NDArray[np.uint8],
        boxes: Boxes,
        *,
        seed: int = 0,
        epoch: int = 0,
        sample_id: int = 0,
    ) -> tuple[npt.NDArray[np.uint8], Boxes]:
        """Return the image, and its boxes moved alike; those that leave it are dropped. Of what `for_boxes` returned.

        Args:
            image: as for a call, decoded at full scale.
            boxes: float32 (M, 5): class, left, top, right, bottom in pixels.
            seed: as for a call.
            epoch: as for a call.
            sample_id: as for a call.

        Raises:
            DataError: a transform cannot be applied to an image of this size, or to boxes.
        """
        pixels, _, moved = self._steps(
            image, None, boxes=boxes, frame=None, seed=seed, epoch=epoch, sample_id=sample_id
        )
        assert moved is not None, "boxes were given"
        return pixels, moved

    def _steps(
        self,
        image: Image.Image | npt.NDArray[np.uint8],
        mask: npt.NDArray[np.uint8] | None,
        *,
        frame: Frame | None,
        seed: int,
        epoch: int,
        sample_id: int,
        boxes: Boxes | None = None,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None, Boxes | None]:
        generator = np.random.Generator(np.random.PCG64([seed, epoch, sample_id])) if self.is_random else None
        python = random.Random(int(generator.integers(2**63))) if generator is not None else None  # noqa: S311
        if self._before is not None:
            self._before.set_random_state(generator, python)
            # a copy: some transforms write into their input
            image, mask, boxes = _apply(self._before, np.array(image), mask, boxes)
            frame = None  # of the image before: every pixel of it was decoded (see `reduction`)
        if self._zoom is not None and generator is not None:
            pixels = np.asarray(image)
            frame = frame or Frame.of(pixels)
            framing = random_framing(frame.width, frame.height, self._final, self._zoom, generator)
            if boxes is not None:
                boxes = framed_boxes(boxes, framing, height=pixels.shape[0], width=pixels.shape[1])
            pixels = framed(pixels, self._final, framing, frame)
            mask = None if mask is None else framed_mask(mask, self._final, framing)
        else:
            picture = image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
            pixels = np.array(resize_image(picture, self._final, frame))
            if boxes is not None:
                boxes = fitted_boxes(boxes, self._final, height=picture.height, width=picture.width)
            if mask is not None:
                outline = Image.fromarray(np.ascontiguousarray(mask))
                mask = np.array(resize_image(outline, self._final.replace(interpolation="nearest")))
        if self._after is not None:
            self._after.set_random_state(generator, python)
            pixels, mask, boxes = _apply(self._after, pixels, mask, boxes)
        return pixels, mask, boxes


def _apply(
    compose: A.Compose, pixels: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8] | None, boxes: Boxes | None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None, Boxes | None]:
    given: dict[str, Any] = {} if mask is None else {"mask": mask}
    if boxes is not None:
        given |= {"bboxes": boxes[:, 1:], "box_rows": list(range(len(boxes)))}
    try:
        changed = compose(image=pixels, **given)
    except Exception as error:  # Albumentations' transforms raise various errors
        height, width = pixels.shape[:2]
        raise DataError(
            f"The augmentation cannot be applied to an image of {width} x {height} pixels: {reason_of(error)} "
            "Change the transform's arguments, or put a Resize before it."
        ) from error
    result: npt.NDArray[np.uint8] = changed["image"]
    if result.dtype != np.uint8 or result.ndim != 3 or result.shape[2] != 3:
        raise DataError(f"The augmentation gave {result.dtype} {result.shape} instead of uint8 RGB.")
    if boxes is not None:
        kept = boxes[[int(row) for row in changed["box_rows"]]]
        kept[:, 1:] = np.asarray(changed["bboxes"], dtype=np.float32).reshape(-1, 4)
        boxes = kept
    return result, changed.get("mask"), boxes


def augmentation_version() -> str:
    """Return the versions on which augmented pixels depend; part of the key of cached views."""
    import albumentations as A
    import cv2
    import torch

    libraries = f"albumentations {A.__version__}, opencv {cv2.__version__}, torch {torch.__version__}"
    return f"presets {PRESETS_VERSION}, {libraries}"


def sample_id_of(path: str) -> int:
    """Return a 64-bit number for a sample's relative path, the same on every machine.

    Example:
        >>> sample_id_of("train/ants/1.jpg")
        8376925913144028323
    """
    return int.from_bytes(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def build_transform(preprocess: Preprocess, *, augment: str | Sequence[Mapping[str, Any]] | None = None) -> Transform:
    """Return the transform for training (with `augment`) or for evaluation (without).

    Args:
        preprocess: geometry, size, filter and background.
        augment: a preset (none, light, medium, heavy); a list of Albumentations transforms in order, each a mapping
            with `name` and arguments; or None, the same as "none". A list applies to the decoded image in its own size,
            followed by the evaluation geometry. Where it frames the image, which is where any transform in it changes
            the image's size (crops, pads or scales), only scaling to `image_size` follows.

    Raises:
        DataError: an unknown preset, transform or argument, or a transform that does not return an RGB image.

    Example:
        >>> flip = build_transform(Preprocess(image_size=(2, 2)), augment=[{"name": "HorizontalFlip", "p": 1}])
        >>> flip(np.zeros((5, 7, 3), np.uint8)).shape
        (2, 2, 3)
    """
    if augment is None or augment == "none":
        return Transform(preprocess)
    if isinstance(augment, str):
        if augment not in PRESETS:
            raise DataError(
                f"There is no augmentation preset {augment!r}. The presets are {', '.join(PRESETS)}."
                f"{did_you_mean(augment, PRESETS)}"
            )
        from tlkit.data.augment.transform_presets import preset

        return Transform(preprocess, zoom=ZOOMS[augment], after=preset(augment, preprocess))
    if not augment:
        return Transform(preprocess)
    from tlkit.data.augment.transform_list import build_list

    built = build_list(augment)
    return Transform(preprocess, before=built.compose, framed=built.frames)
