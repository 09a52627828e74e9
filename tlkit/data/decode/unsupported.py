"""Images that are sound, but of a kind that this Pillow does not read: what they are, and how they are converted."""

from __future__ import annotations

import io

from PIL import TiffImagePlugin

from tlkit.data.decode.formats import Format
from tlkit.data.decode.jpeg_markers import frame_of, scan_damage

NOT_READ = "which this Pillow does not read"
"""Part of every reason."""
JPEG_PROCESSES = {
    0xC3: "a lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA), "a JPEG in arithmetic coding"),
    0xCB: "a lossless JPEG in arithmetic coding",
    0xF7: "a JPEG-LS image",
}
"""ITU-T T.81, table B.1, and T.87."""
TIFF_COMPRESSIONS = {
    6: "old JPEG",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv 24",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
}
OFTEN_BUILT_WITHOUT = (50001,)
"""Compressions of TIFF that Pillow knows, but whose library it may have been built without."""
BITS, COMPRESSION, SAMPLES, SUBFILE, SUB_IFDS, DNG_VERSION = 258, 259, 277, 254, 330, 50706
RAW = "it is a camera raw file with a preview; develop it to JPEG, PNG or TIFF"


def unsupported_kind(data: bytes, kind: Format, error: Exception) -> str:
    """Return what a file is that Pillow refused although it is sound, and how it is converted; "" for a damaged one.

    Args:
        data: the whole file.
        kind: its format.
        error: what Pillow raised.
    """
    found = _jpeg(data) if kind == "JPEG" else _tiff(data, error) if kind == "TIFF" else ""
    text = str(error)
    signs = ("unsupported", "not supported", "not available", "unknown pixel mode")
    if not found and (isinstance(error, NotImplementedError) or any(sign in text.lower() for sign in signs)):
        found = f"a {kind} file of an unusual kind ({text}), {NOT_READ}; save it as PNG or JPEG"
    return f"it is {found}" if found else ""


def raw_preview(tags: TiffImagePlugin.ImageFileDirectory_v2, data: bytes) -> str:
    """Return why a TIFF file is a camera's raw file, whose first image is a small preview; "" where it is none."""
    is_preview = int(tags.get(SUBFILE, 0)) & 1 and SUB_IFDS in tags
    return RAW if DNG_VERSION in tags or is_preview or data[8:10] == b"CR" else ""


def _jpeg(data: bytes) -> str:
    frame = frame_of(data)
    if frame is None:
        return ""
    marker, precision = frame
    if marker == 0xF7:
        return f"{JPEG_PROCESSES[marker]}, {NOT_READ}; convert it to PNG" if b"\xff\xd9" in data[-64:] else ""
    if scan_damage(data):
        return ""
    if precision != 8:
        what = JPEG_PROCESSES.get(marker, "a JPEG")
        return (
            f"{what} of {precision} bits a channel, {NOT_READ}; convert it to 16 bits, such as with libjpeg-turbo 3: "
            "djpeg -outfile IMAGE.ppm IMAGE.jpg"
        )
    if marker in JPEG_PROCESSES:
        return f"{JPEG_PROCESSES[marker]}, {NOT_READ}; convert it, such as with: djpeg -outfile IMAGE.ppm IMAGE.jpg"
    return ""


def _tiff(data: bytes, error: Exception) -> str:
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bits, samples = tuple(tags.get(BITS, (1,))), int(tags.get(SAMPLES, 1))
        code = int(tags.get(COMPRESSION, 1))
    except Exception:  # the directory is damaged
        return ""
    is_known = isinstance(error, SyntaxError | NotImplementedError) or code in OFTEN_BUILT_WITHOUT
    if not is_known or not 0 < samples <= 65535:
        return ""
    compression = TIFF_COMPRESSIONS.get(code, "" if code in (1, 5, 7, 8, 32773, 32946) else f"number {code}")
    packed = f"compressed by {compression}" if compression else f"of {samples} channels and {bits[0]} bits a channel"
    return f"a TIFF {packed}, {NOT_READ}; save it with 8 or 16 bits, in gray or RGB, uncompressed or by LZW"
