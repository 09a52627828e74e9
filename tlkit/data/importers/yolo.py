"""Reads YOLO's folders: text files of boxes beside the images, or a folder for each class."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tlkit.data.checks.finding_kinds import KINDS
from tlkit.data.importers.listed_image import (
    DatasetPart,
    Found,
    ListedImage,
    Skipped,
    distinct,
    is_file,
    is_folder,
    leads_out,
    read_bounded,
    require_inside,
    skipped_of,
)
from tlkit.data.sources.entries import Entry
from tlkit.data.sources.folder import survey_folder
from tlkit.data.sources.walk import walk_images
from tlkit.errors import DataError, first_few

MOST_YAML_BYTES = 1 << 20
"""Largest YAML file, 1 MiB."""
MOST_YAML_LEVELS = 16
"""Deepest nesting of a YAML file."""
MOST_LABEL_BYTES = 1 << 24
"""Largest file of boxes, 16 MiB."""
STARTS = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
ENDS = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)
SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
WHAT = "a folder of YOLO with data.yaml, images and labels, or one with a folder for each class"


def read_yolo(source: Path) -> DatasetPart:
    """Return the images of a YOLO dataset with the classes of their boxes, or with the class of their folder.

    Of boxes, `data.yaml` states the names and the folders (or lists) of train, val and test; the file of an image's
    boxes has the same path with the last folder `images` replaced by `labels`, and the ending .txt. An image without
    such a file, or with an empty one, shows background only; it is skipped, and named.

    Args:
        source: the folder, or its YAML file.

    Raises:
        DataError: the layout is another one, the YAML file states no names, or a path leads out of the folder.
    """
    if source.is_dir():
        found = sorted(path for path in source.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
        if not found:
            return _classes(source)
        named = [path for path in found if path.stem in ("data", "dataset")] or found
        if len(named) > 1:
            raise DataError(f"{source} has several YAML files: {first_few([path.name for path in named])}. Name one.")
        source = named[0]
    values = _read(source)
    names = _names(values.get("names"), source)
    root = source.parent
    base = _base(values.get("path"), root)
    places = {split: values[key] for split, keys in SPLITS.items() for key in keys if values.get(key)}
    if not places:
        raise DataError(f"{source} states no folder of images: train, val or test. Add them.")
    left_out: list[Entry] = []
    paths = {split: _images(place, base, root, source, left_out) for split, place in places.items()}
    require_inside([path for some in paths.values() for path in some], where=source, root=root)
    return DatasetPart([*_entries(root, paths, names), *skipped_of(left_out)], root=root)


def _classes(folder: Path) -> DatasetPart:
    """Return the images of a folder of class folders."""
    if any((folder / name).is_dir() for name in ("labels", "train/labels")):
        raise DataError(f"{folder} has files of boxes, but no data.yaml that names their classes. Add one.")
    survey = survey_folder(folder)
    if survey.problems:
        raise DataError(*survey.problems)
    samples = survey.samples
    rows = samples.table[["path", "label", "split"]].to_numpy()
    stated = samples.table["split"].nunique() > 1
    images = [ListedImage(path, (label,), split=split if stated else "") for path, label, split in rows]
    empty = [Skipped(name, KINDS["empty-class"].what) for name in survey.empty_classes]
    return DatasetPart([*images, *skipped_of(survey.entries.skipped), *empty], root=folder)


def _read(file: Path) -> Mapping[str, Any]:
    content = read_bounded(file, most=MOST_YAML_BYTES, what="the YAML file of a YOLO dataset")
    try:
        _require_plain(content, file)
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        values = None if node is None else _as_text(node, file)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file} is no YAML that can be read: {first}.") from None
    if not isinstance(values, dict):
        raise DataError(f"{file} holds no keys such as names and train. Name {WHAT}.")
    return values


def _require_plain(content: bytes, file: Path) -> None:
    """Check that a YAML text nests little and has no aliases and tags, before its values are built."""
    depth = 0
    for token in yaml.scan(content):
        if isinstance(token, yaml.TagToken):
            raise DataError(f"{file} states the type of a value (!{token.value[1]}), which is not read. Remove it.")
        if isinstance(token, yaml.AliasToken):
            raise DataError(f"{file} uses aliases (*name), which are not read. Write the values themselves.")
        depth += isinstance(token, STARTS)
        depth -= isinstance(token, ENDS)
        if depth > MOST_YAML_LEVELS:
            raise DataError(f"{file} is no YAML of YOLO: it nests more than {MOST_YAML_LEVELS} levels deep.")


def _as_text(node: yaml.Node, file: Path) -> Any:
    """Return a value whose scalars are as they are written: the classes yes, no, 007 and 1.0 are no other values.

    Raises:
        DataError: a key occurs twice in one place, or is no text.
    """
    if isinstance(node, yaml.SequenceNode):
        return [_as_text(one, file) for one in node.value]
    if not isinstance(node, yaml.MappingNode):
        return None if node.tag == "tag:yaml.org,2002:null" else node.value
    values: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise DataError(f"{file}:{line}  a key is no text. Name {WHAT}.")
        if key.value in values:
            raise DataError(f"{file}:{line}  the key {key.value} is stated twice. Keep one of them.")
        values[key.value] = _as_text(value, file)
    return values


def _names(names: Any, file: Path) -> dict[int, str]:
    """Return the name of each class by its number."""
    given = {str(number): name for number, name in enumerate(names)} if isinstance(names, list) else names
    if not isinstance(given, dict) or not given or not all(re.fullmatch("[0-9]{1,9}", key) for key in given):
        raise DataError(f"{file} states no names of classes. Add names: [cat, dog], or names: {{0: cat, 1: dog}}.")
    texts = {int(key): name.strip() for key, name in given.items() if isinstance(name, str)}
    if len(texts) < len(given) or len(set(texts.values())) < len(texts) or not all(texts.values()):
        raise DataError(f"{file} gives two classes one name or number, or a class none. Give each its own.")
    return texts


def _base(stated: Any, root: Path) -> str:
    """Return the folder of the paths of train, val and test, relative to that of the YAML file."""
    text = posixpath.normpath(str(stated or ".").replace("\\", "/"))
    return text if text != "." and not leads_out(text) and is_folder(root, text) else ""


def _images(place: Any, base: str, root: Path, file: Path, left_out: list[Entry]) -> list[str]:
    """Return the images of a split below the root: of a folder, a list of images, or several of them.

    What a folder holds besides is appended to `left_out`.
    """
    found = []
    for one in place if isinstance(place, list) else [place]:
        text = str(one).replace("\\", "/").removeprefix("./")
        text = (
            text.removeprefix("../")
            if not (is_folder(root, text) or is_file(root, text)) and text.startswith("../")
            else text
        )  # Roboflow
        below = f"{base}/{text}" if base else text
        require_inside([below], where=file)
        if is_folder(root, below):
            found += sorted(walk_images(root, below.rstrip("/"), left_out))
        elif text.endswith(".txt") and is_file(root, below):
            lines = read_bounded(root / below, what="a list of images").decode("utf-8", "replace").splitlines()
            names = [line.strip().replace("\\", "/").removeprefix("./") for line in lines if line.strip()]
            found += [f"{base}/{name}" if base else name for name in names]
        else:
            raise DataError(f"{file} names {one}, but {root / below} is no folder and no list of images. Correct it.")
    return found


def _entries(root: Path, paths: Mapping[str, list[str]], names: Mapping[int, str]) -> Iterator[Found]:
    for split, some in paths.items():
        for path in some:
            if not is_file(root, path):
                yield Skipped(path, "the image is missing")
                continue
            boxes = _boxes_file(path)
            labels, wrong = _labels(root / boxes, names)
            for line, reason in wrong:
                yield Skipped(f"{boxes}:{line}", reason)
            if labels:
                columns = {"objects": str(len(labels))}
                yield ListedImage(path, distinct(labels), split=split, columns=columns)
            else:
                yield Skipped(path, "it has no box" if is_file(root, boxes) else "it has no file of boxes")


def _boxes_file(path: str) -> str:
    """Return the path of the file of an image's boxes.

    Example:
        >>> _boxes_file("images/train/1.jpg")
        'labels/train/1.txt'
    """
    folders = path.split("/")[:-1]
    last = max((place for place, name in enumerate(folders) if name == "images"), default=None)
    if last is not None:
        folders[last] = "labels"
    return "/".join([*folders, f"{Path(path).stem}.txt"])


def _labels(file: Path, names: Mapping[int, str]) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the classes of the boxes in a file, and the lines that are wrong, with the reason."""
    if not file.is_file():
        return [], []
    if file.stat().st_size > MOST_LABEL_BYTES:
        return [], [(1, f"the file is larger than {MOST_LABEL_BYTES >> 20} MiB")]
    labels, wrong = [], []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 5 or not words[0].isdecimal() or len(words[0]) > 9:
            wrong.append((number, "the line is no class and box"))
        elif int(words[0]) not in names:
            wrong.append((number, "the class has no name in the YAML file"))
        else:
            labels.append(names[int(words[0])])
    return labels, wrong
