"""The images that a command names: folders, a list with its folder and columns, or shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.choices import Annotations, ListedTask
from tlkit.cli.labelled_data import named_columns, refuse_both_labels, require_list
from tlkit.errors import DataError

if TYPE_CHECKING:
    from tlkit.mask_classes import MaskClasses


def list_source(
    root: Sequence[str],
    *,
    folder: Path | None,
    columns: Sequence[str] | None,
    annotations: Annotations,
    task: ListedTask = "multiclass",
    label_columns: Sequence[str] | None = None,
    separator: str | None = None,
    grades: str | None = None,
    masks: Path | None = None,
    classes: str | None = None,
    void: int | None = None,
) -> dict[str, Any]:
    """Return the arguments `root`, `manifest` and `options` of the functions that read images.

    Args:
        root: what the command line names.
        folder: folder of the paths of a list.
        columns: texts such as "path=image".
        annotations: what several rows of one image are.
        task: what a label says of an image.
        label_columns: columns of one label each.
        separator: between several labels of a cell; None = the usual one.
        grades: names of the grades, separated by commas.
        masks: folder of the masks of a folder of images.
        classes: names of the classes of masks, separated by commas, perhaps each with its number: road=7,car=26.
        void: number of the pixels of masks that count nowhere.

    Raises:
        DataError: a text is no mapping, or there is no list for these options.
    """
    from tlkit.data.sources.list_options import ListOptions
    from tlkit.data.sources.read_samples import is_list
    from tlkit.spelling import SEPARATOR

    for option, value, wanted in (
        ("--label-column", label_columns, "multilabel"),
        ("--separator", separator, "multilabel"),
        ("--grades", grades, "ordinal"),
        ("--masks", masks, "segmentation"),
        ("--classes", classes, "segmentation"),
        ("--void", None if void is None else str(void), "segmentation"),
    ):
        if value and task != wanted:
            raise DataError(f"{option} is for --task {wanted}, and the task is {task}. Add it, or leave {option} out.")
    names = named_columns(columns)
    refuse_both_labels(names, label_columns or (), separator)
    options = ListOptions(
        names=names,
        annotations=annotations,
        task=task,
        label_columns=tuple(label_columns or ()),
        separator=separator or SEPARATOR,
        grades=() if grades is None else tuple(one.strip() for one in grades.split(",")),
        masks=_mask_classes(classes, void) if task == "segmentation" else None,
        mask_folder="" if masks is None else str(masks),
    )
    if task == "segmentation" and not (len(root) == 1 and is_list(root[0])):
        if masks is None:
            raise DataError(
                "The folder of the masks is not stated: --masks FOLDER. A list names each mask in its label."
            )
        if folder is not None or columns:
            raise DataError(f"{'--root' if folder is not None else '--column'} is for a list of images. Leave it out.")
        return {"root": root, "options": options}
    if masks is not None:
        raise DataError(f"--masks is for a folder of images; {root[0]} names the mask of each image. Leave it out.")
    listed = {
        "--root": folder is not None,
        "--column": bool(columns),
        "--label-column": bool(label_columns),
        "--separator": bool(separator),
        "--annotations": annotations != "one",
        f"--task {task}": task == "regression",
    }
    given = [option for option, is_given in listed.items() if is_given]
    if not given:
        return {"root": root, "options": options}
    require_list(root, given[0])
    return {"root": () if folder is None else folder, "manifest": root[0], "options": options}


def _mask_classes(classes: str | None, void: int | None) -> MaskClasses:
    """Return the classes of masks that the options state.

    Raises:
        DataError: they are missing, or wrong.
    """
    from tlkit.cli.task_file import numbered_classes
    from tlkit.mask_classes import MaskClasses

    if classes is None:
        raise DataError(
            "The classes of the masks are not stated: --classes NAMES, in the order of their numbers from 0, such as "
            "background,cat; or with numbers, background=0,cat=255."
        )
    try:
        return MaskClasses.of(numbered_classes(classes), void=void)
    except ValueError as error:
        raise DataError(f"--classes, --void: {error}") from error
