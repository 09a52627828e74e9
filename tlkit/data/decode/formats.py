"""The image file formats that tlkit reads, detected by their first bytes, not by the file's name."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Literal

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

Format = Literal["JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "PNM", "AVIF"]

EXTENSIONS: dict[str, Format] = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WebP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PNM",
    ".pgm": "PNM",
    ".pbm": "PNM",
    ".pnm": "PNM",
    ".avif": "AVIF",
}
"""File name endings of images, with their formats."""

OPENERS: dict[Format, Callable[[io.BytesIO, str], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.jpeg_factory,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PNM": PpmImagePlugin.PpmImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
"""The readers of Pillow that are used; its forty others (among them EPS, which starts a program) are not."""

READABLE = "JPEG, PNG, GIF, BMP, WebP, TIFF, PPM/PGM/PBM and AVIF"

OTHER_CONTENT: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML or SVG text"),
    (b"version https://git-lfs", "a Git LFS pointer (run 'git lfs pull')"),
    (b"%pdf", "a PDF document"),
    (b"8bps", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjp  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def detect_format(data: bytes) -> Format | None:
    r"""Return the format by the first bytes, or None where tlkit does not read it.

    Example:
        >>> detect_format(b"\x89PNG\r\n\x1a\n...")
        'PNG'
        >>> detect_format(b"<html>") is None
        True
    """
    starts: tuple[tuple[bytes, Format], ...] = (
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"II*\x00", "TIFF"),
        (b"MM\x00*", "TIFF"),
        (b"II+\x00", "TIFF"),
        (b"MM\x00+", "TIFF"),
    )
    for start, name in starts:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace():
        return "PNM"
    if data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in (b"avif", b"avis")):
        return "AVIF"
    return None


def describe_content(data: bytes) -> str:
    """Return what a file that is no readable image seems to be, as a clause for messages.

    Example:
        >>> describe_content(b"  <!DOCTYPE html><title>404</title>")
        'it is an HTML page, not an image'
        >>> describe_content(b"")
        'it is empty (0 bytes)'
    """
    if not data:
        return "it is empty (0 bytes)"
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, kind in OTHER_CONTENT:
        if start.startswith(magic) or data[:16].lower().startswith(magic):
            return f"it is {kind}, not an image" if b"<" in magic else f"it is {kind}; tlkit reads {READABLE}"
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        return f"it is a HEIC image; tlkit reads {READABLE}"
    if not any(data[:4096]):
        return "it holds only zero bytes"
    return f"it is not an image in a format that tlkit reads ({READABLE})"
