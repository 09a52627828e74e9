"""JPEGs decoded at a reduced scale: nearly the same pixels, at least twice the needed size."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.jpeg_markers import can_be_scaled
from tlkit.data.decode.resizing import Frame, Zoom, random_framing, reduction, resize_image
from tlkit.preprocess import Preprocess

SMALL = Preprocess(image_size=(40, 56), crop_pct=0.8)
T = Image.Transpose
STORED = (None, T.FLIP_LEFT_RIGHT, T.ROTATE_180, T.FLIP_TOP_BOTTOM)
STORED += (T.TRANSPOSE, T.ROTATE_90, T.TRANSVERSE, T.ROTATE_270)
"""How a camera stores a picture under EXIF's orientation tags 1 to 8."""
sides = st.integers(1, 6000)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(width).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def brought_to_size(data: bytes, preprocess: Preprocess) -> np.ndarray:
    transform = build_transform(preprocess)
    image, facts = open_rgb(data, reduction=transform.reduction)
    return transform(image, frame=facts.frame).astype(int)


def difference(data: bytes, preprocess: Preprocess = SMALL) -> int:
    full, reduced = (brought_to_size(data, preprocess.replace(decode=word)) for word in ("full", "reduced"))
    return int(np.abs(full - reduced).max())


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("shape", [(641, 479), (403, 1001)])
def test_reduced_decoding_of_a_rotated_photo_equals_a_full_decode(shape, tag):
    upright, turn = picture(*shape), STORED[tag - 1]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[274] = tag
    data = jpeg(stored, exif=exif)
    image, facts = open_rgb(data, reduction=build_transform(SMALL).reduction)
    assert facts.size == shape[::-1] and image.width < shape[0] / 1.9, "the size is the file's, the pixels are fewer"
    whole = resize_image(upright, SMALL)
    assert np.abs(brought_to_size(data, SMALL) - np.asarray(whole).astype(int)).max() <= 6
    assert difference(data) <= 4


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("resize", ["crop", "letterbox", "squash"])
def test_reduced_decoding_nearly_equals_a_full_decode(mode, options, resize):
    data = jpeg(picture(700, 531, mode), **({} if mode == "L" else options))
    assert difference(data, SMALL.replace(resize=resize)) <= 4


def test_a_phones_jpeg_with_a_preview_is_scaled_too():
    buffer = io.BytesIO()
    picture(800, 600).save(buffer, "MPO", save_all=True, append_images=[picture(60, 40)], quality=95)
    image, facts = open_rgb(buffer.getvalue(), reduction=lambda width, height: 4)
    assert (image.size, facts.size) == ((200, 150), (600, 800))


def test_small_images_and_other_formats_are_untouched():
    nearly = jpeg(picture(139, 99))  # a cover of 70 x 50, not quite twice
    assert difference(nearly) == 0
    assert open_rgb(nearly, reduction=build_transform(SMALL).reduction)[0].size == (139, 99)
    assert open_rgb(jpeg(picture(140, 100)), reduction=build_transform(SMALL).reduction)[0].size == (140, 100)
    assert open_rgb(jpeg(picture(280, 200)), reduction=build_transform(SMALL).reduction)[0].size == (140, 100)
    buffer = io.BytesIO()
    picture(700, 500).save(buffer, "PNG")
    assert open_rgb(buffer.getvalue(), reduction=build_transform(SMALL).reduction)[0].size == (700, 500)
    assert difference(buffer.getvalue()) == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_never_decodes_at_any_scale(share):
    data = jpeg(picture(640, 480))
    with pytest.raises(UnreadableImageError, match=r"truncated|damaged"):
        open_rgb(data[: int(len(data) * share)], reduction=lambda width, height: 8)


def test_a_lossless_jpeg_is_not_scaled():
    data = bytearray(jpeg(picture(640, 480)))
    assert can_be_scaled(bytes(data))
    frame = data.index(b"\xff\xc0")
    data[frame + 1] = 0xC3
    assert not can_be_scaled(bytes(data))
    assert not can_be_scaled(bytes(data[:frame]))


@given(
    sides,
    sides,
    st.sampled_from(["crop", "letterbox", "squash"]),
    st.sampled_from([None, (0.6, 1.15), (0.2, 4 / 3)]),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(0, 99),
)
def test_the_reduced_image_has_twice_the_needed_pixels(width, height, resize, zoom, tall, wide, seed):
    preprocess = Preprocess(image_size=(tall, wide), resize=resize)
    framing = None if zoom is None else Zoom(*zoom)
    scale = reduction(width, height, preprocess, framing)
    assert scale in (1, 2, 4, 8)
    assert reduction(width, height, preprocess.replace(decode="full"), framing) == 1
    if scale > 1:
        assert min(_shrinking(width, height, preprocess, framing, seed)) / scale >= 2 - 1e-9
    if scale < 8 and zoom is None and resize == "squash":
        assert min(width / wide, height / tall) / (2 * scale) < 2, "as far as may be"


def _shrinking(width, height, preprocess, framing, seed) -> tuple[float, ...]:
    """By how much `resize_image` or `random_framing` shrinks each axis, without the rounding to whole pixels."""
    ratios = []

    class Seen:
        mode = "RGB"

        def resize(self, size, resample, box):
            ratios.append([(box[axis + 2] - box[axis]) / max(size[axis] - 0.5, 0.5) for axis in (0, 1)])
            return Image.new("RGB", size)

    frame = Frame(width, height, (0, 0, width, height))
    if framing is None:
        resize_image(Seen(), preprocess, frame)  # type: ignore[arg-type]
    else:
        box, size, _ = random_framing(width, height, preprocess, framing, np.random.default_rng(seed))
        Seen().resize(size[::-1], None, box)
    return tuple(ratios[0]) if preprocess.resize != "letterbox" else (max(ratios[0]),)


def test_a_list_of_transforms_decodes_every_pixel():
    listed = build_transform(SMALL, augment=[{"name": "HorizontalFlip", "p": 1}])
    assert listed.reduction(4000, 3000) == 1
    assert build_transform(SMALL, augment="none").reduction(4000, 3000) == 8
    assert build_transform(Preprocess(), augment="light").reduction(4000, 3000) == 4
    assert build_transform(Preprocess(), augment="heavy").reduction(4000, 3000) == 2


def test_preprocessing_stored_without_decode_means_full():
    old = Preprocess().to_dict()
    del old["decode"]
    assert Preprocess.from_dict(old).decode == "full"
    for word in ("full", "reduced"):
        stored = json.loads(json.dumps(Preprocess(decode=word).to_dict()))
        assert Preprocess.from_dict(stored).decode == word
    with pytest.raises(ValueError, match="unknown decode: 'half'"):
        Preprocess(decode="half")  # type: ignore[arg-type]
