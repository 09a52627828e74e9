"""Reads Pascal VOC's folders: the labels of an image are the names of the objects in its XML file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tlkit.data.importers.listed_image import (
    DatasetPart,
    Found,
    ListedImage,
    Skipped,
    distinct,
    is_file,
    read_bounded,
    require_inside,
    skipped_of,
)
from tlkit.data.sources.entries import Entry
from tlkit.data.sources.walk import walk_images
from tlkit.errors import DataError
from tlkit.samples import SPLITS

MOST_XML_BYTES = 1 << 24
"""Largest XML file, 16 MiB."""
MOST_DEPTH = 32
"""Deepest nesting of an XML file."""
ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp")


def read_voc(folder: Path) -> list[DatasetPart]:
    """Return the images of a VOC dataset with the names of their objects, difficult ones too.

    The split is that of ImageSets/Main/train.txt, val.txt and test.txt, where they exist; images in none of them are
    skipped. Without train.txt, images of trainval.txt belong to train, but for those that val.txt or test.txt names.
    An image without an XML file is skipped, too.

    Args:
        folder: a folder with Annotations and JPEGImages, or one that holds such folders, as VOCdevkit.

    Raises:
        DataError: there is no such folder, or a file names an image outside of it.
    """
    roots = (
        [folder] if (folder / "Annotations").is_dir() else sorted(path.parent for path in folder.glob("*/Annotations"))
    )
    if not roots:
        raise DataError(
            f"{folder} has no folder Annotations, and none of its folders has. Name the folder of VOC's data."
        )
    return [DatasetPart(list(_entries(root)), root=root) for root in roots]


def _entries(root: Path) -> Iterator[Found]:
    split_of, repeated = _sets(root)
    yield from repeated
    seen, used = set(), set()
    for file in sorted(path for path in (root / "Annotations").iterdir() if path.suffix.lower() == ".xml"):
        seen.add(file.stem)
        try:
            name, labels = _read(file)
        except ValueError as error:
            yield Skipped(f"Annotations/{file.name}", f"its XML cannot be read: {error}")
            continue
        if split_of and file.stem not in split_of:
            yield Skipped(f"Annotations/{file.name}", "it is in no list of ImageSets/Main")
            continue
        path = _image(root, file, name)
        used.add(path)
        if path is None:
            yield Skipped(name or file.stem, "the image is missing")
        elif not labels:
            yield Skipped(path, "it has no object")
        else:
            columns = {"objects": str(len(labels))}
            yield ListedImage(path, distinct(labels), split=split_of.get(file.stem, ""), columns=columns)
    for stem in sorted(set(split_of) - seen):
        yield Skipped(stem, "it is in a list of ImageSets/Main, but has no XML file")
    left_out: list[Entry] = []
    if (root / "JPEGImages").is_dir():
        for path in sorted(walk_images(root, "JPEGImages", left_out)):
            if path not in used and Path(path).stem not in seen | set(split_of):
                yield Skipped(path, "it has no XML file")
    yield from skipped_of(left_out)


def _sets(root: Path) -> tuple[dict[str, str], list[Skipped]]:
    """Return the split of each image by its name without ending, and the lines that state another one again."""
    folder = root / "ImageSets" / "Main"
    files = [(folder / f"{split}.txt", split) for split in SPLITS]
    if not files[0][0].is_file():
        files = [*files[1:], (folder / "trainval.txt", "train")]
    split_of: dict[str, str] = {}
    repeated: list[Skipped] = []
    for file, split in files:
        if not file.is_file():
            continue
        lines = read_bounded(file, what="a list of VOC").decode("utf-8", "replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            first = split_of.setdefault(_stem(line.strip(), root), split)
            if first != split and file.stem != "trainval":  # which holds the images of val, too
                what = f"{line.strip()} is in {first}.txt, too, which counts"
                repeated.append(Skipped(f"ImageSets/Main/{file.name}:{number}", what))
    return split_of, repeated


def _stem(line: str, root: Path) -> str:
    """Return the name of an image in a list, which may have blanks; a number may follow it."""
    return line if is_file(root, f"Annotations/{line}.xml") else line.split(maxsplit=1)[0]


def _image(root: Path, file: Path, name: str) -> str | None:
    """Return the path of the image of an XML file; None where there is none."""
    require_inside([name] if name else [], where=file)
    names = [name, *(f"{file.stem}{ending}" for ending in ENDINGS)]
    for one in names:
        path = f"JPEGImages/{one}"
        if one and is_file(root, path):
            require_inside([path], where=file, root=root)
            return path
    return None


def _read(file: Path) -> tuple[str, list[str]]:
    """Return the file name of the image and the names of its objects.

    Raises:
        ValueError: the file is no XML of VOC; entities and a document type are refused, as they can name other files.
    """
    if not file.is_file():  # a link that leads nowhere, a folder or a pipe
        raise ValueError("it is no file")
    if file.stat().st_size > MOST_XML_BYTES:
        raise ValueError(f"it is larger than {MOST_XML_BYTES >> 20} MiB")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{error.strerror}") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it declares a document type")
    parser = ElementTree.XMLPullParser(("start", "end"))  # type: ignore[var-annotated]
    root: ElementTree.Element | None = None
    depth = 0
    try:
        for start in range(0, len(text), 1 << 16):
            parser.feed(text[start : start + (1 << 16)])
            for what, element in parser.read_events():  # type: ignore[misc]
                depth += 1 if what == "start" else -1
                root = element if root is None else root  # type: ignore[assignment]
                if depth > MOST_DEPTH:
                    raise ValueError(f"it nests more than {MOST_DEPTH} levels deep")
        parser.close()
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None
    if root is None or root.tag != "annotation":
        raise ValueError("it does not begin with <annotation>")
    labels = [(one.findtext("name") or "").strip() for one in root.findall("object")]
    if not all(labels):
        raise ValueError("an object has no name")
    return (root.findtext("filename") or "").strip(), labels
