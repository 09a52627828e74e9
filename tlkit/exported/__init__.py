"""Exported files: what they state about themselves, how they are checked and run. Needs no torch.

`tlkit.inference.export` writes these files. `network.onnx` takes the float input of the network, which tlkit's own
decoding and resizing make; `model.onnx` takes uint8 RGB pixels of any size.
`tlkit.exported.exported_predictor` predicts with either.
"""

import tlkit.no_telemetry  # noqa: F401  before ONNX Runtime

from tlkit.exported.export_folder import EXPORT_FOLDER, ExportFolder
from tlkit.exported.facts import ExportedFacts
from tlkit.exported.model import ExportedModel, is_exported, open_exported
from tlkit.exported.network_input import normalize_pixels

__all__ = [
    "EXPORT_FOLDER",
    "ExportFolder",
    "ExportedFacts",
    "ExportedModel",
    "is_exported",
    "normalize_pixels",
    "open_exported",
]
