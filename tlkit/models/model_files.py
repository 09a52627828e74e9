"""Files of a stored model: `model.safetensors` and `model.json`, read without pickle and without timm."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from tlkit.choices import TrainedTask
from tlkit.disk import atomic_file, write_text
from tlkit.errors import ModelError
from tlkit.input_files import refuse_pipe
from tlkit.models.model_format import FACTS_FILE, MODEL_FORMAT, TENSORS_FILE, no_model
from tlkit.models.model_options import check_options
from tlkit.models.weights.weight_files import WeightsFacts, tensors_digest
from tlkit.preprocess import Preprocess
from tlkit.stats.logit_scaling import LogitScaling
from tlkit.stored_values import read_json

REMEDY = "Restore it or train again."
DIGEST = "tensors_sha256"
"""Key of the file's metadata that holds the digest of its tensors."""


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a model that are needed to rebuild it from its tensors and to use it.

    Attributes:
        architecture: timm's name, such as "resnet50".
        classes: class names in the order of the outputs.
        preprocess: the preprocessing that the model expects.
        drop_rate: dropout before the head during training, in [0, 1).
        weights: initial weights of the backbone.
        options: timm's arguments for this variant of the architecture, as a hub repository states them.
        head: facts of a scikit-learn head, plain JSON values: `kind`, settings, out-of-fold accuracy; empty for the
            linear head trained by gradient descent. With `file`, the head is not a layer of the network but in that
            file.
        calibration: how logits are rescaled (`tlkit.stats.logit_scaling`), fitted on validation images; None = not
            at all. The tensors hold the network without it; whoever loads it gets calibrated logits.
        task: what the model says of an image. `classes` are then labels, or grades from the lowest on; none for
            numbers.
        target_scale: mean and standard deviation of the training numbers, in which the network gives numbers; None for
            other tasks.
        quantiles: levels of the lower and the upper quantile that a network of numbers gives beside the median; None
            where it gives one number, and for other tasks.
        rule: what was chosen on validation images, plain JSON values: `thresholds` of several labels, as
            `LabelThresholds` has them, or `intervals` of numbers and grades, as `IntervalRule` has them; else empty.
        decoder: of detection, kind and width of the detector; of segmentation, what the decoder is built from and the
            numbers of the classes in masks, as
            `DecoderFacts` has them; else empty.
    """

    architecture: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    drop_rate: float
    weights: WeightsFacts
    options: Mapping[str, Any] = field(default_factory=dict)
    head: Mapping[str, Any] = field(default_factory=dict)
    calibration: LogitScaling | None = None
    task: TrainedTask = "multiclass"
    target_scale: tuple[float, float] | None = None
    quantiles: tuple[float, float] | None = None
    rule: Mapping[str, Any] = field(default_factory=dict)
    decoder: Mapping[str, Any] = field(default_factory=dict)

    @property
    def head_file(self) -> str | None:
        """File of a head that is not a layer of the network; None for a linear head, which is in the tensors."""
        name = self.head.get("file")
        return None if name is None else str(name)

    @property
    def _format_version(self) -> int:
        """Lowest version of `MODEL_FORMAT` that covers these facts."""
        if self.quantiles is not None or self.task in ("segmentation", "detection"):
            return 6
        if self.task != "multiclass":
            return 5
        if self.calibration is not None:
            return 4
        return 3 if self.preprocess.decode == "reduced" else 2 if self.head_file else 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        values = asdict(self)
        if self._format_version < 6:
            del values["decoder"], values["quantiles"]
        if self.task == "multiclass":
            for name in ("task", "target_scale", "rule"):
                del values[name]
        if self.calibration is not None:
            values["calibration"] = self.calibration.to_dict()
        elif self.task == "multiclass":
            del values["calibration"]
        return {
            **MODEL_FORMAT.stamp(self._format_version),
            **values,
            "classes": list(self.classes),
            "preprocess": self.preprocess.to_dict(),
            "weights": asdict(self.weights),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelFacts:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: a value is of the wrong kind.
            ModelError: an option of the architecture is not allowed, or a newer tlkit wrote the facts.
        """
        values = MODEL_FORMAT.current(values, what="This model was")
        classes = values["classes"]
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError("classes is not a list of names")
        if len(set(classes)) < len(classes) or not all(classes):
            raise ValueError("classes names one twice, or one has an empty name")
        if not isinstance(values["architecture"], str) or not 0 <= values["drop_rate"] < 1:
            raise ValueError("architecture or drop_rate has no usable value")
        head = values["head"]
        if not isinstance(head, dict):
            raise ValueError("head is not a mapping")
        task, scale, rule = values["task"], values["target_scale"], values["rule"]
        if task not in get_args(TrainedTask) or not isinstance(rule, dict):
            raise ValueError(f"task {task!r} or its rule has no usable value")
        if task == "regression":
            mean, std = map(float, scale)
            if not (math.isfinite(mean) and 0 < std < math.inf):
                raise ValueError("target_scale has no usable values")
            scale = mean, std
        quantiles = values["quantiles"]
        if quantiles is not None:
            low, high = map(float, quantiles)
            if not (task == "regression" and 0 < low < high < 1):
                raise ValueError("quantiles has no usable values")
            quantiles = low, high
        calibration = values["calibration"]
        scaling = None if calibration is None else LogitScaling.from_dict(calibration)
        if scaling is not None and len(scaling.scale) not in (1, len(classes)):
            raise ValueError(f"calibration is for {len(scaling.scale)} classes")
        return cls(
            architecture=values["architecture"],
            classes=tuple(classes),
            preprocess=Preprocess.from_dict(values["preprocess"]),
            drop_rate=values["drop_rate"],
            options=check_options(values.get("options"), source=FACTS_FILE),
            head=head,
            calibration=scaling,
            weights=WeightsFacts.from_dict(values["weights"]),
            task=task,
            target_scale=scale,
            quantiles=quantiles,
            rule=rule,
            decoder=dict(values["decoder"]),
        )


def save_artifact(folder: Path, tensors: Mapping[str, torch.Tensor], facts: ModelFacts) -> None:
    """Write a network's state dict (`backbone.*`, `head.*`) and facts into a folder, each file atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / TENSORS_FILE) as partial:
        _save_tensors(_apart({name: value.detach().cpu().contiguous() for name, value in tensors.items()}), partial)
    write_text(folder / FACTS_FILE, json.dumps(facts.to_dict(), indent=2, ensure_ascii=False) + "\n")


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors of which no two share memory, as those of layers that a network uses twice do (CoaT)."""
    places: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in places else tensor
        places.add(place)
    return found


def _save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors; raise an `OSError` where the disk refuses, which safetensors reports as an error of its own."""
    try:
        save_file(tensors, path, metadata={DIGEST: tensors_digest(tensors)})
    except SafetensorError as error:
        code = re.search(r"\(os error (\d+)\)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), os.fspath(path)) from error


def read_model_facts(folder: Path) -> ModelFacts:
    """Return the facts of a stored model.

    Raises:
        ModelError: there is no stored model in the folder, or it is damaged or written by a newer tlkit.
    """
    path = folder / FACTS_FILE
    if not path.is_file():
        raise ModelError(no_model(folder))
    try:
        values = MODEL_FORMAT.current(read_json(path, error=ModelError, remedy=REMEDY), what=f"{path} was")
        check_options(values.get("options"), source=str(path))  # names the file
        return ModelFacts.from_dict(values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}). {REMEDY}") from error


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a stored model, which must be those that were written where the file holds their digest.

    Raises:
        ModelError: the file is missing, damaged, or its tensors have changed.
    """
    path = folder / TENSORS_FILE
    refuse_pipe(path, error=ModelError)
    if path.is_dir():
        raise ModelError(f"{path} is a folder, where a file should be. {REMEDY}")
    try:
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            written = (file.metadata() or {}).get(DIGEST)
    except FileNotFoundError:
        raise ModelError(f"There is no stored model in {folder} ({TENSORS_FILE} is missing).") from None
    except SafetensorError as error:
        raise ModelError(f"{path} is damaged ({error}). {REMEDY}") from error
    if written is not None and written != tensors_digest(tensors):
        raise ModelError(f"{path} is damaged: its tensors are not those that were written. {REMEDY}")
    return tensors
