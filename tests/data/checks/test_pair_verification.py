"""Changed copies of a picture match; different pictures do not."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from scenes import scene

from tlkit.data.checks.gray_thumbnails import gray_thumbnail
from tlkit.data.checks.pair_verification import EdgeImage, verify_pair

SEEDS = range(8)


def saved_again(image: Image.Image, quality: int = 75) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def frame(image: Image.Image, share: float, at: tuple[float, float]) -> Image.Image:
    """Cut a frame with this share of the area."""
    width, height = (round(side * share**0.5) for side in image.size)
    left, top = round((image.width - width) * at[0]), round((image.height - height) * at[1])
    return image.crop((left, top, left + width, top + height))


def recolored(image: Image.Image) -> Image.Image:
    return ImageEnhance.Contrast(ImageEnhance.Color(image).enhance(0.2)).enhance(0.6)


def written_on(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, image.height - 12, image.width, image.height), fill="white")
    draw.text((4, image.height - 12), "sample", fill="red")
    return image


CHANGES = {
    "cropped to 80 %": ("cropped", lambda image: frame(image, 0.8, (0.3, 0.9))),
    "cropped to 60 %": ("cropped", lambda image: frame(image, 0.6, (1.0, 0.2))),
    "cropped to 40 %": ("cropped", lambda image: frame(image, 0.4, (0.6, 0.5))),
    "cropped to a square": ("cropped", lambda image: image.crop((0, 0, 72, 72))),
    "cropped and mirrored": ("cropped", lambda image: ImageOps.mirror(frame(image, 0.7, (0.2, 0.2)))),
    "turned left": ("turned", lambda image: image.transpose(Image.Transpose.ROTATE_90)),
    "turned over": ("turned", lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)),
    "mirrored and gray": ("mirrored", lambda image: ImageOps.mirror(image).convert("L").convert("RGB")),
    "recolored": ("edited", recolored),
    "written on": ("edited", written_on),
}


def look(image: Image.Image) -> EdgeImage:
    return EdgeImage(gray_thumbnail(image))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_verified_with_its_kind(change):
    kind, changed = CHANGES[change]
    for seed in SEEDS:
        image = scene(seed)
        for first, second in ((image, changed(image)), (saved_again(changed(image)), image)):
            found = verify_pair(look(first), look(second))
            assert found is not None
            assert found.score > 0.9
            assert found.kind == kind


def test_different_pictures_do_not_match():
    gray_thumbnails = [look(scene(seed)) for seed in SEEDS]
    found = [verify_pair(one, other) for one, other in combinations(gray_thumbnails, 2)]
    assert all(one is None or one.score < 0.8 for one in found)


def test_plain_and_very_narrow_pictures_are_not_compared():
    plain = look(Image.new("RGB", (80, 60), (200, 30, 90)))
    narrow = look(scene(0).resize((900, 9)))
    assert plain.is_plain
    assert narrow.is_plain
    assert verify_pair(plain, plain) is None
    assert verify_pair(look(scene(0)), narrow) is None


def test_noise_does_not_match_other_noise():
    generator = np.random.default_rng(0)
    gray_thumbnails = [look(Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8))) for _ in range(6)]
    found = [verify_pair(one, other) for one, other in combinations(gray_thumbnails, 2)]
    assert all(one is None or one.score < 0.8 for one in found)


def test_a_gray_thumbnail_keeps_the_proportions():
    assert gray_thumbnail(scene(0).resize((400, 300))).shape == (48, 64)
    assert gray_thumbnail(Image.new("RGB", (5000, 1))).shape == (1, 64)
