"""Decodes an image file to 8-bit RGB pixels, or raises an error that states why it cannot.

The rules, the same in training, evaluation and prediction:

- EXIF orientation is applied.
- Grayscale is repeated over the three channels; palettes are looked up; 1-bit becomes 0 and 255.
- Transparency (alpha channel, palette or color key) is composited on `DecodeOptions.background`.
- 16 bits per channel keep their high byte (value // 256), 12 bits value // 16, without stretching or saturation. Float
  pixels must lie in [0, 1]. 32-bit integers up to 65,535 are read as 16 bits; larger ones are refused.
- CMYK is converted by complement, (255 - C)(255 - K) / 255, without color profiles; CMYK JPEGs are read as inverted,
  as Adobe writes them.
- Animated images and files of several pages give their first frame.
- HEIC and JPEG XL are turned by their own headers. For DICOM see `tlkit.data.decode.dicom`.
- Embedded color profiles are ignored, as they were when ImageNet weights were trained.
- A JPEG may be scaled down by its decoder, which averages blocks of 2, 4 or 8 pixels per side (libjpeg's scaled inverse
  transform). `open_rgb` does so only where it gets a function `reduction`.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL.features
from PIL import Image, ImageFile, TiffImagePlugin

from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.formats import OPENERS, Format, describe_content, detect_format
from tlkit.data.decode.jpeg_markers import can_be_scaled
from tlkit.data.decode.jpeg_xl import jpeg_xl_size
from tlkit.data.decode.known_formats import is_installed
from tlkit.data.decode.resizing import Frame
from tlkit.data.decode.unsupported import raw_preview, unsupported_kind
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import DataError

RULES_VERSION = 1
"""Raised when the rules above, or the scaling in `resizing`, give other pixels than before."""

LIBJPEG = PIL.features.version("libjpeg_turbo") or PIL.features.version("jpg")
EXTRA_READERS = {"pillow_heif": "pillow-heif", "pydicom": "pydicom", "pillow_jxl": "pillow-jxl-plugin"}
"""Packages by the modules that read further formats."""
DECODER = ", ".join(
    (
        *(f"rules {RULES_VERSION}", f"pillow {PIL.__version__}", f"libjpeg {LIBJPEG}"),
        *(f"{name} {version(name)}" for module, name in EXTRA_READERS.items() if is_installed(module)),
    )
)
"""What pixels depend on besides the file and the preprocessing; part of the key of cached features."""

ORIENTATION_TAG = 274
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that undoes each value of the EXIF orientation tag; 1 is upright."""
SIDEWAYS = tuple(UPRIGHT[tag] for tag in (5, 6, 7, 8))
"""The transpositions that swap width and height."""
TOP_FROM_RIGHT = (Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE)
LEFT_FROM_BOTTOM = (Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE)
TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_SAMPLE_FORMAT = 258, 262, 339

_warnings_lock = threading.Lock()


class UnreadableImageError(DataError):
    """An image file cannot be decoded.

    Attributes:
        source: the file's path as given, or "image" for bytes.
        reason: why it cannot be decoded, without the path.
        is_gone: whether the file cannot be opened, as when a drive is unplugged; False for bad content.
    """

    def __init__(self, source: str, reason: str, is_gone: bool = False) -> None:
        self.source = source
        self.reason = reason
        self.is_gone = is_gone
        super().__init__(f"{source} cannot be read: {reason}.")

    def __reduce__(self) -> tuple[type[UnreadableImageError], tuple[str, str, bool]]:
        return type(self), (self.source, self.reason, self.is_gone)


@dataclass(frozen=True)
class ImageFacts:
    """Facts about a decoded file.

    Attributes:
        format: container format by content, not by name.
        size: height and width in pixels at full scale, after EXIF rotation.
        oddities: unusual properties, such as "CMYK" or "animated (first frame used)"; most files have none.
        frame: where the picture lies in the decoded pixels, for `resize_image`.
    """

    format: Format
    size: tuple[int, int]
    oddities: tuple[str, ...]
    frame: Frame


def open_rgb(
    source: str | Path | bytes,
    decode_options: DecodeOptions = DecodeOptions(),
    *,
    reduction: Callable[[int, int], int] | None = None,
    name: str = "",
) -> tuple[Image.Image, ImageFacts]:
    """Return an image as a Pillow image of mode RGB, and facts about its file.

    Args:
        source: path of the file, or its bytes.
        decode_options: pixel limit and background color.
        reduction: for JPEGs, returns by how much (1, 2, 4 or 8) the decoder may divide the upright width and height,
            rounding up. None = every pixel is decoded.
        name: of the file that bytes are of, for messages.

    Raises:
        UnreadableImageError: the file is missing, damaged, too large or not an image.

    Example:
        >>> buffer = io.BytesIO()
        >>> Image.new("RGBA", (2, 1), (255, 0, 0, 0)).save(buffer, "PNG")
        >>> image, _ = open_rgb(buffer.getvalue(), DecodeOptions(background=(1, 2, 3)))
        >>> np.asarray(image).tolist()
        [[[1, 2, 3], [1, 2, 3]]]
    """
    name = (name or "image") if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else read_bytes(source)
    except OSError as error:
        raise UnreadableImageError(name, error.strerror or str(error), is_gone=True) from error
    kind = detect_format(data)
    if kind is None:
        raise UnreadableImageError(name, describe_content(data, name))
    try:
        return _decode(data, kind, decode_options, reduction)
    except Warning:  # where warnings are errors, a warning about metadata must not make the image unreadable
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return _decode(data, kind, decode_options, reduction)
            except Exception as error:
                raise UnreadableImageError(name, _reason(error, kind, data)) from error
    except Exception as error:  # Pillow's readers raise a dozen kinds on damaged files
        raise UnreadableImageError(name, _reason(error, kind, data)) from error


def image_to_rgb(image: Image.Image, *, name: str, background: tuple[int, int, int]) -> Image.Image:
    """Return a Pillow image as one of mode RGB by the rules for files: its EXIF orientation is applied, too.

    The image is decoded if it is not yet; nothing else of it changes.

    Args:
        image: of any mode; its current frame is taken.
        name: what errors call it.
        background: RGB color under transparent pixels.

    Raises:
        UnreadableImageError: it cannot be decoded, or its pixels have no agreed meaning as RGB.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tiff = _tiff_facts(image) if isinstance(image, TiffImagePlugin.TiffImageFile) else (False, 16)
            image.load()
            turn = _turn(image, [])
            upright = image.copy() if turn is None else image.transpose(turn)
            key = upright.info.get("transparency")
            deep_key = isinstance(key, tuple) and max(key) > 255  # Pillow keeps a 16-bit PNG's key with 8-bit pixels
            return _upright_to_rgb(upright, tiff[1], tiff[0], background, sixteen_bit_png=deep_key)
        except Exception as error:  # Pillow raises a dozen kinds on damaged files
            text = str(error) or type(error).__name__
            raise UnreadableImageError(name, text) from error


class _RefusedError(Exception):
    """The file is sound, but has no agreed meaning as 8-bit RGB."""


def _reason(error: Exception, kind: Format, data: bytes) -> str:
    text = str(error)
    stated = text if isinstance(error, _RefusedError) else unsupported_kind(data, kind, error)
    if stated:
        return stated
    if isinstance(error, MemoryError):
        return "decoding it needs more memory than there is"
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"the {kind} file is truncated"
    if isinstance(error, Image.DecompressionBombError):
        return f"its header claims far more pixels than the file can hold ({text})"
    if isinstance(error, SyntaxError):  # what Pillow raises for a header that it cannot read
        return f"the {kind} file's header is damaged or of an unsupported kind ({text})"
    return f"the {kind} file is damaged ({type(error).__name__}: {text})"


def _decode(
    data: bytes, kind: Format, options: DecodeOptions, reduction: Callable[[int, int], int] | None
) -> tuple[Image.Image, ImageFacts]:
    if kind == "JPEG XL":  # whose reader decodes everything at once
        _require_few_pixels(*jpeg_xl_size(data), options)
    file = OPENERS[kind](io.BytesIO(data), "")  # reads the header only
    width, height = file.size
    _require_few_pixels(width, height, options)
    if isinstance(file, TiffImagePlugin.TiffImageFile) and (raw := raw_preview(file.tag_v2, data)):
        raise _RefusedError(raw)
    oddities = _oddities(file, kind, data)
    white_is_zero, bits = _tiff_facts(file) if isinstance(file, TiffImagePlugin.TiffImageFile) else (False, 16)
    turned_by_pillow = isinstance(file, TiffImagePlugin.TiffImageFile) and file.tag_v2.get(ORIENTATION_TAG, 1) != 1
    scale, turn = 1, _turn(file, oddities) if kind == "JPEG" else None
    if kind == "JPEG" and reduction is not None:
        scale = reduction(height, width) if turn in SIDEWAYS else reduction(width, height)
        if scale > 1 and can_be_scaled(data):
            file.draft(None, (width // scale, height // scale))
    file.load()
    if kind != "JPEG":
        turn = _turn(file, oddities)  # a PNG may state it after its pixels; load() has turned a TIFF
        width, height = file.size
    if kind == "JPEG XL" and not getattr(file, "jpeg", False):
        turn = None  # the decoder has turned it by its own header, and EXIF has no say: ISO/IEC 18181-2
    frame = _frame(file, width, height, turn)
    image: Image.Image = file if turn is None else file.transpose(turn)
    if turn is not None or turned_by_pillow:
        oddities.append("rotated by EXIF")
    rgb = _upright_to_rgb(
        image, bits, white_is_zero, options.background, sixteen_bit_png=kind == "PNG" and data[24] == 16
    )
    if _is_deep(image) and np.asarray(rgb).max() < 16:
        oddities.append("nearly black (uses less than 1/16 of its range)")
    return rgb, ImageFacts(kind, (frame.height, frame.width), tuple(oddities), frame)


def _require_few_pixels(width: int, height: int, options: DecodeOptions) -> None:
    if width * height > options.max_pixels:
        raise _RefusedError(
            f"its header claims {width} x {height} = {width * height:,} pixels, more than max_pixels = "
            f"{options.max_pixels:,}"
        )


def _is_deep(image: Image.Image) -> bool:
    """Return whether pixels have one channel of more than 8 bits."""
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def _upright_to_rgb(
    image: Image.Image, bits: int, white_is_zero: bool, background: tuple[int, int, int], *, sixteen_bit_png: bool
) -> Image.Image:
    if _is_deep(image):
        return _deep_to_rgb(image, bits, white_is_zero, background)
    return _to_rgb(image, background, sixteen_bit_png=sixteen_bit_png)


def _frame(file: ImageFile.ImageFile, width: int, height: int, turn: Image.Transpose | None) -> Frame:
    """Return where a picture of width x height lies in the upright pixels of its file."""
    scale = round(width / file.width)  # a decoder that scales rounds up, so the last pixels may be partly empty
    right, bottom = (width / scale, height / scale) if scale > 1 else file.size
    left, top = 0.0, 0.0
    if turn in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, *TOP_FROM_RIGHT):
        left, right = file.width - right, file.width
    if turn in (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180, *LEFT_FROM_BOTTOM):
        top, bottom = file.height - bottom, file.height
    if turn in SIDEWAYS:
        return Frame(height, width, (top, left, bottom, right))
    return Frame(width, height, (left, top, right, bottom))


def _turn(file: Image.Image, oddities: list[str]) -> Image.Transpose | None:
    """Return the transposition that turns the picture upright; None where it is upright or EXIF cannot be read."""
    try:
        return UPRIGHT.get(file.getexif().get(ORIENTATION_TAG, 1))
    except Warning:
        raise
    except Exception:  # Pillow raises various errors on damaged EXIF; the pixels are sound
        oddities.append("damaged EXIF (taken as upright)")
        return None


def _oddities(file: ImageFile.ImageFile, kind: Format, data: bytes) -> list[str]:
    found = []
    if getattr(file, "is_animated", False) and file.format != "MPO":  # phones put a preview into an MPO
        pages = kind in ("TIFF", "HEIC", "DICOM")
        found.append("several pages (first used)" if pages else "animated (first frame used)")
    elif kind == "GIF":
        found.append("GIF")
    deep_png = kind == "PNG" and data[24] == 16
    deep_tiff = isinstance(file, TiffImagePlugin.TiffImageFile) and max(file.tag_v2.get(TIFF_BITS, (1,))) > 8
    if _is_deep(file) or deep_png or deep_tiff or (kind == "DICOM" and getattr(file, "bits", 8) > 8):
        found.append("more than 8 bits a channel")
    if file.mode == "CMYK":
        found.append("CMYK")
    if file.mode in {"1", "L", "LA", "La"} or file.mode.startswith("I"):
        found.append("grayscale")
    if file.mode in {"P", "PA"} and kind != "GIF":
        found.append("palette")
    if file.has_transparency_data:
        found.append("transparent")
    return found


def _tiff_facts(file: TiffImagePlugin.TiffImageFile) -> tuple[bool, int]:
    """Return whether 0 means white and Pillow does not invert it, and the bits per channel."""
    bits = int(file.tag_v2.get(TIFF_BITS, (1,))[0])
    if file.tag_v2.get(TIFF_SAMPLE_FORMAT, (1,))[0] == 2 and bits == 8:
        raise _RefusedError("its pixels are signed 8-bit integers, which have no agreed black; save it unsigned")
    deep = file.mode == "F" or file.mode.startswith("I")
    return deep and file.tag_v2.get(TIFF_PHOTOMETRIC, 1) == 0, bits


def _deep_to_rgb(image: Image.Image, bits: int, white_is_zero: bool, background: tuple[int, int, int]) -> Image.Image:
    """Return one channel of 12, 16 or 32 bits as RGB, scaled by its bit depth alone."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0 and high <= 1):  # NaN fails both
            raise _RefusedError(
                f"its float pixels span [{low:g}, {high:g}], but only [0, 1] has an agreed meaning; rescale it"
            )
        gray = np.round(values * 255).astype(np.uint8)
    else:
        if low < 0 or high > 65535:
            raise _RefusedError(
                f"its integer pixels span [{low}, {high}], outside 0–65535, and have no agreed white; "
                "save it with 8 or 16 bits"
            )
        gray = (values.astype(np.uint16) >> (bits - 8 if bits in {12, 16} else 8)).astype(np.uint8)
    if white_is_zero:
        gray = 255 - gray
    rgb = Image.fromarray(gray).convert("RGB")
    key = image.info.get("transparency")
    if isinstance(key, int):  # 16-bit grayscale PNG with a transparent value
        opaque = Image.fromarray((values != key).astype(np.uint8) * 255)
        rgb = Image.composite(rgb, Image.new("RGB", rgb.size, background), opaque)
    return rgb


def _to_rgb(image: Image.Image, background: tuple[int, int, int], *, sixteen_bit_png: bool) -> Image.Image:
    """Return 8-bit pixels of any mode as RGB, transparency composited on `background`."""
    if image.has_transparency_data:
        key = image.info.get("transparency")
        if sixteen_bit_png and isinstance(key, tuple):  # Pillow keeps a 16-bit key with 8-bit pixels
            image.info["transparency"] = tuple(value >> 8 for value in key)
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (*background, 255)), layer).convert("RGB")
    if image.mode in {"LAB", "HSV"}:
        raise _RefusedError(f"its color space {image.mode} is not supported; save it as RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
