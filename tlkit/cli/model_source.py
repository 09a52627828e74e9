"""The model that a command predicts with: that of a run, or a name of timm with the head of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.errors import DataError, ModelError

if TYPE_CHECKING:
    from tlkit.inference.predictor import Predictor
    from tlkit.predictions import Predictions


@dataclass(frozen=True)
class StoredModel:
    """The model in a folder."""

    folder: Path
    device: str

    def load(self) -> Predictor:
        """Return the model."""
        from tlkit.inference.predictor import load_model

        return load_model(self.folder, device=self.device)

    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Return the digest of the model's files, and its classes."""
        from tlkit.inference.batch.predict_shard import model_files_digest
        from tlkit.models.model_files import read_facts

        return model_files_digest(self.folder), read_facts(self.folder).classes


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


ModelSource = StoredModel | PretrainedModel


def source_of(run: Path, weights: str | None, *, device: str) -> ModelSource:
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
    data: Path | None,
    classes: Sequence[str] | None,
    split: str | None,
    by: Sequence[str] = (),
    groups: Path | None = None,
) -> Predictions | None:
    """Return predictions of labelled images by pretrained weights, for `evaluate` and `audit`; None without weights.

    Args:
        name: timm's name of the network.
        weights: its weights.
        data: the labelled images.
        classes: texts LABEL=CLASS.
        split: only the images of this split.
        by: group columns to take from the images' list, unless `groups` is given.
        groups: CSV file of columns to join.

    Raises:
        DataError: options contradict each other, or the images cannot be read.
    """
    if weights is None:
        if data is not None or classes:
            raise DataError("--data and --class are for --model-weights, such as pip:PACKAGE. Add it.")
        return None
    if data is None:
        raise DataError("--model-weights needs labelled images to judge by: --data FOLDER.")
    wrong = [text for text in classes or () if not all(text.partition("=")[::2])]
    if wrong:
        raise DataError(f"--class is {wrong[0]!r}. Use LABEL=CLASS, such as ants=ant.")
    source_of(name, weights, device="auto")  # refuses an unknown name before torch is loaded
    from tlkit.cli.allocator import keep_freed_memory

    keep_freed_memory()
    from tlkit.inference.pretrained import predict_labelled

    columns = [] if groups is not None else list(dict.fromkeys(text.partition(":")[0] for text in by))
    stated = dict(text.split("=", 1) for text in classes or ())
    predictions = predict_labelled(str(name), data, weights=weights, split=split, columns=columns, classes=stated)
    return predictions if groups is None else predictions.with_groups(groups)
