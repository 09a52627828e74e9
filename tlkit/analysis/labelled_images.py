"""Images with labels that are names of given classes; none where the labels are of another kind."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tlkit.analysis.class_texts import ClassTexts
from tlkit.data.sources.given_images import GivenImages
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import is_list, is_shard, survey_images
from tlkit.errors import DataError, first_few
from tlkit.models.pretrained_head import match_classes, plain_name
from tlkit.samples import LABEL, SPLITS, Samples
from tlkit.spelling import known_name

logger = logging.getLogger(__name__)


def read_labelled(
    images: GivenImages,
    texts: ClassTexts,
    *,
    split: str | None,
    columns: Sequence[str],
    stated: Mapping[str, str],
    root: str | Path | None = None,
    list_columns: Mapping[str, str] | None = None,
    unused_is_wrong: bool = True,
) -> Samples | None:
    """Return the images of a folder, list or shards with the class of each; None where no label is one of the classes.

    A label is matched with a class by its name or one of its words; case, and "_" for a blank, do not matter.

    Args:
        images: the images; labels are read from one path only.
        texts: the classes.
        split: only images of this split.
        columns: group columns of a list or shards.
        stated: the class of labels that have another name.
        root: folder of the paths of a list; default: the list's own.
        list_columns: the list's own name of a column, where it is another: {"path": "image"}.
        unused_is_wrong: whether a label in `stated` that no image has is an error.

    Raises:
        DataError: some labels are classes and others are not, there are no images of the split, or there is a root or
            a name of a column, but no list.
    """
    if (root is not None or list_columns) and not (isinstance(images, str | os.PathLike) and is_list(Path(images))):
        given = str(images) if isinstance(images, str | os.PathLike) else "what is given"
        what = "A root is the folder of the paths" if root is not None else "Names of columns are those"
        raise DataError(f"{what} of a list, but {given} is no CSV or Parquet file.")
    if not isinstance(images, str | os.PathLike) or not _may_have_labels(Path(images)):
        return None
    options = ListOptions(names=list_columns or {})
    if root is None:
        survey = survey_images(Path(images), columns=columns, options=options)
    else:
        survey = survey_images(root, manifest=Path(images), columns=columns, options=options)
    samples = survey.samples
    labels = [name for name in samples.classes if (samples.table[LABEL] == name).any()]
    stated = {known_name(label, labels): name for label, name in stated.items()}
    stated = stated if unused_is_wrong else {name: to for name, to in stated.items() if name in labels}
    others = dict(texts.words)
    known = {plain_name(word) for name, words in others.items() for word in (name, *words)}
    found = [name for name in labels if name in stated or plain_name(name) in known]
    if not found:
        if labels:
            logger.info(
                "No folder or label of %s has the name of a class (%s), so its images are taken as unlabelled.",
                images,
                first_few(labels),
            )
        return None
    survey.entries.log()
    again = [f"{entry.name}: {entry.reason}" for entry in survey.entries.skipped if entry.kind == "listed-again"]
    if again:
        raise DataError(
            f"{images} lists {len(again)} images again with another label, split or group: {first_few(again)}. Keep "
            "one row for each image."
        )
    names = match_classes(labels, texts.classes, others, stated)
    samples = Samples(samples.root, texts.classes, samples.table.assign(**{LABEL: samples.table[LABEL].map(names)}))
    if split is None:
        return samples
    chosen = samples.split(split)
    if not len(chosen):
        raise DataError(
            f"{images} has no images of the split {split!r}. Use one of {', '.join(SPLITS)}, or leave it out."
        )
    return chosen


def _may_have_labels(path: Path) -> bool:
    return path.is_dir() or is_list(path) or is_shard(path)
