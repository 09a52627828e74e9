"""Writes a run's model as ONNX or OpenVINO files, and verifies that they say what the model says. Needs torch."""

import tlkit.no_telemetry  # noqa: F401  before ONNX Runtime
