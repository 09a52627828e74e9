"""Checks of JPEG markers without decoding: damage that decoders hide, and whether the decoder can scale the image."""

from __future__ import annotations

import re

_START_OF_SCAN, _END = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_ALONE = {0x01, *range(0xD0, 0xD9)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCALABLE = {0xC0, 0xC1, 0xC2}
"""Baseline, extended and progressive frames, coded by Huffman: ITU-T T.81, table B.1."""


def frame_of(data: bytes) -> tuple[int, int] | None:
    r"""Return the marker of a JPEG's frame, which states its coding, and the bits per channel; None without a frame.

    ITU-T T.81, figure B.3 and table B.1; 0xF7 is JPEG-LS (T.87).

    Example:
        >>> frame_of(b"\xff\xd8\xff\xe0\x00\x03.\xff\xc1\x00\x0b\x0c")
        (193, 12)
    """
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = found.group(1)[0], found.end()
        if marker in _FRAMES or marker == 0xF7:
            return (marker, data[at + 2]) if at + 2 < len(data) else None
        if marker in {_START_OF_SCAN, _END}:
            return None
        if marker not in _ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
    return None


def can_be_scaled(data: bytes) -> bool:
    r"""Return whether a decoder can scale a JPEG by its cosine transform: nearly all, but not lossless ones.

    libjpeg always decodes a lossless JPEG in full size, for which Pillow's buffer would be too small.

    Example:
        >>> can_be_scaled(b"\xff\xd8\xff\xe0\x00\x03.\xff\xc2"), can_be_scaled(b"\xff\xd8\xff\xc3")
        (True, False)
    """
    frame = frame_of(data + b"\0\0\x08")
    return frame is not None and frame[0] in _SCALABLE


def scan_damage(data: bytes) -> str:
    r"""Return the damage to the markers of a JPEG's compressed pixels; "" where there is none.

    Decoders only warn of such damage and return wrong pixels. ITU-T T.81, section B.1.1: within a scan only restart
    markers may occur, numbered 0 to 7 in turn (section B.2.1), and the image ends with EOI. Damage that leaves the
    markers intact is not found.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> buffer = io.BytesIO()
        >>> Image.new("RGB", (64, 64)).save(buffer, "JPEG")
        >>> scan_damage(buffer.getvalue()), scan_damage(buffer.getvalue()[:-2])
        ('', 'it ends without an end marker')
    """
    at = _after_headers(data, 2)
    if at is None:
        return "its headers run past its end"
    restart, expected = -1, 0
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            return "it ends without an end marker"
        marker, at = found.group(1)[0], found.end()
        if 0xD0 <= marker <= 0xD7:
            expected = (restart + 1) % 8
            restart = marker - 0xD0
            if restart != expected:
                return f"restart marker {restart} stands where {expected} should"
        elif marker == _END:
            return ""
        elif marker == _START_OF_SCAN or marker in {0xC4, 0xDB, 0xDD, 0xDC, 0xFE} or 0xE0 <= marker <= 0xEF:
            after = _after_headers(data, found.start())  # the next scan of a progressive file
            if after is None:
                return "its headers run past its end"
            at, restart = after, -1
        else:
            return f"a marker FF{marker:02X} stands within its pixels"


def _after_headers(data: bytes, at: int) -> int | None:
    """Return the offset of the compressed pixels after the next segments; None where it lies past the end."""
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker in {0xFF, 0x00}:
            at += 1
            continue
        if marker == _END:
            return at
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        at += 2 + length
        if marker == _START_OF_SCAN:
            return at if at <= len(data) else None
    return None
