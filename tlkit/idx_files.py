"""Reads arrays of bytes in IDX files, the format of MNIST; plain or compressed by gzip."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from tlkit.errors import DataError

MOST_IDX_BYTES = 1 << 31
"""Largest array of an IDX file: 2 GiB, about 2.7 million images of 28 × 28 pixels."""
UNSIGNED_BYTES = 0x08
"""The code of unsigned bytes, the only type that MNIST and its relatives use."""


def read_idx(path: str | Path, *, dimensions: int) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes.

    The format is that of LeCun, Cortes and Burges, "The MNIST database of handwritten digits": two zero bytes, the
    type, the number of dimensions, each size as a big-endian integer of 32 bits, then the values, the last index
    fastest.

    Args:
        path: the file; one that ends in .gz is decompressed, up to the size that its header states.
        dimensions: number of dimensions, such as 3 for images and 1 for labels.

    Raises:
        DataError: there is no such file, or it is no IDX file of this kind, is cut off, or is too large.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if path.suffix != ".gz":
                return _read(file, dimensions)
            with gzip.open(file) as content:
                return _read(content, dimensions)
    except ValueError as error:
        raise DataError(f"{path} is no IDX file of {dimensions} dimensions: {error}. Restore it.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged ({error}). Restore it.") from None
    except FileNotFoundError:
        raise DataError(f"The file {path} does not exist.") from None


def _read(file: BinaryIO | gzip.GzipFile, dimensions: int) -> npt.NDArray[np.uint8]:
    header = file.read(4 + 4 * dimensions)
    if len(header) < 4 + 4 * dimensions or header[:2] != b"\0\0":
        raise ValueError("its header is of another kind")
    if header[2] != UNSIGNED_BYTES:
        raise ValueError(f"its values are of the type {header[2]:#04x}, not unsigned bytes (0x08)")
    if header[3] != dimensions:
        raise ValueError(f"it has {header[3]} dimensions")
    shape = tuple(np.frombuffer(header, dtype=">u4", offset=4).tolist())
    size = math.prod(shape)
    if size > MOST_IDX_BYTES:
        raise ValueError(f"it states {size:,} bytes, and at most {MOST_IDX_BYTES:,} are read")
    content = file.read(size + 1)
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise ValueError(f"it states {size:,} bytes and holds {found}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
