"""The model that a command predicts with: that of a run, or a name of timm with the head of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from tlkit.cli.run_or_file import RUN_COLUMNS, FileColumns, open_run_or_file
from tlkit.errors import DataError, ModelError

if TYPE_CHECKING:
    from tlkit.choices import PredictEngine
    from tlkit.cli.labelled_data import LabelledData
    from tlkit.inference.batch.file_model import FileModel
    from tlkit.inference.predictor import Predictor
    from tlkit.predictions import Predictions
    from tlkit.predictions.joined_tables import Joinable
    from tlkit.runs.run import Run


@dataclass(frozen=True)
class StoredModel:
    """The model in a folder."""

    folder: Path
    device: str

    def load(self) -> Predictor:
        """Return the model."""
        from tlkit.inference.predictor import load_predictor

        return load_predictor(self.folder, device=self.device)

    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Return the digest of the model's files, and its classes."""
        from tlkit.inference.batch.predict_shard import model_files_digest
        from tlkit.models.model_files import read_model_facts

        return model_files_digest(self.folder), read_model_facts(self.folder).classes


@dataclass(frozen=True)
class PretrainedModel:
    """A name of timm with the head of its weights."""

    name: str
    weights: str
    device: str

    def load(self) -> Predictor:
        """Return the model."""
        from tlkit.inference.pretrained import load_pretrained_model

        return load_pretrained_model(self.name, weights=self.weights, device=self.device)

    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Return the digest of the model's tensors, and its classes."""
        from tlkit.models.pretrained_head import load_pretrained

        loaded = load_pretrained(self.name, weights=self.weights)
        return loaded.digest, loaded.facts.classes


@dataclass(frozen=True)
class ExportedFile:
    """An exported file; it predicts `workers` images at the same time, 0 = one per core."""

    path: Path
    workers: int = 0

    @property
    def engine(self) -> PredictEngine:
        """What runs the file."""
        from tlkit.inference.batch.file_model import engine_of_file

        return engine_of_file(self.path)

    def load(self) -> FileModel:
        """Return the model."""
        from tlkit.exported.exported_predictor import load_exported
        from tlkit.inference.batch.file_model import FileModel

        return FileModel(load_exported(self.path, workers=self.workers))

    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Return the digest of the file, and its classes; that of an .xml covers the weights beside it."""
        from tlkit.exported import open_exported
        from tlkit.inference.batch.predict_shard import model_files_digest

        classes = open_exported(self.path, threads=1).facts.classes
        return model_files_digest(self.path), classes


ModelSource = StoredModel | PretrainedModel


def model_source_of(run: Path, weights: str | None, *, device: str) -> ModelSource:
    """Return the model of a run; with weights, the network of this name.

    Raises:
        RunError: there is no run at the path.
        ModelError: timm has no such network, or there are no such weights.
    """
    from tlkit.runs import find_model

    if weights is None:
        return StoredModel(find_model(run).absolute(), device)
    from tlkit.models.model_names import require_name, require_weights

    require_name(str(run))
    require_weights(weights)
    return PretrainedModel(str(run), weights, device)


def require_stored(source: ModelSource) -> Path:
    """Return the folder of a stored model.

    Raises:
        ModelError: it is no stored model, so nothing lies beside it.
    """
    if isinstance(source, PretrainedModel):
        raise ModelError("--unknown needs the threshold of a run. Predict without it, or fit a run.")
    return source.folder


def predict_source(
    name: Path,
    *,
    weights: str | None,
    data: LabelledData,
    classes: Sequence[str] | None,
    split: str | None,
    by: Sequence[str] = (),
    groups: Path | None = None,
    verbatim: bool = False,
) -> Predictions | None:
    """Return predictions of labelled images by pretrained weights or an exported file, for `evaluate` and `audit`.

    Args:
        name: timm's name of the network, or an exported file.
        weights: its weights.
        data: the labelled images.
        classes: texts LABEL=CLASS.
        split: only the images of this split.
        by: group columns to take from the images' list, unless `groups` is given.
        groups: CSV file of columns to join.
        verbatim: keep labels and groups as they are written.

    Returns:
        None where `name` is neither: a run, or a file of predictions.

    Raises:
        DataError: options contradict each other, or the images cannot be read.
    """
    from tlkit.exported import is_exported

    is_file = is_exported(name)
    if weights is None and not is_file:
        if data.path is not None or classes:
            raise DataError(
                "--data and --class are for --model-weights, such as pip:PACKAGE, and for exported files. Add the one, "
                "or name the other."
            )
        return None
    if weights is not None and is_file:
        raise DataError(f"--model-weights is for names of timm, and {name} is an exported file. Leave it out.")
    if data.path is None:
        what = f"{name} is an exported file, which" if is_file else "--model-weights"
        raise DataError(f"{what} needs labelled images to judge by: --data FOLDER.")
    stated = stated_classes(classes)
    columns = [] if groups is not None else list(dict.fromkeys(text.partition(":")[0] for text in by))
    read = {**data.source(), "options": data.options(verbatim=verbatim)}
    if weights is None:
        from tlkit.exported.labelled_predictions import predict_labelled_images

        predictions = predict_labelled_images(name, split=split, columns=columns, classes=stated, **read)
    else:
        model_source_of(name, weights, device="auto")  # refuses an unknown name before torch is loaded
        from tlkit.cli.allocator import keep_freed_memory

        keep_freed_memory()
        from tlkit.inference.pretrained import predict_labelled

        predictions = predict_labelled(str(name), weights=weights, split=split, columns=columns, classes=stated, **read)
    return predictions if groups is None else predictions.with_groups(groups, verbatim=verbatim)


def stated_classes(texts: Sequence[str] | None) -> dict[str, str]:
    """Return label -> class of texts LABEL=CLASS.

    Raises:
        DataError: a text is none.
    """
    wrong = [text for text in texts or () if not all(text.partition("=")[::2])]
    if wrong:
        raise DataError(f"--class is {wrong[0]!r}. Use LABEL=CLASS, such as ants=ant.")
    return dict(text.split("=", 1) for text in texts or ())


def open_compared(
    paths: Sequence[Path],
    *,
    split: str | None,
    groups: Joinable | None,
    data: LabelledData,
    classes: Sequence[str] | None,
    by: Sequence[str],
    **columns: Unpack[FileColumns],
) -> list[Run | Predictions]:
    """Return what `compare` compares: runs, files of predictions, and exported files, which predict labelled images.

    Exported files predict the images of `data`, or else those of the first run among the paths.

    Raises:
        DataError: there are no images for an exported file, `data` and no exported file, or `classes` and no `data`.
        TlkitError: a path cannot be read.
    """
    from tlkit.exported import is_exported
    from tlkit.predictions import Predictions
    from tlkit.runs.find_run import is_run

    exported = [path for path in paths if is_exported(path)]
    if data.path is not None and not exported:
        raise DataError("--data is for exported files, and none is compared. Leave it out.")
    if classes and data.path is None:
        raise DataError("--class states the class of a label of --data FOLDER. Add it, or leave --class out.")
    given_classes = stated_classes(classes)
    found: dict[Path, Run | Predictions] = {
        path: open_run_or_file(
            path, split=split, groups=groups, beside=paths, **(RUN_COLUMNS if is_run(path) else columns)
        )
        for path in paths
        if path not in exported
    }
    if exported:
        from tlkit.exported.exported_predictor import load_exported
        from tlkit.exported.labelled_predictions import predict_labelled_images, predict_samples

        runs = [model for model in found.values() if not isinstance(model, Predictions)]
        own = [] if groups is not None else list(dict.fromkeys(text.partition(":")[0] for text in by))
        verbatim = columns["verbatim"]
        for path in exported:
            if data.path is not None:
                read = {**data.source(), "options": data.options(verbatim=verbatim)}
                predictions = predict_labelled_images(path, split=split, columns=own, classes=given_classes, **read)
                found[path] = predictions if groups is None else predictions.with_groups(groups, verbatim=verbatim)
            elif runs:
                samples = runs[0].samples.split(runs[0].judged_split(split))
                found[path] = predict_samples(load_exported(path), samples)
            else:
                raise DataError(
                    f"{path} is an exported file, which needs labelled images to be compared by: --data FOLDER, or "
                    "name a run, too."
                )
    return [found[path] for path in paths]
