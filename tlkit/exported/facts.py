"""`ExportedFacts`: what an exported file states about itself, as JSON in the file's own metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from tlkit.choices import TrainedTask
from tlkit.errors import ModelError, refuse_newer
from tlkit.mask_classes import MaskClasses
from tlkit.plain_values import from_plain, to_plain
from tlkit.preprocess import MAX_PIXELS, Preprocess
from tlkit.stored_values import build_stored, parse_json

FileKind = Literal["network", "model"]
ResizeKind = Literal["outside", "exact", "close"]
Precision = Literal["float32", "int8"]
Rung = Literal["dynamo", "dynamo without optimization", "unfused attention", "TorchScript"]

FACTS_KEY = "tlkit"
"""Key of the facts in the metadata of an exported file."""
FORMAT_VERSION = 2
"""1 = one class for each image; 2 = another task."""
NETWORK_INPUT, MODEL_INPUT = "image", "images"
"""Input of `network.onnx`: float32 (N, 3, H, W), normalized. Of `model.onnx`: uint8 (N, H, W, 3), RGB, any size."""
LOGITS, PROBABILITIES, LABEL = "logits", "probabilities", "label"
"""Outputs: float32 (N, C), float32 (N, C), and in `model.onnx` also the name of the most probable class, (N,)."""
NUMBER, LABELS, GRADE, INTERVAL = "number", "labels", "grade", "interval"
"""Outputs of other tasks: the number (N, 1), or the median and two quantiles (N, 3), in place of probabilities; in
`model.onnx` which labels are predicted, bool (N, L), the name of the grade, (N,), or both ends of the number's
interval, float32 (N, 2)."""
MASK = "mask"
"""Output of `model.onnx` for segmentation: the place in `classes` of each pixel's class, uint8 (N, H, W), in the size
of the images. `logits` and `probabilities` are (N, C, h, w), in the size of the network's input."""
REMEDY = "Export the run again: tlkit export RUN."


@dataclass(frozen=True)
class ExportedFacts:
    """Facts about an exported model that are needed to use it, and to say where it comes from.

    Attributes:
        kind: `network` takes normalized float images, `model` uint8 pixels of any size.
        classes: class names in the order of the outputs.
        preprocess: the preprocessing that the network expects; in a `model` it is part of the graph, from the decoded
            pixels on.
        architecture: timm's name.
        head: kind of the head, such as "linear".
        run: name of the run.
        resize: how the graph scales images: `exact` gives Pillow's pixels to the bit, `close` differs by a gray level
            in some pixels, `outside` means that the file takes scaled images.
        precision: arithmetic of the weights.
        rung: which of the exporters succeeded, the first choice being "dynamo".
        max_pixels: images of more pixels (width × height) are to be refused before they are decoded.
        decoder: versions and rules that decoded pixels depend on, Pillow's version among them.
        packages: versions of the packages that made the file.
        source: SHA-256 of each file of the run's stored model.
        answer_above: the model answers where the largest probability is above this, and abstains elsewhere; None = it
            always answers.
        wanted_risk: share of wrong answers among the answered for which `answer_above` was chosen.
        verified: verdict of `tlkit verify` when the file was written, with its figures; "" = not verified.
        gate: verdict on int8 against float32 when the file was written, with its figures; "" = not an int8 file.
        task: what the model says of an image. `classes` are then labels, or grades from the lowest on; none for
            numbers.
        rule: what val chose, plain JSON values: `thresholds` of labels or `intervals` of numbers and grades.
        quantiles: levels of the lower and the upper quantile in the output of numbers; None = one number.
        mask_values: of segmentation the number of each class in the files of masks; () = their places.
        void: number of the pixels that counted nowhere in training; None = there were none. It is never predicted.
    """

    kind: FileKind
    classes: tuple[str, ...]
    preprocess: Preprocess
    architecture: str
    head: str
    run: str
    resize: ResizeKind = "outside"
    precision: Precision = "float32"
    rung: Rung = "dynamo"
    max_pixels: int = MAX_PIXELS
    decoder: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    answer_above: float | None = None
    wanted_risk: float | None = None
    verified: str = ""
    gate: str = ""
    task: TrainedTask = "multiclass"
    rule: Mapping[str, Any] = field(default_factory=dict)
    quantiles: tuple[float, float] | None = None
    mask_values: tuple[int, ...] = ()
    void: int | None = None

    @property
    def scores_output(self) -> str:
        """Name of the last output: numbers or probabilities."""
        return NUMBER if self.task == "regression" else PROBABILITIES

    @property
    def mask_classes(self) -> MaskClasses:
        """The classes of pixels with their numbers in the files of masks.

        Raises:
            ValueError: names and numbers do not match, or the model is of another task.
        """
        if self.task != "segmentation":
            raise ValueError(f"a model of the task {self.task} has no masks")
        numbers = self.mask_values or range(len(self.classes))
        return MaskClasses.of(dict(zip(self.classes, numbers, strict=True)), void=self.void)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        values = {**to_plain(self), "preprocess": self.preprocess.to_dict()}
        if self.task == "multiclass":
            for name in ("task", "rule", "quantiles"):
                del values[name]
        if self.task != "segmentation":
            del values["mask_values"], values["void"]
        return {"format_version": 1 if self.task == "multiclass" else FORMAT_VERSION, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExportedFacts:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: a value is of the wrong kind.
        """
        preprocess = Preprocess.from_dict(values["preprocess"])
        rule = values.get("rule", {})
        if not isinstance(rule, dict):
            raise ValueError(f"rule is no mapping: {rule!r}")
        given = {name: value for name, value in values.items() if name != "rule"}
        facts = replace(from_plain(cls, {**given, "preprocess": to_plain(preprocess)}), rule=rule)
        if facts.kind not in get_args(FileKind) or facts.resize not in get_args(ResizeKind):
            raise ValueError(f"kind or resize is unknown: {facts.kind!r}, {facts.resize!r}")
        if facts.task not in get_args(TrainedTask):
            raise ValueError(f"task is unknown: {facts.task!r}")
        if (not facts.classes and facts.task != "regression") or len(set(facts.classes)) != len(facts.classes):
            raise ValueError("classes are not different names")
        if rule:
            from tlkit.uncertainty.stored_rule import StoredRule  # only models of other tasks than classes have one

            StoredRule.of(rule, facts.classes)
        if facts.task == "segmentation":
            facts.mask_classes  # noqa: B018  # raises where names and numbers do not match
        for limit in (facts.answer_above, facts.wanted_risk):
            if limit is not None and not (isinstance(limit, int | float) and -1 <= limit <= 1):
                raise ValueError(f"answer_above or wanted_risk is no share: {limit!r}")
        return facts

    def to_json(self) -> str:
        """Return the facts as the text that stands in the file's metadata."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)


def facts_of_text(text: str, *, path: Path) -> ExportedFacts:
    """Return the facts from the metadata of a file.

    Args:
        text: what `ExportedFacts.to_json` wrote.
        path: the file, for messages.

    Raises:
        ModelError: the text is damaged, or a newer tlkit wrote it.
    """
    try:
        values = parse_json(text)
    except ValueError as error:
        raise ModelError(f"{path} is damaged (its facts are no JSON: {error}). {REMEDY}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is damaged (its facts are no JSON object). {REMEDY}")
    refuse_newer(f"{path} was", values.get("format_version"), known=FORMAT_VERSION, error=ModelError)
    return build_stored(ExportedFacts.from_dict, values, path=path, error=ModelError, remedy=REMEDY)
