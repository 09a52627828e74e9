"""Labels of class folders for several labels an image: a file that lies in several folders is one image."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tlkit.data.sources.list_options import ListOptions
from tlkit.errors import DataError, first_few
from tlkit.samples import LABEL, PATH, SPLIT, Samples
from tlkit.spelling import SEPARATOR

logger = logging.getLogger(__name__)

WHAT = "The class folders"


def join_shared_files(samples: Samples, options: ListOptions) -> Samples:
    """Return each image of class folders once, with the names of all folders it lies in as its labels.

    Files of one split with the same name and the same bytes, by sha256, are one image, whether they are copies or
    links; the first path stands for it. Files of one name with other bytes are images of their own.

    Args:
        samples: the files of class folders, each with the class of its folder.
        options: how the names of folders are read.

    Raises:
        DataError: the name of a folder holds the separator of labels.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (root / name).mkdir()
        ...     _ = (root / name / "a.png").write_bytes(b"the same")
        >>> table = pd.DataFrame({"path": ["cat/a.png", "dog/a.png"], "label": ["cat", "dog"], "split": "train"})
        >>> options = ListOptions(task="multilabel")
        >>> join_shared_files(Samples(root, ("cat", "dog"), table.assign(digest="")), options).table["label"].tolist()
        ['cat;dog']
    """
    named = [name for name in samples.classes if SEPARATOR in name]
    if named:
        raise DataError(
            f"The names of class folders hold {SEPARATOR!r}, which separates the labels of an image: "
            f"{first_few(named)}. Rename the folders."
        )
    table = samples.table.assign(**{LABEL: options.labels(samples.table[LABEL], what=WHAT)})
    key = [table[SPLIT], table[PATH].str.rpartition("/")[2], pd.Series(_contents(samples.root, table), table.index)]
    labels = table.groupby(key, sort=False)[LABEL].transform(lambda names: SEPARATOR.join(sorted(set(names))))
    classes = tuple(sorted(set(table[LABEL])))
    first = ~pd.concat(key, axis=1).duplicated()
    joined = table.assign(**{LABEL: labels.astype("str")})[first].reset_index(drop=True)
    several = int(joined[LABEL].str.contains(SEPARATOR, regex=False).sum())
    if several:
        text = "%s: %d files are %d images, %d of them in several class folders."
        logger.info(text, samples.root, len(table), len(joined), several)
    elif len(table):
        logger.warning(
            "No file of %s lies in several class folders, so each of %d images has one label. If each shows one class, "
            "leave task: multilabel out.",
            samples.root,
            len(joined),
        )
    return replace(samples, classes=classes, table=joined, task="multilabel")


def _contents(root: Path, table: pd.DataFrame) -> list[str]:
    """Return the sha256 of the files whose name another file of the split has, too; the path of every other file."""
    names = pd.concat([table[SPLIT], table[PATH].str.rpartition("/")[2]], axis=1)
    return [
        _digest(root / path) or path if again else path
        for path, again in zip(table[PATH], names.duplicated(keep=False), strict=True)
    ]


def _digest(file: Path) -> str:
    """Return the sha256 of a file; "" where it cannot be read, which the check of the images reports."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
