"""EXIF of an image file, read without decoding its pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image

from tlkit.data.decode.formats import OPENERS, Format
from tlkit.data.decode.jpeg_xl import BOXED, boxes

PNG_SIGNATURE_BYTES = 8
RAW_PROFILE = "Raw profile type exif"
"""Name of the text chunk in which ImageMagick writes EXIF as hexadecimal digits."""
EXIF_HEADER = b"Exif\0\0"
WITHOUT_EXIF: frozenset[Format] = frozenset({"GIF", "BMP", "PNM", "DICOM"})


def read_exif(data: bytes, kind: Format) -> Image.Exif:
    """Return the EXIF of an image, empty where it has none. Pixels are not decoded.

    Pillow reads the headers of JPEG, TIFF, WebP, AVIF and, by pillow-heif, HEIC. It would decode a PNG to find an eXIf
    chunk behind the pixels, and a JPEG XL to find anything; of these the chunks and boxes are read here: PNG, third
    edition, 11.3.4.5; ISO/IEC 18181-2, the box "Exif" (one that is compressed, "brob", is not read).

    Args:
        data: content of the file.
        kind: its format.

    Raises:
        Exception: the file or its EXIF is damaged; Pillow raises various errors.

    Example:
        >>> exif, file = Image.Exif(), io.BytesIO()
        >>> exif[272] = "Canon R5"
        >>> Image.new("RGB", (8, 8)).save(file, "PNG", exif=exif)
        >>> read_exif(file.getvalue(), "PNG")[272]
        'Canon R5'
    """
    exif = Image.Exif()
    if kind in WITHOUT_EXIF:
        return exif
    if kind == "JPEG XL":
        found = _jpeg_xl_exif(data)
    elif kind == "PNG":
        found = next((content for name, content in _png_chunks(data) if name == b"eXIf"), b"") or _raw_profile(data)
    else:
        return OPENERS[kind](io.BytesIO(data), "").getexif()
    if found:
        exif.load(found if found.startswith(EXIF_HEADER) else EXIF_HEADER + found)
    return exif


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of a PNG's chunks, but the contents of pixels."""
    at = PNG_SIGNATURE_BYTES
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        yield name, b"" if name == b"IDAT" else data[at + 8 : at + 8 + size]
        at += size + 12


def _raw_profile(data: bytes) -> bytes:
    """Return the EXIF that ImageMagick writes as text before the pixels of a PNG: a name, a length, and digits."""
    if RAW_PROFILE.encode() not in data:
        return b""
    text = str(OPENERS["PNG"](io.BytesIO(data), "").info.get(RAW_PROFILE, ""))
    return bytes.fromhex("".join(text.split("\n")[3:]))


def _jpeg_xl_exif(data: bytes) -> bytes:
    if not data.startswith(BOXED):
        return b""
    content = next((content for name, content in boxes(data) if name == b"Exif"), b"")
    offset = int.from_bytes(content[:4], "big")  # from the end of this number to the TIFF header
    return content[4 + offset :]
