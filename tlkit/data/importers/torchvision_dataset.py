"""Writes a dataset object of torchvision, or one like it, as a folder with a list that tlkit reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlkit.data.importers.imported import Imported, require_new_output, write_import
from tlkit.data.importers.listed_image import DatasetPart, Found, ListedImage, Skipped, distinct
from tlkit.errors import DataError, first_few
from tlkit.png_files import png
from tlkit.samples import SPLITS


def from_torchvision(
    dataset: Any, out: str | Path, *, labels: Callable[[Any], str | Iterable[str] | None] | None = None
) -> Imported:
    """Write the images of a `torchvision.datasets` object, or one like it, as a folder with a list; return both.

    Files of an ImageFolder keep their bytes; other images are written as PNG, without loss.

    Args:
        dataset: an object with a length whose items are (image, target), without a transform; or several by split, such
            as {"train": …, "test": …}. An image is a picture of Pillow, or bytes (H, W), (H, W, 3) or, of a tensor,
            (1 or 3, H, W). A target is a class number of `dataset.classes`, text, or what VOCDetection and
            CocoDetection give.
        out: a new folder.
        labels: turns a target into its label, or several, or None where it has none; default: as above.

    Raises:
        DataError: the object has a transform, an item is of another kind, or `out` exists.

    Example:
        >>> from torchvision.datasets import ImageFolder
        >>> done = from_torchvision(ImageFolder("photos"), "from_torchvision")
        >>> done.images, done.classes
        (60, ('cat', 'dog'))
    """
    parts = dataset if isinstance(dataset, Mapping) else {"": dataset}
    wrong = [str(name) for name in parts if name not in (*SPLITS, "")]
    if wrong:
        raise DataError(f"The splits are {first_few(wrong)}. Use {', '.join(SPLITS)}.")
    out = Path(out)
    if out.suffix.lower() == ".csv":
        raise DataError(f"from_torchvision writes a folder, and {out} is the name of a list. Name a folder.")
    require_new_output(out)
    for one in parts.values():
        _require_untransformed(one)
    return write_import([DatasetPart(_entries(one, split, labels)) for split, one in parts.items()], out)


def _require_untransformed(dataset: Any) -> None:
    names = ("transform", "target_transform", "transforms")
    given = [name for name in names if getattr(dataset, name, None) is not None]
    if given:
        raise DataError(
            f"The dataset {type(dataset).__name__} changes its images or targets ({given[0]}). Make it without a "
            "transform: a recipe's augment and the backbone's preprocessing do that."
        )
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(f"The dataset is {type(dataset).__name__}, which has no length or no items.")


def _entries(dataset: Any, split: str, labels: Callable[[Any], Any] | None) -> Iterator[Found]:
    files: Any = getattr(dataset, "samples", None)
    classes = list(getattr(dataset, "classes", ()) or ())
    is_files = isinstance(files, list) and len(files) == len(dataset) and all(_is_file(one) for one in files)
    for row in range(len(dataset)):
        if is_files:
            path, target = files[row]
            content, ending = Path(path).read_bytes(), Path(path).suffix
            columns = {"source": _relative(path, getattr(dataset, "root", ""))}
        else:
            item = dataset[row]
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise DataError(f"Item {row} of {type(dataset).__name__} is no pair of image and target.")
            image, target = item
            content, ending, columns = png(_pixels(image, row, dataset)), ".png", {}
        name = f"{split or 'all'}/{row:07d}{ending}"
        found = _labels(target, classes, dataset, row) if labels is None else labels(target)
        some = () if found is None else (found,) if isinstance(found, str) else tuple(found)
        yield ListedImage(name, distinct(some), content, split, columns) if some else Skipped(name, "it has no label")


def _is_file(sample: Any) -> bool:
    return isinstance(sample, tuple) and len(sample) == 2 and isinstance(sample[0], str | Path)


def _relative(path: str | Path, root: Any) -> str:
    below = Path(path)
    return below.relative_to(root).as_posix() if root and below.is_relative_to(root) else below.name


def _pixels(image: Any, row: int, dataset: Any) -> Any:
    """Return a picture, or bytes (H, W) or (H, W, 3)."""
    if isinstance(image, Image.Image):
        return image
    is_tensor = not isinstance(image, np.ndarray) and hasattr(image, "numpy")
    pixels = np.asarray(image)
    if is_tensor and pixels.ndim == 3 and pixels.shape[0] in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise DataError(
            f"Image {row} of {type(dataset).__name__} is {pixels.dtype} of the shape {pixels.shape}, not a picture or "
            "bytes from 0 to 255. Make the dataset without a transform."
        )
    return np.ascontiguousarray(pixels)


def _labels(target: Any, classes: list[Any], dataset: Any, row: int) -> Any:
    """Return the label of a target, or several."""
    if isinstance(target, str):
        return target
    if isinstance(target, dict) and isinstance(target.get("annotation"), dict):  # VOCDetection
        return [one["name"] for one in target["annotation"].get("object", [])]
    if isinstance(target, list) and all(isinstance(one, dict) and "category_id" in one for one in target):
        names = {key: one["name"] for key, one in dataset.coco.cats.items()}  # CocoDetection
        return [names[one["category_id"]] for one in target]
    try:
        number = int(target)
        if number != target:
            raise ValueError(f"{target} is no class number")
    except (TypeError, ValueError, RuntimeError):
        raise DataError(
            f"Target {row} of {type(dataset).__name__} is no class number, but {str(target)[:40]!r}. "
            "State how it becomes a label: labels=lambda target: …"
        ) from None
    if classes and not 0 <= number < len(classes):
        raise DataError(f"Target {row} of {type(dataset).__name__} is {number}, but there are {len(classes)} classes.")
    return str(classes[number]) if classes else str(number)
