from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision_oracle import timm_evaluation

from tlkit.data.augment.random_framing import framed
from tlkit.data.decode.resizing import Frame, Zoom, random_framing, resize_image
from tlkit.preprocess import Preprocess

sides = st.integers(1, 300)


def random_fit(pixels, preprocess, zoom, generator):
    """What training shows of a picture that was decoded at full scale."""
    frame = Frame.of(pixels)
    return framed(pixels, preprocess, random_framing(frame.width, frame.height, preprocess, zoom, generator), frame)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("size", [(224, 224), (160, 160), (96, 128)])
@pytest.mark.parametrize("shape", [(500, 375), (375, 500), (64, 48), (224, 224), (1000, 301), (257, 256), (1, 3)])
def test_the_evaluation_crop_equals_timm_bit_for_bit(shape, size, crop_pct, interpolation):
    image = noise(*shape)
    ours = resize_image(image, Preprocess(image_size=size, crop_pct=crop_pct, interpolation=interpolation))
    np.testing.assert_array_equal(
        np.asarray(ours), timm_evaluation(image, size=size, crop_pct=crop_pct, interpolation=interpolation)
    )


@pytest.mark.parametrize("shape", [(30, 500), (500, 40), (1, 900)])
def test_the_crop_of_an_elongated_image_equals_timm_up_to_rounding(shape):
    smooth = noise(6, 6).resize(shape, Image.Resampling.BICUBIC)
    ours = np.asarray(resize_image(smooth, Preprocess())).astype(int)
    theirs = timm_evaluation(smooth, size=(224, 224), crop_pct=0.875, interpolation="bicubic").astype(int)
    assert np.abs(ours - theirs).max() <= 2


def test_an_extremely_elongated_image_needs_little_memory():
    assert resize_image(noise(1, 60_000), Preprocess()).size == (224, 224)


def test_squash_shows_the_whole_image():
    image = noise(50, 30)
    ours = resize_image(image, Preprocess(image_size=(20, 40), resize="squash"))
    assert ours == image.resize((40, 20), Image.Resampling.BICUBIC)


def test_letterbox_keeps_the_aspect_ratio_and_pads():
    image = Image.new("RGB", (100, 50), (200, 0, 0))
    pixels = np.asarray(resize_image(image, Preprocess(image_size=(80, 80), resize="letterbox", background=(1, 2, 3))))
    assert (pixels[20:60] == [200, 0, 0]).all()
    assert (pixels[:20] == [1, 2, 3]).all()
    assert (pixels[60:] == [1, 2, 3]).all()


@given(
    width=sides, height=sides, resize=st.sampled_from(["crop", "letterbox", "squash"]), target=st.tuples(sides, sides)
)
def test_every_image_fits_every_size(width, height, resize, target):
    preprocess = Preprocess(image_size=target, resize=resize)
    image = Image.new("RGB", (width, height), (9, 9, 9))
    assert resize_image(image, preprocess).size == (target[1], target[0])
    generator = np.random.default_rng(0)
    drawn = random_fit(np.asarray(image), preprocess, Zoom(0.2, 4 / 3), generator)
    assert drawn.shape == (*target, 3)


@given(resize=st.sampled_from(["crop", "squash"]), shape=st.tuples(sides, sides), seed=st.integers(0, 99))
def test_random_framing_adds_no_pixels(resize, shape, seed):
    image = np.asarray(Image.new("RGB", shape, (9, 90, 200)))
    drawn = random_fit(
        image, Preprocess(image_size=(8, 8), resize=resize), Zoom(0.2, 4 / 3), np.random.default_rng(seed)
    )
    assert (drawn == [9, 90, 200]).all()


def test_random_framing_keeps_the_stated_share_of_the_area():
    ramp = np.zeros((200, 200, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(200)[None], np.arange(200)[:, None]
    generator = np.random.default_rng(0)
    preprocess = Preprocess(image_size=(50, 50), interpolation="nearest")
    shares, ratios = [], []
    for _ in range(300):
        pixels = random_fit(ramp, preprocess, Zoom(0.5, 1.25), generator).astype(int)
        width, height = np.ptp(pixels[..., 0]) * 50 / 49, np.ptp(pixels[..., 1]) * 50 / 49
        shares.append(width * height / 200**2)
        ratios.append(width / height)
    assert 0.47 < min(shares) < 0.55
    assert 0.95 < max(shares) < 1.05
    assert 0.75 < min(ratios) < 0.9 < 1.1 < max(ratios) < 1.33


def test_a_training_letterbox_shows_the_whole_image_somewhere():
    image = np.asarray(Image.new("RGB", (100, 50), (200, 0, 0)))
    preprocess = Preprocess(image_size=(80, 80), resize="letterbox", background=(0, 0, 0))
    generator = np.random.default_rng(0)
    places = set()
    for _ in range(50):
        drawn = random_fit(image, preprocess, Zoom(0.36, 1), generator)[..., 0] == 200
        rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
        assert drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 0.6 * 80 - 1 <= len(columns) <= 80
        assert abs(len(columns) - 2 * len(rows)) <= 2
        places.add((int(rows[0]), int(columns[0])))
    assert len(places) > 40
