"""Where two pictures differ: everywhere alike, as one that was saved again, or at a few edges, as another picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tlkit.data.checks.saving_noise import concentration, luma


def scene(seed: int, *, moved: int = 0) -> Image.Image:
    """Return 40 circles on gray, 192 pixels, smooth; two of them lie elsewhere by `moved` eighths of a pixel."""
    generator, scale = np.random.default_rng(seed), 8
    big = Image.new("L", (192 * scale, 192 * scale), 128)
    pen = ImageDraw.Draw(big)
    for number in range(40):
        x, y, r = generator.integers(8, 150, 3) * (scale, scale, scale // 8)
        shade, shift = int(generator.integers(0, 255)), moved if number in (37, 38) else 0
        pen.ellipse((int(x) + shift, int(y), int(x + r) + 200 + shift, int(y + r) + 200), fill=shade)
    return big.resize((192, 192), Image.Resampling.BOX).convert("RGB")


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def floats(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32)


def edges_of(pixels: np.ndarray) -> np.ndarray:
    return np.hypot(*np.gradient(luma(pixels))) > 10


SAVED = {
    "one JPEG": lambda image: (image, jpeg(image, 60)),
    "two JPEGs": lambda image: (jpeg(image, 90), jpeg(image, 55)),
    "a JPEG of a JPEG": lambda image: (image, jpeg(jpeg(image, 50), 80)),
}


@pytest.mark.parametrize("how", SAVED)
@pytest.mark.parametrize("seed", range(3))
def test_what_jpeg_changes_is_diffuse(seed, how):
    one, other = (floats(image) for image in SAVED[how](scene(seed)))
    assert concentration(one, other, edges_of(one), None) <= 1


@pytest.mark.parametrize("quality", [95, 80])
@pytest.mark.parametrize("seed", range(3))
def test_two_circles_that_move_by_a_quarter_of_a_pixel_are_no_noise_of_jpeg(seed, quality):
    one, other = floats(jpeg(scene(seed), quality)), floats(jpeg(scene(seed, moved=2), quality))
    assert concentration(one, other, edges_of(one), None) > 1


@pytest.mark.parametrize("how", [Image.Resampling.LANCZOS, Image.Resampling.BICUBIC, Image.Resampling.BOX])
@pytest.mark.parametrize("factor", [0.5, 0.7, 1.5])
def test_what_resampling_changes_is_diffuse_and_a_moved_circle_is_seen_in_it(factor, how):
    image, size = scene(4), (round(192 * factor),) * 2
    small = (min(192, size[0]),) * 2
    found = []
    for moved in (0, 6):
        scaled = jpeg(scene(4, moved=moved).resize(size, how), 95)
        one, other = (floats(picture.resize(small, Image.Resampling.BOX)) for picture in (image, scaled))
        source = max(image, scaled, key=lambda picture: picture.width)
        found.append(concentration(one, other, edges_of(one), np.asarray(source)))
    assert found[0] <= 1 < found[1]


def test_of_large_pictures_the_part_around_the_largest_difference_is_compared():
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 255, (20, 200, 1)), np.ones((16, 16, 3))).astype(np.float32)
    changed = wide.copy()
    changed[100:110, 3000:3004] += 40  # far right, and small
    edges = edges_of(wide)
    assert concentration(wide, changed, edges, None) > 1
    assert concentration(wide, floats(jpeg(Image.fromarray(wide.astype(np.uint8)), 75)), edges, None) <= 1


@pytest.mark.parametrize("side", [1024, 1031, 1039])
def test_a_difference_at_the_border_of_a_large_picture_is_seen(side):
    rng = np.random.default_rng(1)
    picture = np.kron(rng.integers(0, 255, (80, 80, 1)), np.ones((16, 16, 3)))[:side, :side].astype(np.float32)
    changed = picture.copy()
    edge = (side - 1) // 16 * 16  # the last between two squares
    changed[edge - 2 : edge + 2, edge - 2 : edge + 2] += 40
    assert concentration(picture, changed, edges_of(picture), None) > 1
