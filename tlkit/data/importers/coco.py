"""Reads COCO's JSON of boxes or masks: the labels of an image are the categories of its annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tlkit.data.importers.listed_image import (
    DatasetPart,
    Found,
    ListedImage,
    Skipped,
    as_utf8,
    distinct,
    is_file,
    read_bounded,
    require_inside,
    split_of_file,
)
from tlkit.errors import DataError, first_few
from tlkit.stored_values import parse_json

KEYS = ("images", "annotations", "categories")
WHAT = "a JSON file in COCO's format, such as instances_train2017.json"


def read_coco(file: Path, *, images: Path | None = None) -> DatasetPart:
    """Return the images of a COCO file with the categories of their annotations; a crowd counts.

    The split is the word in the file's name, such as train in instances_train2017.json, else the name of its folder,
    such as valid/_annotations.coco.json.

    Args:
        file: the JSON file.
        images: the folder of the images; default: looked for beside the file.

    Raises:
        DataError: the file cannot be read, is no COCO file, names images outside of their folder, or has two categories
            of one name or id; or the folder of images is not found.
    """
    values = read_coco_file(file)
    names = coco_categories(values["categories"], file)
    listed = coco_images(values["images"], file)
    if not listed:
        raise DataError(f"{file} lists no images. Name {WHAT}.")
    paths = [path_of_coco(one) for one in listed.values()]
    root = _root(file, paths, images)
    require_inside(paths, where=file, root=root)
    return DatasetPart(list(_entries(values["annotations"], listed, names, root, file)), root=root)


def read_coco_file(file: Path) -> Mapping[str, Any]:
    """Return the lists images, annotations and categories of a COCO file.

    Raises:
        DataError: the file cannot be read or is no COCO file.
    """
    content = read_bounded(file, what=WHAT)
    try:
        values = parse_json(content)
    except ValueError as error:
        raise DataError(f"{file} is no JSON: {error}. Name {WHAT}.") from None
    if not isinstance(values, dict) or any(not isinstance(values.get(key), list) for key in KEYS):
        raise DataError(f"{file} does not hold the lists {', '.join(KEYS)}. Name {WHAT}.")
    wrong = [key for key in KEYS if any(not isinstance(one, dict) for one in values[key])]
    if wrong:
        raise DataError(f"{file}: the list {wrong[0]} holds something other than objects. Name {WHAT}.")
    return values


def coco_images(images: Sequence[Mapping[str, Any]], file: Path) -> dict[Any, Mapping[str, Any]]:
    """Return images by their ids; a DataError is raised where one has none, or no file name, or two share one."""
    listed: dict[Any, Mapping[str, Any]] = {}
    for place, one in enumerate(images):
        key = one.get("id")
        if not isinstance(key, int | str) or not isinstance(one.get("file_name"), str):
            raise DataError(f"{file}: images[{place}] has no id or no file_name. Add them.")
        if key in listed:
            raise DataError(f"{file}: two images have the id {key}. Give each its own.")
        listed[key] = one
    return listed


def path_of_coco(image: Mapping[str, Any]) -> str:
    """Return the path of an image, with "/"."""
    return as_utf8(str(image["file_name"]).replace("\\", "/"))


def coco_categories(categories: Sequence[Mapping[str, Any]], file: Path) -> dict[Any, str]:
    """Return the names of categories by their ids; a DataError is raised where one has none, or two share one."""
    names: dict[Any, str] = {}
    for place, one in enumerate(categories):
        key, name = one.get("id"), one.get("name")
        if not isinstance(key, int | str) or not isinstance(name, str) or not name.strip():
            raise DataError(f"{file}: categories[{place}] has no id or no name. Add them.")
        if key in names or name in names.values():
            what = f"the id {key}" if key in names else f"the name {name!r}"
            raise DataError(f"{file}: two categories have {what}. Give each its own.")
        names[key] = name
    return names


def _root(file: Path, paths: Sequence[str], images: Path | None) -> Path:
    """Return the first folder that holds one of the images."""
    above = file.parent.parent
    year = file.stem.rpartition("_")[2]
    usual = (file.parent, file.parent / "images", above, above / "images", above / year, above / "images" / year)
    tried = usual if images is None else (images,)
    some = [path for path in paths[:50] if path]
    for folder in tried:
        if any(is_file(folder, path) for path in some):
            return folder
    where = "the usual folders hold" if images is None else f"{images} holds"
    raise DataError(
        f"{file} names {len(paths)} images, such as {first_few(paths)}, but {where} none of the first 50. State the "
        "folder of images: --images FOLDER."
    )


def _entries(
    annotations: Sequence[Mapping[str, Any]],
    listed: Mapping[Any, Mapping[str, Any]],
    names: Mapping[Any, str],
    root: Path,
    file: Path,
) -> Iterator[Found]:
    split = split_of_file(file)
    labels: dict[Any, list[str]] = {key: [] for key in listed}
    for place, one in enumerate(annotations):
        image, category = one.get("image_id"), one.get("category_id")
        unknown = [
            what
            for what, key, known in (("image", image, labels), ("category", category, names))
            if type(key) not in (int, str) or key not in known
        ]
        if unknown:
            name = f"{file.name}: annotation {one.get('id', place)}"
            yield Skipped(name, f"the file does not list its {unknown[0]}")
        else:
            labels[image].append(names[category])
    for key, one in listed.items():
        path = path_of_coco(one)
        if not is_file(root, path):
            yield Skipped(path, "the image is missing")
        elif not labels[key]:
            yield Skipped(path, "it has no annotation")
        else:
            yield ListedImage(path, distinct(labels[key]), split=split, columns={"objects": str(len(labels[key]))})
