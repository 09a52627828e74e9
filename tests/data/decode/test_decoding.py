from __future__ import annotations

import io
import pickle
import struct
import zlib

import numpy as np
import pytest
from decoded import decode_image
from hypothesis import given
from hypothesis import strategies as st
from messages import saying, says
from PIL import Image

from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.jpeg_markers import scan_damage
from tlkit.errors import DataError

QUARTERS = np.zeros((40, 60, 3), np.uint8)
QUARTERS[:20, :30], QUARTERS[:20, 30:], QUARTERS[20:, :30] = (250, 10, 10), (10, 250, 10), (10, 10, 250)
QUARTERS[20:, 30:] = (200, 200, 0)

READABLE = "JPEG, PNG, GIF, BMP, WebP, TIFF, PPM/PGM/PBM and AVIF"
LOSSLESS_JPEG = {"quality": 100, "subsampling": 0}
SMALL = DecodeOptions(max_pixels=1_000_000)
TURNED = {  # how a camera stores the picture for each orientation tag
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def reason(data: bytes, *options: DecodeOptions) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(data, *options)
    return caught.value.reason


def oddities(data: bytes) -> tuple[str, ...]:
    return open_rgb(data)[1].oddities


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    pixels: np.ndarray, *, depth: int, colour: int, size: tuple[int, int] | None = None, extra: bytes = b""
) -> bytes:
    """A PNG file by hand: rows of big-endian pixels."""
    height, width = pixels.shape[:2] if size is None else size
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    raw = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    )


def tiff(data: bytes, *, width: int, bits: int, white_is_zero: bool = False, sample_format: int = 1) -> bytes:
    """A one-row, one-channel, little-endian TIFF file by hand; sample_format 1 unsigned, 2 signed, 3 float."""
    offset = 8 + 2 + 12 * 10 + 4
    tags = (256, 257, 258, 259, 262, 273, 277, 278, 279, 339)
    values = (width, 1, bits, 1, int(not white_is_zero), offset, 1, 1, len(data), sample_format)
    fields = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in zip(tags, values, strict=True)]
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(fields) + struct.pack("<I", 0) + data


def test_a_format_without_a_mark_is_known_by_the_name_of_its_file(tmp_path):
    """As in folders, also for files that a list names."""
    targa = b"\0\0\2" + bytes(9) + b"\4\0\4\0\x18\0" + bytes(range(48))
    for name, content, words in (
        ("scan.tga", targa, ("Targa by its name", "Convert it to PNG".lower())),
        ("brain.nii.gz", b"\x1f\x8b\x08" + bytes(30), ("volume", "export its slices")),
        ("volume.mha", b"ObjectType = Image\n", ("volume", "by its name")),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        for source in (file, content):
            with pytest.raises(UnreadableImageError) as caught:
                open_rgb(source, name=name)
            assert says(caught.value.reason.lower(), *(word.lower() for word in words))
        with pytest.raises(UnreadableImageError) as caught:
            open_rgb(content)
        assert "by its name" not in caught.value.reason
    with pytest.raises(UnreadableImageError, match="HTML"):
        open_rgb(b"<html>404</html>", name="scan.tga")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_their_pixels(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode_image(saved(Image.fromarray(QUARTERS), kind, **options))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, QUARTERS)


def test_jpeg_equals_pillow(tmp_path):
    path = tmp_path / "x.jpg"
    Image.fromarray(QUARTERS).save(path, quality=80)
    np.testing.assert_array_equal(decode_image(path), np.asarray(Image.open(path)))
    np.testing.assert_array_equal(decode_image(str(path)), decode_image(path.read_bytes()))
    assert oddities(path.read_bytes()) == ()


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF+LZW"])
def test_every_exif_orientation_comes_out_upright(kind, tag):
    exif = Image.Exif()
    exif[274] = tag
    options = {"JPEG": LOSSLESS_JPEG, "WEBP": {"lossless": True}, "TIFF+LZW": {"compression": "tiff_lzw"}}
    data = saved(Image.fromarray(TURNED[tag](QUARTERS).copy()), kind[:4], exif=exif, **options.get(kind, {}))
    pixels = decode_image(data)
    assert pixels.shape == QUARTERS.shape
    assert np.abs(pixels.astype(int) - QUARTERS).max() <= 3
    assert oddities(data) == (() if tag == 1 else ("rotated by EXIF",))


def test_damaged_exif_is_noted_and_ignored():
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03"
    data = saved(Image.fromarray(QUARTERS), "JPEG", exif=exif, **LOSSLESS_JPEG)
    assert np.abs(decode_image(data).astype(int) - QUARTERS).max() <= 3
    text = chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 4\nnot hexadecimal")
    garbage = png(QUARTERS, depth=8, colour=2, extra=text)
    np.testing.assert_array_equal(decode_image(garbage), QUARTERS)
    assert oddities(garbage) == (saying("EXIF", "damaged", "upright"),)


def test_grayscale_is_repeated():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = decode_image(saved(Image.fromarray(gray), "PNG"))
    np.testing.assert_array_equal(pixels, np.repeat(gray[..., None], 3, axis=2))


def test_one_bit_is_black_and_white():
    bits = Image.fromarray(np.array([[True, False]]))
    for kind in ("PNG", "TIFF", "BMP"):
        assert decode_image(saved(bits, kind)).tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (10, 200, 90)])
def test_alpha_is_composited_on_the_background(kind, background):
    generator = np.random.default_rng(0)
    rgba = generator.integers(0, 256, (16, 16, 4), dtype=np.uint8)
    data = saved(Image.fromarray(rgba), kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + np.array(background) * (1 - alpha)
    assert np.abs(decode_image(data, DecodeOptions(background=background)) - expected).max() <= 1
    assert "transparent" in oddities(data)


def test_gray_with_alpha_and_color_keys_are_composited():
    la = Image.fromarray(np.array([[[100, 0], [100, 255]]], np.uint8), "LA")
    assert decode_image(saved(la, "PNG"), DecodeOptions(background=(1, 2, 3))).tolist() == [[[1, 2, 3], [100] * 3]]
    keyed = saved(Image.fromarray(np.array([[7, 8]], np.uint8)), "PNG", transparency=7)
    assert decode_image(keyed, DecodeOptions(background=(1, 2, 3))).tolist() == [[[1, 2, 3], [8, 8, 8]]]
    coloured = saved(Image.fromarray(QUARTERS), "PNG", transparency=(250, 10, 10))
    assert decode_image(coloured, DecodeOptions(background=(1, 2, 3)))[0, 0].tolist() == [1, 2, 3]


def test_palette_with_transparent_entries_is_composited():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([250, 0, 0, 0, 250, 0, 0, 0, 250])
    assert decode_image(saved(image, "PNG")).tolist() == [[[250, 0, 0], [0, 250, 0], [0, 0, 250]]]
    data = saved(image, "PNG", transparency=bytes([255, 0, 255]))
    assert decode_image(data, DecodeOptions(background=(9, 9, 9))).tolist() == [[[250, 0, 0], [9, 9, 9], [0, 0, 250]]]
    assert oddities(data) == ("palette", "transparent")


def test_sixteen_bit_gray_keeps_its_high_byte_and_is_not_white():
    values = np.array([[0, 255, 256, 1000, 32768, 65535]], np.uint16)
    expected = [0, 0, 1, 3, 128, 255]
    files = {
        "PNG": png(values, depth=16, colour=0),
        "Pillow's PNG": saved(Image.fromarray(values), "PNG"),
        "TIFF": tiff(values.astype("<u2").tobytes(), width=6, bits=16),
        "big-endian TIFF": saved(Image.fromarray(values), "TIFF"),
        "PGM": b"P5\n6 1\n65535\n" + values.astype(">u2").tobytes(),
    }
    for name, data in files.items():
        assert decode_image(data)[0, :, 0].tolist() == expected, name
        assert oddities(data) == (saying("8", "bits", "channel"), "grayscale"), name
    with Image.open(io.BytesIO(files["PNG"])) as image:  # the trap: Pillow alone gives white
        assert np.asarray(image.convert("RGB"))[0, :, 0].tolist() != expected


def test_sixteen_bit_color_keeps_its_high_byte():
    values = np.array([[[65535, 256, 0], [1000, 32768, 255]]], np.uint16)
    data = png(values, depth=16, colour=2)
    assert decode_image(data).tolist() == (values >> 8).tolist()
    assert oddities(data) == (saying("8", "bits", "channel"),)


def test_sixteen_bit_transparency_keys_and_alpha_are_composited():
    gray = png(np.array([[1000, 32768]]), depth=16, colour=0, extra=chunk(b"tRNS", struct.pack(">H", 1000)))
    assert decode_image(gray, DecodeOptions(background=(1, 2, 3))).tolist() == [[[1, 2, 3], [128] * 3]]
    colour = np.array([[[1000, 2000, 3000], [65535, 0, 256]]])
    keyed = png(colour, depth=16, colour=2, extra=chunk(b"tRNS", struct.pack(">HHH", 1000, 2000, 3000)))
    assert decode_image(keyed, DecodeOptions(background=(1, 2, 3))).tolist() == [[[1, 2, 3], [255, 0, 1]]]
    with_alpha = png(np.array([[[32768, 0], [32768, 65535]]]), depth=16, colour=4)
    assert decode_image(with_alpha, DecodeOptions(background=(1, 2, 3))).tolist() == [[[1, 2, 3], [128] * 3]]


def gray(data: bytes) -> list[int]:
    """The first channel of a one-row image."""
    return decode_image(data)[0, :, 0].tolist()


def test_twelve_bits_are_scaled_by_twelve_bits():
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x10])  # 0, 0x800, 0xFFF, 0x010
    assert decode_image(tiff(packed, width=4, bits=12))[0, :, 0].tolist() == [0, 128, 255, 1]
    pgm = b"P5\n3 1\n4095\n" + np.array([0, 2048, 4095], ">u2").tobytes()
    assert decode_image(pgm)[0, :, 0].tolist() == [0, 128, 255]


def test_a_tiff_whose_zero_is_white_is_inverted():
    values = np.array([0, 1000, 65535], "<u2")
    assert gray(tiff(values.tobytes(), width=3, bits=16, white_is_zero=True)) == [255, 252, 0]
    assert gray(tiff(bytes([0, 100, 255]), width=3, bits=8, white_is_zero=True)) == [255, 155, 0]
    floats = np.array([0, 0.25, 1], "<f4").tobytes()
    assert gray(tiff(floats, width=3, bits=32, white_is_zero=True, sample_format=3)) == [255, 191, 0]


def test_float_pixels_in_0_to_1_are_read_and_others_refused():
    def floats(*values: float) -> bytes:
        return tiff(np.array(values, "<f4").tobytes(), width=len(values), bits=32, sample_format=3)

    assert decode_image(floats(0, 0.25, 0.5, 1))[0, :, 0].tolist() == [0, 64, 128, 255]
    assert reason(floats(0, 255)) == saying("0", "255", "1", "meaning", "rescale")
    assert reason(floats(0, np.nan)) == saying("float", "nan, nan")


def test_integers_without_an_agreed_white_are_refused():
    wide = tiff(np.array([0, 70000], "<u4").tobytes(), width=2, bits=32)
    assert reason(wide) == saying("0", "70000", "0–65535", "8", "16")
    assert "span [-5, 300]" in reason(tiff(np.array([-5, 300], "<i2").tobytes(), width=2, bits=16, sample_format=2))
    assert "signed 8-bit" in reason(tiff(np.array([-5, 3], "i1").tobytes(), width=2, bits=8, sample_format=2))
    assert decode_image(tiff(np.array([0, 65535], "<u4").tobytes(), width=2, bits=32))[0, :, 0].tolist() == [0, 255]


def test_a_deep_image_that_comes_out_black_is_noted():
    scan = png(np.array([[0, 4095]]), depth=16, colour=0)  # 12 bits in a 16-bit file
    assert oddities(scan)[-1] == saying("1/16", "nearly", "black")


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_to_its_colors(kind):
    cmyk = Image.fromarray(QUARTERS).convert("CMYK")
    data = saved(cmyk, kind, **({"quality": 100} if kind == "JPEG" else {}))
    assert np.abs(decode_image(data).astype(int) - QUARTERS).max() <= 3
    assert oddities(data) == ("CMYK",)
    with_black = Image.fromarray(np.array([[[0, 0, 0, 255], [0, 0, 0, 0], [255, 0, 0, 128]]], np.uint8), "CMYK")
    black = decode_image(saved(with_black, "TIFF")).astype(int)
    assert np.abs(black - [[[0] * 3, [255] * 3, [0, 127, 127]]]).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame_and_is_named(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode_image(data)[0, 0].tolist() == [250, 0, 0]
    assert oddities(data) == (saying("animated", "frame", "used"),)


def test_a_still_gif_and_a_tiff_of_several_pages_are_named():
    image = Image.fromarray(QUARTERS)
    assert oddities(saved(image, "GIF")) == ("GIF",)
    assert oddities(saved(image, "TIFF", save_all=True, append_images=[image])) == (saying("several", "pages", "used"),)


def test_a_phones_jpeg_with_a_preview_is_not_called_animated():
    image = Image.fromarray(QUARTERS)
    data = saved(image, "MPO", save_all=True, append_images=[image.resize((6, 4))], **LOSSLESS_JPEG)
    assert decode_image(data).shape == QUARTERS.shape
    assert oddities(data) == ()


def test_embedded_color_profiles_are_ignored():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode_image(saved(Image.fromarray(QUARTERS), "PNG", icc_profile=profile)), QUARTERS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", saying("0", "empty", "bytes")),
        (bytes(1000), saying("holds", "zero", "bytes")),
        (b"\n<!DOCTYPE html><html>", saying("HTML", "page", "image")),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', saying("SVG", "PNG")),
        (b"\0\0\0\x18ftypheic\0\0\0\0", saying("HEIC", 'pip install "tlkit[heif]"')),
        (bytes(128) + b"DICM", saying("DICOM", 'pip install "tlkit[dicom]"')),
        (b"\xff\x0a", saying("JPEG XL", 'pip install "tlkit[jxl]"')),
        (b"\0\0\0\x0cjP  \r\n\x87\n", saying("JPEG 2000", "PNG")),
        (b"version https://git-lfs.github.com", saying("LFS", "'git lfs pull'", READABLE)),
        (b"%!PS-Adobe-3.0 EPSF", saying("PostScript", "PNG")),
        (b"hello", saying(READABLE, "image", "format")),
    ],
)
def test_other_content_is_named_in_the_reason(data, words, monkeypatch):
    monkeypatch.setattr("tlkit.data.decode.formats.is_installed", lambda module: False)
    assert reason(data) == words


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_never_decodes(kind, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, kind)
    assert reason(data[: int(len(data) * share)])
    if kind == "JPEG":
        assert reason(data[: len(data) // 2]) == saying("JPEG", "file", "truncated")


def test_the_pixel_limit_is_judged_by_the_header():
    bomb = png(np.zeros((1, 1), np.uint8), depth=8, colour=0, size=(100_000, 100_000))
    assert reason(bomb) == saying("100000", "10,000,000,000", "max_pixels", "178,956,970")
    small = saved(Image.fromarray(QUARTERS), "PNG")
    assert reason(small, DecodeOptions(max_pixels=2399)) == saying("60", "40", "2,400", "max_pixels", "2,399")
    assert decode_image(small, DecodeOptions(max_pixels=2400)).shape == (40, 60, 3)


def test_the_error_names_the_file_and_survives_pickling(tmp_path):
    path = tmp_path / "gone.jpg"
    with pytest.raises(DataError) as caught:
        decode_image(path)
    assert str(caught.value) == saying(path, "read", "directory")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.source, again.reason) == (str(path), saying("file", "directory"))


SEEDS = [saved(Image.fromarray(QUARTERS), kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")]


@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 10_000) | st.integers(0, 120), st.integers(0, 255)), max_size=20),
    cut=st.integers(0, 200),
    drop=st.integers(0, 8),
)
def test_damaged_bytes_give_pixels_or_an_unreadable_image_and_nothing_else(seed, edits, cut, drop):
    data = bytearray(seed)
    for at, value in edits:
        data[at % len(data)] = value
    at = edits[0][0] % 120 if edits else 0
    data = bytes(data[:at] + data[at + drop : len(data) - cut])
    assert isinstance(scan_damage(data), str)
    try:
        pixels = decode_image(data, SMALL)
    except UnreadableImageError as error:
        assert error.reason
    else:
        assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)


@given(start=st.sampled_from([b"", *(seed[:16] for seed in SEEDS)]), rest=st.binary(max_size=400))
def test_random_bytes_after_a_magic_number_are_unreadable(start, rest):
    try:
        decode_image(start + rest, SMALL)
    except UnreadableImageError as error:
        assert error.reason
