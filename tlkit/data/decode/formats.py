"""The image file formats that tlkit reads, detected by their first bytes, not by the file's name."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Literal, cast

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

from tlkit.data.decode.known_formats import KNOWN_FORMATS, is_installed, known_by_content, known_by_name

Format = Literal["JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "PNM", "AVIF", "HEIC", "DICOM", "JPEG XL"]

EXTENSIONS: dict[str, Format] = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".jfi": "JPEG",
    ".jif": "JPEG",
    ".pjpeg": "JPEG",
    ".pjp": "JPEG",
    ".mpo": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".webp": "WebP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PNM",
    ".pgm": "PNM",
    ".pbm": "PNM",
    ".pnm": "PNM",
    ".avif": "AVIF",
    ".avifs": "AVIF",
}
"""File name endings of images that need no extra, with their formats."""


def _open_heic(file: io.BytesIO, name: str) -> ImageFile.ImageFile:
    import pillow_heif

    return cast(ImageFile.ImageFile, pillow_heif.HeifImageFile(file, name))


def _open_dicom(file: io.BytesIO, name: str) -> ImageFile.ImageFile:
    from tlkit.data.decode.dicom import DicomImageFile

    return DicomImageFile(file, name)


def _open_jpeg_xl(file: io.BytesIO, name: str) -> ImageFile.ImageFile:
    from pillow_jxl.JpegXLImagePlugin import JXLImageFile

    return cast(ImageFile.ImageFile, JXLImageFile(file, name))


OPENERS: dict[Format, Callable[[io.BytesIO, str], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.jpeg_factory,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PNM": PpmImagePlugin.PpmImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIC": _open_heic,
    "DICOM": _open_dicom,
    "JPEG XL": _open_jpeg_xl,
}
"""The readers that are used, the last three where an extra is installed. The forty others of Pillow (among them EPS,
which starts a program) are not."""

READABLE = "JPEG, PNG, GIF, BMP, WebP, TIFF, PPM/PGM/PBM and AVIF, and with an extra HEIC, DICOM and JPEG XL"

OTHER_CONTENT: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML text"),
    (b"version https://git-lfs", "a Git LFS pointer (run 'git lfs pull')"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)


def format_by_name(name: str) -> Format | None:
    """Return the format that a file's name states, or None where tlkit does not read such files here.

    Example:
        >>> format_by_name("cat/1.JPG"), format_by_name("notes.txt")
        ('JPEG', None)
    """
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122  a Path for each of a million names is slow
    if ending in EXTENSIONS:
        return EXTENSIONS[ending]
    known = known_by_name(name)
    return cast(Format, known.name) if known is not None and known.module and is_installed(known.module) else None


def readable_endings() -> list[str]:
    """Return the file name endings of the images that are read here, with those of installed extras."""
    extra = [
        ending for known in KNOWN_FORMATS if known.module and is_installed(known.module) for ending in known.endings
    ]
    return [*EXTENSIONS, *extra]


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
    known = known_by_content(data)
    return cast(Format, known.name) if known is not None and known.module and is_installed(known.module) else None


NOT_READ_HERE = "which is not read here"
"""Part of the reason of every known format that is not read."""


def describe_content(data: bytes, name: str = "") -> str:
    """Return what a file that is no readable image seems to be, as a clause for messages.

    Args:
        data: its content.
        name: its name, which counts where the content says nothing: some formats, such as Targa, have no mark.

    Example:
        >>> describe_content(b"  <!DOCTYPE html><title>404</title>")
        'it is an HTML page, not an image'
        >>> describe_content(b"")
        'it is empty (0 bytes)'
    """
    if not data:
        return "it is empty (0 bytes)"
    known = known_by_content(data)
    if known is not None:
        return f"its format is {known.name}, {NOT_READ_HERE}; {known.advice}"
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    named = known_by_name(name)
    if named is not None and named.module and is_installed(named.module):
        named = None  # its reader does not know the content
    for magic, kind in OTHER_CONTENT:
        if start.startswith(magic) or data[:16].lower().startswith(magic):
            if b"<" not in magic and named is not None:  # as .nii.gz
                break
            return f"it is {kind}, not an image" if b"<" in magic else f"it is {kind}; tlkit reads {READABLE}"
    if not any(data[:4096]):
        return "it holds only zero bytes"
    if named is not None:
        return f"its format is {named.name} by its name, {NOT_READ_HERE}; {named.advice}"
    return f"it is not an image in a format that tlkit reads ({READABLE})"
