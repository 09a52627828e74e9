"""Predictions of labelled images by an exported file, for evaluation, audit and comparison. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import read_judged
from tlkit.errors import DataError, ModelError, did_you_mean, first_few
from tlkit.exported.exported_predictor import ExportedPredictor, load_exported
from tlkit.exported.mask_answers import ExportedMaskPredictor
from tlkit.exported.task_answers import load_exported_task
from tlkit.predictions import Predictions
from tlkit.predictions.task_predictions import RowPredictions
from tlkit.samples import LABEL, Samples
from tlkit.spelling import known_name, match_names


def predict_labelled_images(
    file: str | Path,
    data: Path,
    *,
    root: Path | None = None,
    split: str | None = None,
    columns: Sequence[str] = (),
    classes: Mapping[str, str] | None = None,
    options: ListOptions = ListOptions(),
) -> Predictions:
    """Return predictions of labelled images by an exported file.

    A label is matched with a class by its name, also in another spelling (see `tlkit.spelling`). The model may predict
    any of its classes, also those that are no label here.

    Args:
        file: the exported file.
        data: a folder of class folders, a list of images or a tar shard; none needs to be for training.
        root: folder of the paths of a list; default: the list's own.
        split: only the images of this split; default: all.
        columns: group columns to take from a list or a shard.
        classes: the class of labels that have another name, such as {"ants": "ant"}.
        options: how a list, labels and columns are read.

    Raises:
        DataError: the images cannot be read, or a label is no class of the model.
        ModelError: the file cannot be opened.
    """
    model = load_exported(file)
    samples = read_judged(data, root=root, split=split, columns=columns, options=options)
    names = _classes_of(samples.classes, model.classes, classes or {}, file=Path(file))
    named = samples.table.assign(**{LABEL: samples.table[LABEL].map(names)})
    known = tuple(name for name in model.classes if name in names.values())
    return predict_samples(model, Samples(samples.root, known, named))


def predict_task_images(
    file: str | Path,
    data: Path,
    *,
    root: Path | None = None,
    split: str | None = None,
    columns: Sequence[str] = (),
    options: ListOptions = ListOptions(),
) -> RowPredictions:
    """Return predictions of labelled images by an exported file of several labels, grades or numbers.

    Args:
        file: the exported file.
        data: a list of images with their labels, grades or numbers.
        root: folder of the paths of the list; default: the list's own.
        split: only the images of this split; default: all.
        columns: group columns to take from the list.
        options: how the list is read; its task is that of the file, and so are its grades unless they are stated.

    Raises:
        DataError: the images cannot be read, or a label or grade is unknown to the model.
        ModelError: the file cannot be opened, or is of one class for each image or of masks.
    """
    model = load_exported_task(file)
    if isinstance(model, ExportedPredictor):
        raise ModelError(f"{file} is of one class for each image. Leave --task out.")
    if isinstance(model, ExportedMaskPredictor):
        raise ModelError(
            f"{file} predicts masks, which are judged in a folder: tlkit predict {file} IMAGES --out FOLDER, then "
            "tlkit evaluate FOLDER --task segmentation --truth MASKS --classes NAMES."
        )
    facts = model.facts
    grades = tuple(options.grades) or (facts.classes if facts.task == "ordinal" else ())
    options = replace(options, task=facts.task, grades=grades)
    return model.predict_samples(read_judged(data, root=root, split=split, columns=columns, options=options))


def predict_samples(model: ExportedPredictor, samples: Samples) -> Predictions:
    """Return predictions of labelled samples, whose classes are matched by name; unreadable images are left out.

    Raises:
        DataError: a class of the samples is unknown to the model, or no image can be read.
    """
    unknown = [name for name in samples.classes if name not in model.classes]
    if unknown:
        raise DataError(
            f"{model.model.path} does not know {len(unknown)} of the classes: {first_few(unknown)}. "
            f"It knows {first_few(model.classes)}."
        )
    rows, proba = model.scores_of_files([samples.root / path for path in samples.paths.tolist()])
    some = samples.take(rows)
    return Predictions.build(
        classes=model.classes,
        path=some.paths,
        y_true=some.table[LABEL].to_numpy(),
        proba=proba,
        groups=some.groups,
        verbatim=True,
    )


def _classes_of(
    labels: Sequence[str], classes: Sequence[str], stated: Mapping[str, str], *, file: Path
) -> dict[str, str]:
    """Return the class of each label.

    Raises:
        DataError: a label has none, or a stated one does not exist.
    """
    stated = {known_name(label, labels): known_name(name, classes) for label, name in stated.items()}
    problems = [
        f"--class {label}={name}: {name!r} is no class of {file}.{did_you_mean(name, classes)}"
        for label, name in stated.items()
        if name not in classes
    ]
    problems += [
        f"--class {label}={name}: there is no label {label!r}.{did_you_mean(label, labels)}"
        for label, name in stated.items()
        if label not in labels
    ]
    found = {**match_names([label for label in labels if label not in stated], classes), **stated}
    missing = [label for label in labels if label not in found]
    if missing:
        problems.append(
            f"{len(missing)} of {len(labels)} labels are no class of {file}: {first_few(missing)}. It knows "
            f"{first_few(classes)}. State the class of a label: --class {missing[0]}=CLASS."
            f"{did_you_mean(missing[0], classes)}"
        )
    if problems:
        raise DataError(*problems)
    return found
