"""Engines that run a frozen backbone: torch, ONNX Runtime, OpenVINO; and the rule that chooses one."""
