"""Imports datasets of other tools by the name of their format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tlkit.choices import ImportKind
from tlkit.data.importers.cifar import read_cifar10
from tlkit.data.importers.coco import read_coco
from tlkit.data.importers.imported import Imported, is_list_name, require_new_output, write_import
from tlkit.data.importers.listed_image import DatasetPart
from tlkit.data.importers.mnist import read_mnist
from tlkit.data.importers.parquet import read_parquet_images
from tlkit.data.importers.voc import read_voc
from tlkit.data.importers.yolo import read_yolo
from tlkit.errors import DataError, first_few
from tlkit.input_files import refuse_pipe

WITH_IMAGES, WITH_COLUMNS = ("coco",), ("parquet",)


def import_images(
    kind: ImportKind,
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    images: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> Imported:
    """Write another tool's dataset as a list of images that a recipe reads; nothing that is skipped goes unnamed.

    Args:
        kind: coco (JSON files of boxes or masks), voc (Pascal VOC), yolo (boxes, or a folder for each class), parquet
            (of the Hugging Face hub), cifar10 or mnist (their original files).
        sources: the file or folder, or several, whose images are then below their common folder.
        out: a new list that ends in .csv, of files that stay where they are; or a new folder, for a list with copies.
        images: of coco, the folder of the images; default: looked for beside the file.
        columns: of parquet, the names of the columns `image` and `label`; default: by the hub's metadata.

    Raises:
        DataError: a source cannot be read, an image lies outside of its folder, no image has a label, or `out`
            exists, or is a folder in a source of class folders.

    Example:
        >>> done = import_images("yolo", "photos", "photos.csv")
        >>> done.images, done.task, done.counts
        (60, 'multiclass', {'': 60})
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    if images is not None and kind not in WITH_IMAGES:
        raise DataError(f"images is for {', '.join(WITH_IMAGES)}; {kind} says itself where its images are.")
    if columns and kind not in WITH_COLUMNS:
        raise DataError(f"columns are for {', '.join(WITH_COLUMNS)}; {kind} has none to name.")
    unknown = [name for name in columns or {} if name not in ("image", "label")]
    if unknown:
        raise DataError(f"columns names {unknown[0]!r}. Use image and label.")
    out = Path(out)
    require_new_output(out)
    inside = [source for source in sources if out.absolute().is_relative_to(Path(source).absolute())]
    if kind == "yolo" and inside and not is_list_name(out):
        raise DataError(f"{out} lies in {inside[0]}, whose folders are classes or splits. Name a folder elsewhere.")
    folder = None if images is None else Path(images)
    paths = [Path(source) for source in sources]
    absent = [path for path in paths if not path.exists()]
    if absent or not paths:
        raise DataError(f"{first_few(absent)} does not exist." if absent else "No source is named.")
    for path in paths:
        refuse_pipe(path, error=DataError)
    if kind == "parquet":
        return write_import(read_parquet_images(paths, columns=columns or {}), out)
    if len(paths) > 1 and kind in ("cifar10", "mnist"):
        raise DataError(f"{kind} is a single folder, and {len(paths)} are named. Import each to a folder of its own.")
    return write_import([part for path in paths for part in _parts(kind, path, folder)], out)


def _parts(kind: ImportKind, source: Path, images: Path | None) -> list[DatasetPart]:
    if kind in ("voc", "cifar10", "mnist") and not source.is_dir():
        raise DataError(f"{source} is a file. Unpack it, and name the folder.")
    match kind:
        case "coco":
            return [read_coco(source, images=images)]
        case "voc":
            return read_voc(source)
        case "yolo":
            return [read_yolo(source)]
        case "cifar10":
            return [read_cifar10(source)]
        case "mnist":
            return [read_mnist(source)]
        case _:
            raise DataError(f"There is no format {kind!r}. Use coco, voc, yolo, parquet, cifar10 or mnist.")
