"""Engines that run a frozen backbone: torch, ONNX Runtime, OpenVINO; and the rule that chooses one."""

import tlkit.no_telemetry  # noqa: F401  before ONNX Runtime
