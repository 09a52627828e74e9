"""Writes a run's model as ONNX or OpenVINO files, and verifies that they agree with the model. Needs torch."""

import tlkit.no_telemetry  # noqa: F401  before ONNX Runtime
