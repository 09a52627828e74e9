"""Images that a user passes to a function: paths, folders, Pillow images, arrays, bytes and open files.

Those in memory become `EncodedImage`s, so that they are decoded as files are: bytes and open files as they are, a
Pillow image that is not decoded yet as the file that it was opened from. Pixels (arrays and decoded Pillow images)
become an uncompressed file of upright RGB pixels, by the rules of `tlkit.data.decode.decoding`; they count as a file
that stores them without loss. Only a large JPEG differs: its path may be decoded at a reduced scale
(`Preprocess.decode`), which pixels that are already decoded cannot be.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, image_to_rgb
from tlkit.data.decode.formats import detect_format
from tlkit.data.sources.entries import Entries
from tlkit.data.sources.image_files import NO_IMAGE, each_once, files_at
from tlkit.errors import DataError

GivenImage = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | npt.NDArray[np.uint8]
GivenImages = GivenImage | Iterable[GivenImage]
"""One image or several; a path may be that of a folder or a tar file of images."""

KINDS = (
    "a path, a folder, a Pillow image, a uint8 array (H, W), (H, W, 3) or (H, W, 4), bytes, or a file opened with 'rb'"
)


@dataclass(frozen=True)
class EncodedImage:
    """An image in memory, as the content of a file; `name` stands for its path, such as "images[3]".

    An image that cannot become one holds no content, and `problem` says why.
    """

    name: str
    content: bytes
    problem: str = ""

    def __fspath__(self) -> str:
        return self.name


ImageSource = str | Path | EncodedImage


def read_images(
    images: GivenImages, *, background: tuple[int, int, int] = DecodeOptions().background
) -> list[Path | EncodedImage]:
    """Return one image or several as image files and images in memory, in order.

    The name of a file counts once, an image in memory as often as it is given. The latter is named by its place:
    "images[3]", or "image" where it is the only one. EXIF orientation is applied to Pillow images as to files. An open
    file is read from its start where it can seek, and keeps its position. Files that are skipped are logged.

    Args:
        images: one image, or an iterable of images; see `GivenImage` for the kinds.
        background: RGB color under the transparent pixels of arrays and decoded Pillow images.

    Raises:
        DataError: an image is of no such kind, a path does not exist, or a folder holds no image; all problems at once.
    """
    found: list[Path | EncodedImage] = []
    entries = Entries()
    problems: list[str] = []
    for name, image in _named(images):
        try:
            if isinstance(image, str) and not image:
                problems.append(f"{name} is an empty path. Give {KINDS}.")
            elif isinstance(image, str | os.PathLike):
                files, more = files_at(Path(image))
                found += files
                entries += more
            else:
                found.append(_encoded(image, name, background))
        except UnreadableImageError as error:
            found.append(EncodedImage(name, b"", error.reason))
        except DataError as error:
            problems += error.problems
    if not found and not problems:
        problems.append(NO_IMAGE)
    if problems:
        raise DataError(*problems)
    found, repeated = each_once(found)
    replace(entries, skipped=(*entries.skipped, *repeated)).log()
    return found


def _named(images: GivenImages) -> Iterator[tuple[str, Any]]:
    """Yield each image with its name."""
    is_list_of_paths = isinstance(images, np.ndarray) and images.dtype.kind in "OU" and images.ndim == 1
    one = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray, Mapping)
    if not is_list_of_paths and (
        isinstance(images, one)
        or hasattr(images, "read")
        or hasattr(images, "__dlpack__")  # a tensor, which is not walked row by row
        or not isinstance(images, Iterable)
    ):
        yield "image", images
        return
    for place, image in enumerate(cast(Iterable[Any], images)):
        yield f"images[{place}]", image


def _encoded(image: Any, name: str, background: tuple[int, int, int]) -> EncodedImage:
    """Return an image in memory as a file's content.

    Raises:
        UnreadableImageError: it cannot be decoded.
        DataError: it is not of a kind that can be an image.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return EncodedImage(name, bytes(image))
    if hasattr(image, "read") and not isinstance(image, Image.Image):
        return EncodedImage(name, _content_of(image, name))
    if isinstance(image, np.ndarray):
        picture = Image.fromarray(_pixels(image, name))
    elif isinstance(image, Image.Image):
        content = _undecoded(image)
        if content is not None:
            return EncodedImage(name, content)
        picture = image
    else:
        raise DataError(f"{name} is of type {type(image).__name__}. Give {KINDS}.")
    rgb = image_to_rgb(picture, name=name, background=background)
    return EncodedImage(name, b"P6\n%d %d\n255\n" % rgb.size + rgb.tobytes())


def _content_of(file: Any, name: str) -> bytes:
    """Return the content of an open file from its start, and restore its position."""
    can_seek = hasattr(file, "seekable") and file.seekable()
    try:
        before = file.tell() if can_seek else 0
        if can_seek:
            file.seek(0)
        content = file.read()
        if can_seek:
            file.seek(before)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise UnreadableImageError(name, str(error)) from error
    if not isinstance(content, bytes):
        raise DataError(f"{name} is a file opened as text. Open it with 'rb'.")
    return content


def _pixels(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    """Return an array as one that Pillow takes."""
    shape = array.shape
    is_picture = array.ndim == 2 or (array.ndim == 3 and shape[2] in {1, 3, 4})
    if array.dtype != np.uint8 or not is_picture or not array.size:
        several = " Give several images as a list of arrays." if array.ndim == 4 else ""
        raise DataError(
            f"{name} is an array of {array.dtype} and shape {shape}. Use uint8 of shape (H, W), (H, W, 3) for RGB or "
            f"(H, W, 4) for RGBA.{several}"
        )
    return np.ascontiguousarray(array[..., 0] if array.ndim == 3 and shape[2] == 1 else array)


def _undecoded(image: Image.Image) -> bytes | None:
    """Return the file's content of a Pillow image of which nothing is decoded or changed yet; else None."""
    file = getattr(image, "fp", None)
    untouched = isinstance(image, ImageFile.ImageFile) and image.tile and not getattr(image, "decoderconfig", ())
    if file is None or not untouched or image.tell() != 0:
        return None
    try:
        content = _content_of(file, "image")
    except UnreadableImageError:
        return None
    return content if detect_format(content) is not None else None
