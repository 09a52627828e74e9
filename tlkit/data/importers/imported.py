"""Writes the images of another tool's dataset as a list that tlkit reads, with what was skipped and why."""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from tlkit.csv_files import write_csv
from tlkit.data.checks.finding_kinds import KINDS
from tlkit.data.importers.imported_tables import imported_tables
from tlkit.data.importers.listed_image import DatasetPart, Found, ListedImage, Skipped, as_utf8
from tlkit.disk import writing
from tlkit.errors import DataError, first_few
from tlkit.output_files import require_folder, require_folder_name, require_writable
from tlkit.samples import LABEL, PATH, SPLIT, SPLITS
from tlkit.spelling import SEPARATOR
from tlkit.tables import Table, to_html

LIST, SKIPPED, IMAGES = "list.csv", "skipped.csv", "images"


@dataclass(frozen=True)
class Imported:
    """What an import has written.

    Attributes:
        manifest: the list of images: path, label, split where it is stated, and further columns.
        root: the folder that its paths are relative to.
        task: multiclass, or multilabel where images have several labels, which the list separates by ";".
        classes: names of the classes or labels, sorted.
        counts: number of images by split; "" = no split is stated.
        skipped: name and reason of each entry that was not taken.
        skipped_file: the CSV file of all skipped entries; None where there are none.
    """

    manifest: Path
    root: Path
    task: Literal["multiclass", "multilabel"]
    classes: tuple[str, ...]
    counts: dict[str, int]
    skipped: tuple[tuple[str, str], ...]
    skipped_file: Path | None

    @property
    def images(self) -> int:
        """Number of images in the list."""
        return sum(self.counts.values())

    @property
    def recipe_lines(self) -> str:
        """The section `data` of a recipe that reads the list, with its `task` where that is not the default."""
        task = "" if self.task == "multiclass" else f"task: {self.task}\n"
        root = "" if self.root == self.manifest.parent else f"root: {_in_yaml(self.root)}, "
        return f"{task}data: {{{root}manifest: {_in_yaml(self.manifest)}}}"

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "manifest": str(self.manifest),
            "root": str(self.root),
            "task": self.task,
            "images": self.images,
            "classes": list(self.classes),
            "counts": self.counts,
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
            "skipped_file": None if self.skipped_file is None else str(self.skipped_file),
        }

    def tables(self) -> tuple[Table, ...]:
        """Return images by split, and what was skipped by reason."""
        return imported_tables(self)

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def _in_yaml(path: Path) -> str:
    """Return a path as a value in YAML, quoted where it holds a sign that may mean something there."""
    text = str(path)
    return text if re.fullmatch(r"[A-Za-z/.][\w/.-]*", text, re.ASCII) else json.dumps(text, ensure_ascii=False)


def require_new_output(out: Path) -> None:
    """Check that a list or a folder can be written, and is not there yet.

    Raises:
        DataError: it exists, other than as an empty folder, or cannot be written.
    """
    if out.is_dir() and not any(out.iterdir()):
        return
    if os.path.lexists(out):
        raise DataError(f"{out} exists already. Remove it, or name another list or folder to write.")
    if is_list_name(out):
        require_writable({"--out": out})
    else:
        require_folder_name(out, name="--out", hint="A list of images that stay where they are ends in .csv.")
        require_folder(out.absolute().parent, name=f"--out {out}: its folder")


def is_list_name(out: Path) -> bool:
    """Return whether an output is a list beside images that stay where they are, not a folder of copies."""
    return out.suffix.lower() == ".csv"


def write_import(parts: Sequence[DatasetPart], out: Path) -> Imported:
    """Write images as a list, or as a folder of copies with a list, and return what was written.

    Args:
        parts: the dataset; of several parts the paths are joined below their common folder.
        out: a name that ends in .csv, for a list of files that stay where they are; else a new folder, for a list with
            copies of the images, whose bytes are kept.

    Raises:
        DataError: there is no image to list, some are in a split and some in none, `out` exists, images that are not
            files should only be listed, or a label cannot be written.
    """
    require_new_output(out)
    if is_list_name(out):
        if any(part.root is None for part in parts):
            raise DataError(f"The images are no files of their own, so that {out} cannot list them. Name a folder.")
        root = _common_root(parts)
        found, skipped = _divided(entry for part in parts for entry in _below(part, root))
        table, task = _table(found)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_csv(out, table, verbatim=[PATH])
        skipped_file = _write_skipped(out.with_name(f"{out.stem}.skipped.csv"), skipped)
        return _imported(table, task, skipped, manifest=out, root=root, skipped_file=skipped_file)
    out.parent.mkdir(parents=True, exist_ok=True)
    with writing(out), tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        draft = Path(folder, "made")
        draft.mkdir()
        root = _common_root(parts)
        below = (entry for part in parts for entry in _below(part, root if part.root else None))
        found, skipped = _divided(below, partial(_copied, root=root, draft=draft))
        table, task = _table(found)
        write_csv(draft / LIST, table, verbatim=[PATH])
        _write_skipped(draft / SKIPPED, skipped)
        if out.exists():
            out.rmdir()
        draft.rename(out)
    skipped_file = out / SKIPPED if skipped else None
    return _imported(table, task, skipped, manifest=out / LIST, root=out, skipped_file=skipped_file)


def _imported(
    table: pd.DataFrame, task: Any, skipped: Sequence[Skipped], *, manifest: Path, root: Path, skipped_file: Path | None
) -> Imported:
    splits = Counter(table[SPLIT]) if SPLIT in table.columns else Counter({"": len(table)})
    labels = table[LABEL].str.split(SEPARATOR).explode() if task == "multilabel" else table[LABEL]
    return Imported(
        manifest=manifest,
        root=root,
        task=task,
        classes=tuple(sorted(set(labels))),
        counts={split: splits[split] for split in (*SPLITS, "") if splits[split]},
        skipped=tuple((one.name, one.reason) for one in skipped),
        skipped_file=skipped_file,
    )


def _common_root(parts: Sequence[DatasetPart]) -> Path:
    roots = [part.root for part in parts if part.root is not None]
    if len(set(roots)) <= 1:
        return roots[0] if roots else Path()
    return Path(os.path.commonpath([root.absolute() for root in roots]))


def _below(part: DatasetPart, root: Path | None) -> Iterable[Found]:
    """Yield the entries of a part with paths and names below a folder above it."""
    if part.root is None or root is None or part.root == root:
        yield from part.entries
        return
    above = part.root.absolute().relative_to(root).as_posix()
    for entry in part.entries:
        if isinstance(entry, ListedImage):
            yield replace(entry, path=f"{above}/{entry.path}")
        else:
            yield replace(entry, name=f"{above}/{entry.name}")


def _copied(image: ListedImage, *, root: Path, draft: Path) -> ListedImage:
    """Write an image into a folder, and return it with its path there."""
    path = f"{IMAGES}/{image.path}"
    target = draft / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if image.content is not None:
        target.write_bytes(image.content)
    else:
        shutil.copyfile(root / image.path, target)
    return replace(image, path=path)


def _divided(
    entries: Iterable[Found], take: Callable[[ListedImage], ListedImage] = lambda image: image
) -> tuple[list[ListedImage], list[Skipped]]:
    """Return images, as `take` leaves them, and skipped entries; of a path that is listed twice the second is skipped.

    The contents of images are not kept, and paths are written in one way: "./a//b.png" is "a/b.png".
    """
    found: dict[str, ListedImage] = {}
    skipped = []
    for entry in entries:
        if isinstance(entry, Skipped):
            skipped.append(replace(entry, name=as_utf8(entry.name)))
            continue
        path = posixpath.normpath(entry.path)
        if as_utf8(path) != path:
            skipped.append(Skipped(as_utf8(path), KINDS["not-utf8"].what))
        elif not entry.labels:
            skipped.append(Skipped(path, "it has no label"))
        elif path in found:
            skipped.append(Skipped(path, "it is listed twice; the first counts"))
        else:
            found[path] = replace(take(replace(entry, path=path)), content=None)
    if not found:
        reasons = Counter(one.reason for one in skipped)
        why = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
        names = f" Skipped are {first_few([one.name for one in skipped])}: {why}." if skipped else ""
        raise DataError(f"There is no image with a label to list.{names}")
    return list(found.values()), skipped


def _table(found: Sequence[ListedImage]) -> tuple[pd.DataFrame, Literal["multiclass", "multilabel"]]:
    """Return the list of images and the task that its labels are for."""
    task: Literal["multiclass", "multilabel"] = (
        "multilabel" if any(len(one.labels) > 1 for one in found) else "multiclass"
    )
    names = sorted({label for one in found for label in one.labels})
    wrong = [as_utf8(name) for name in names if as_utf8(name) != name]
    if wrong:
        raise DataError(f"The name of a class is no valid UTF-8: {first_few(wrong)}. Rename it in the dataset.")
    blank = [name for name in names if not name.strip()]
    split = [name for name in names if SEPARATOR in name]
    if blank:
        raise DataError("A class has an empty name. Give it one in the dataset.")
    if split and task == "multilabel":
        raise DataError(
            f"Images have several labels, which the list separates by {SEPARATOR!r}, but names of labels hold it, too: "
            f"{first_few(split)}. Rename them in the dataset."
        )
    splits = {one.split for one in found}
    with_split = "train" in splits  # a single held-out split divides nothing
    if with_split and "" in splits:  # a list is read as train where it states no split
        unstated = [one.path for one in found if not one.split]
        raise DataError(
            f"{len(unstated)} images are in no split, and {len(found) - len(unstated)} are: {first_few(unstated)}. "
            "State the split of all, by the name of their file or folder, or import them apart."
        )
    columns = list(dict.fromkeys(name for one in found for name in one.columns))
    rows = [
        (one.path, SEPARATOR.join(one.labels), *([one.split] if with_split else []), *map(one.columns.get, columns))
        for one in found
    ]
    header = [PATH, LABEL, *([SPLIT] if with_split else []), *columns]
    return pd.DataFrame(rows, columns=header).fillna("").astype("str"), task


def _write_skipped(file: Path, skipped: Sequence[Skipped]) -> Path | None:
    if not skipped:
        return None
    write_csv(file, pd.DataFrame([(one.name, one.reason) for one in skipped], columns=["name", "reason"]))
    return file
