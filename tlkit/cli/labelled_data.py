"""`LabelledData`: labelled images that a command reads, as its options name them: a folder, shards, or a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.choices import TrainedTask
from tlkit.errors import DataError

if TYPE_CHECKING:
    from tlkit.data.sources.list_options import ListOptions
    from tlkit.samples import Samples


@dataclass(frozen=True)
class LabelledData:
    """What the command line says of labelled images; `of` checks it.

    Attributes:
        path: a folder of class folders, tar shards, or a CSV or Parquet file that lists images; None = not given.
        folder: folder of the paths of a list; None = the list's own.
        columns: the list's own name of a column, where it is another: {"path": "image"}.
        label_columns: the list's columns of one label each, with 1 or 0.
    """

    path: Path | None = None
    folder: Path | None = None
    columns: tuple[tuple[str, str], ...] = ()
    label_columns: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        path: Path | None,
        *,
        folder: Path | None = None,
        columns: Sequence[str] | None = None,
        label_columns: Sequence[str] | None = None,
    ) -> LabelledData:
        """Return what the options say.

        Args:
            path: as for the class.
            folder: as for the class.
            columns: texts such as "path=image".
            label_columns: as for the class.

        Raises:
            DataError: an option is about a list of images, and there is none; or a text is no mapping.
        """
        names, given = named_columns(columns), _first_given(folder, columns, label_columns)
        if given and path is None:
            raise DataError(f"{given} is for a list of images. Name it, --data LIST.csv, or leave {given} out.")
        if given and path is not None:
            require_list([str(path)], given)
        refuse_both_labels(names, label_columns or ())
        return cls(path, folder, tuple(names.items()), tuple(label_columns or ()))

    @property
    def given(self) -> dict[str, object]:
        """The options with the values that are given."""
        own = {"--data": self.path, "--root": self.folder, "--column": self.columns}
        return {**own, "--label-column": self.label_columns}

    def source(self) -> dict[str, Any]:
        """Return the arguments `data` and `root` of the functions that predict labelled images."""
        return {"data": self.path, "root": self.folder}

    def samples(self) -> Samples:
        """Return the images of a list, to learn from.

        Raises:
            DataError: the list is missing or wrong, or has fewer than two classes.
        """
        from tlkit.data.sources.read_samples import read_samples

        return read_samples(() if self.folder is None else self.folder, manifest=self.path, options=self.options())

    def options(
        self,
        *,
        task: TrainedTask = "multiclass",
        separator: str | None = None,
        grades: Sequence[str] = (),
        verbatim: bool = False,
    ) -> ListOptions:
        """Return how the labels are read.

        Args:
            task: what a label says of an image.
            separator: between several labels of a cell; None = the usual one.
            grades: names of the grades from the lowest on.
            verbatim: keep labels and groups as they are written.

        Raises:
            DataError: columns of one label each are named for another task, or a column cannot have another name.
        """
        from tlkit.data.sources.list_options import ListOptions
        from tlkit.spelling import SEPARATOR

        if self.label_columns and task != "multilabel":
            raise DataError(
                f"--label-column names a column of 1 and 0 for each of several labels, and the task is {task}. Name "
                "the column of the labels: --column label=NAME."
            )
        return ListOptions(
            names=dict(self.columns),
            task=task,
            separator=separator or SEPARATOR,
            label_columns=self.label_columns,
            grades=tuple(grades),
            verbatim=verbatim,
        )


def refuse_both_labels(names: Mapping[str, str], label_columns: Sequence[str], separator: str | None = None) -> None:
    """Check that nothing is said of one column of all labels where each label has a column of its own.

    Args:
        names: the list's own names of columns.
        label_columns: columns of one label each.
        separator: between several labels of a cell; None = not given.

    Raises:
        DataError: something is.
    """
    if not label_columns:
        return
    each = ", ".join(label_columns)
    problems = []
    if "label" in names:
        problems.append(
            f"--column label={names['label']} names one column of the labels, and --label-column one of each label "
            f"({each}). State one of the two."
        )
    if separator:
        problems.append(
            f"--separator is about labels in one cell, and each of {each} has a column of its own (--label-column). "
            "Leave --separator out."
        )
    if problems:
        raise DataError(*problems)


def require_list(images: Sequence[str], given: str) -> None:
    """Check that images are one list, since an option is about its columns or paths.

    Args:
        images: what the command line names.
        given: the option.

    Raises:
        DataError: they are none.
    """
    from tlkit.data.sources.read_samples import is_list

    if len(images) != 1 or not is_list(images[0]):
        raise DataError(f"{given} is for a list of images, a CSV or Parquet file; the images are {', '.join(images)}.")


def named_columns(texts: Sequence[str] | None) -> dict[str, str]:
    """Return the names of columns that the option --column states.

    Args:
        texts: such as "path=image".

    Raises:
        DataError: a text is no mapping, or two are about one column.
    """
    names = [text.partition("=")[::2] for text in texts or ()]
    wrong = [text for text, (name, theirs) in zip(texts or (), names, strict=True) if not (name and theirs)]
    if wrong:
        raise DataError(f"--column is {wrong[0]!r}. Write it like --column path=image.")
    own = [name for name, _ in names]
    if twice := [name for name in dict.fromkeys(own) if own.count(name) > 1]:
        raise DataError(f"--column names {twice[0]!r} more than once. State one column for it.")
    return dict(names)


def _first_given(folder: Path | None, columns: Sequence[str] | None, label_columns: Sequence[str] | None) -> str:
    """Return the first of the options that is given; "" = none."""
    if folder is not None:
        return "--root"
    return "--column" if columns else "--label-column" if label_columns else ""
