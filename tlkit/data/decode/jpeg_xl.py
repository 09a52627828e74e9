"""Size of a JPEG XL image from its header: its reader decodes the whole file when it opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

CODESTREAM, BOXED = b"\xff\x0a", b"\x00\x00\x00\x0cJXL "
RATIOS = tuple(map(Fraction, ("1", "6/5", "4/3", "3/2", "16/9", "5/4", "2")))


def jpeg_xl_size(data: bytes) -> tuple[int, int]:
    r"""Return width and height: ISO/IEC 18181-1, SizeHeader, in a bare codestream or in boxes.

    Raises:
        SyntaxError: there is no codestream.

    Example:
        >>> jpeg_xl_size(b"\xff\x0a\x41" + bytes(9))
        (8, 8)
    """
    stream = data if data.startswith(CODESTREAM) else _from_boxes(data)
    if not stream.startswith(CODESTREAM) or len(stream) < 12:
        raise SyntaxError("it holds no codestream")
    bits, at = int.from_bytes(stream[2:12], "little"), 0

    def read(count: int) -> int:
        nonlocal at
        at += count
        return (bits >> (at - count)) & ((1 << count) - 1)

    is_small = read(1)
    height = _side(read, is_small)
    ratio = read(3)
    width = _side(read, is_small) if ratio == 0 else int(height * RATIOS[ratio - 1])
    return width, height


def _side(read: Callable[[int], int], is_small: int) -> int:
    return 8 * (1 + read(5)) if is_small else 1 + read((9, 13, 18, 30)[read(2)])


def _from_boxes(data: bytes) -> bytes:
    """Return the begin of the codestream in a file of boxes: ISO/IEC 18181-2."""
    for name, content in boxes(data):
        if name in (b"jxlc", b"jxlp"):
            return content[4 if name == b"jxlp" else 0 :][:64]
    return b""


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of the boxes of a file: ISO/IEC 18181-2; a size of 0 means up to its end."""
    at = 0
    while at + 8 <= len(data):
        size, name, header = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = at + size if size else len(data)
        yield name, data[at + header : end]
        if end < at + header:
            return
        at = end
