from __future__ import annotations

import colorsys
import io

import numpy as np
import pytest
from messages import saying
from PIL import Image
from scenes import scene

from tlkit.data.augment.corruption_kinds import CORRUPTIONS, SEVERITIES, corruption_names
from tlkit.data.augment.corruptions import Corruptor
from tlkit.errors import DataError

SIDE = 64
PHOTO = np.array(scene(1).resize((SIDE, SIDE)))
GRAY = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)


def applied(name, severity, pixels=PHOTO, *, seed=0, sample_id=7):
    return Corruptor([name], side=min(pixels.shape[:2]), seed=seed)(pixels, name, severity, sample_id=sample_id)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_corruption_is_a_function_of_pixels_seed_and_image(name):
    before = PHOTO.copy()
    corruptor = Corruptor([name], side=SIDE, seed=3)
    one = [corruptor(PHOTO, name, severity, sample_id=7) for severity in SEVERITIES]
    two = [corruptor(PHOTO, name, severity, sample_id=7) for severity in reversed(SEVERITIES)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert all(image.shape == PHOTO.shape and image.dtype == np.uint8 for image in one)
    damage = [np.square(image.astype(float) - PHOTO).mean() for image in one]
    assert damage[0] > 0
    assert damage[4] > damage[0] or name == "glass_blur"  # whose shifts of whole pixels are for larger images
    assert np.array_equal(before, PHOTO)


@pytest.mark.parametrize("name", ["gaussian_noise", "impulse_noise", "occlusion", "motion_blur"])
def test_other_images_and_other_seeds_get_other_random_numbers(name):
    first = applied(name, 3)
    assert not np.array_equal(first, applied(name, 3, sample_id=8))
    assert not np.array_equal(first, applied(name, 3, seed=1))


@pytest.mark.parametrize(("severity", "std"), [(1, 0.08), (3, 0.18)])
def test_gaussian_noise_has_the_published_spread(severity, std):
    large = np.full((224, 224, 3), 128, dtype=np.uint8)
    noise = applied("gaussian_noise", severity, large).astype(float) - 128
    assert noise.std() / 255 == pytest.approx(std, rel=0.04)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_impulse_noise_changes_the_published_share_of_pixels():
    large = np.full((224, 224, 3), 128, dtype=np.uint8)
    changed = (applied("impulse_noise", 5, large) != 128).any(axis=2).mean()
    assert changed == pytest.approx(0.27, abs=0.02)


def test_brightness_adds_to_the_value_channel():
    found = applied("brightness", 2)
    for row, column in [(0, 0), (10, 20), (40, 5), (63, 63)]:
        hue, saturation, value = colorsys.rgb_to_hsv(*(PHOTO[row, column] / 255))
        expected = np.array(colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + 0.2))) * 255
        assert found[row, column] == pytest.approx(expected, abs=4)  # OpenCV rounds hue and saturation


def test_darkness_and_contrast_scale_the_pixels():
    assert applied("darkness", 2) == pytest.approx(PHOTO * 0.6, abs=1)
    gray = np.array(Image.fromarray(PHOTO).convert("L")).mean()
    assert applied("contrast", 1) == pytest.approx(gray + (PHOTO - gray) * 0.4, abs=2)


def test_jpeg_is_that_of_pillow_at_the_published_quality():
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, format="JPEG", quality=10)
    expected = np.array(Image.open(buffer)).astype(float)
    assert np.abs(applied("jpeg", 4) - expected).mean() < 0.5


def test_pixelate_averages_blocks():
    blocks = PHOTO.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).astype(float).mean(axis=(1, 3))
    assert applied("pixelate", 2) == pytest.approx(blocks.repeat(2, axis=0).repeat(2, axis=1), abs=1)


def test_occlusion_hides_a_gray_square_of_the_stated_area():
    white = np.full((200, 200, 3), 255, dtype=np.uint8)
    for severity, area in zip(SEVERITIES, CORRUPTIONS["occlusion"].values, strict=True):
        hidden = (applied("occlusion", severity, white) == 127).all(axis=2)
        assert hidden.mean() == pytest.approx(area, abs=0.02)


def test_rotation_turns_to_both_sides_and_lengths_scale_with_the_image():
    turned = {applied("rotation", 5, sample_id=number).tobytes() for number in range(12)}
    assert len(turned) == 2
    edge = np.zeros((112, 112, 3), dtype=np.uint8)
    edge[:, 56:] = 255
    doubled = edge.repeat(2, axis=0).repeat(2, axis=1)
    small, large = (
        ((image > 20) & (image < 235)).any(axis=2).sum(axis=1).mean()
        for image in (applied("defocus_blur", 4, edge), applied("defocus_blur", 4, doubled))
    )
    assert large == pytest.approx(2 * small, rel=0.25)


def test_slow_corruptions_are_taken_by_name_only_and_unknown_ones_are_refused():
    assert not {"fog", "glass_blur"} & set(corruption_names())
    assert corruption_names(["fog", "jpeg", "fog"]) == ("fog", "jpeg")
    with pytest.raises(DataError) as caught:
        corruption_names(["jpg"])
    assert str(caught.value) == saying("'jpg'", "jpeg")
    with pytest.raises(DataError):
        corruption_names([])
