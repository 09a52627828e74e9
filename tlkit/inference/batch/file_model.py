"""An exported file as a model that predicts parts. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tlkit.choices import PredictEngine, Views
from tlkit.exported.exported_predictor import ANSWERED, ExportedPredictor
from tlkit.predictions import Predictions, Unreadable


class FileModel:
    """An exported file that predicts parts; its rows are those of `ExportedPredictor.predict`, to the bit.

    Attributes:
        predictor: the file.
        columns: "answered" where the file states when its model abstains.
    """

    def __init__(self, predictor: ExportedPredictor) -> None:
        self.predictor = predictor
        self.columns = () if predictor.facts.answer_above is None else (ANSWERED,)

    def predict(
        self,
        images: Sequence[Path],
        *,
        tta: Views,
        engine: PredictEngine,
        on_unreadable: Callable[[Unreadable], None] | None,
    ) -> Predictions:
        """Return one row per readable image, and report the others."""
        assert tta == "none", "a file has one view of each image"
        assert engine == self.engine_for(images, count=len(images), tta=tta), "a file has one engine"
        return self.predictor.predict(images, on_unreadable=on_unreadable)

    def engine_for(self, images: Sequence[Path], *, count: int, tta: Views) -> PredictEngine:
        """Return what runs the file."""
        return engine_of_file(self.predictor.model.path)


def engine_of_file(path: Path) -> PredictEngine:
    """Return what runs an exported file, by its ending.

    Example:
        >>> engine_of_file(Path("export/network.xml"))
        'openvino'
    """
    return "openvino" if path.suffix.lower() == ".xml" else "onnxruntime"
