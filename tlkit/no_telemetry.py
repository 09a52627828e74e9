"""Turns off the usage reports of packages that tlkit loads; imported before them.

Nothing about a user's images, models or machine is sent anywhere. A variable that already has a value keeps it.

- Albumentations asks the network for its newest version when it is imported.
- ONNX Runtime's Linux wheels (1.31.1) store facts of the machine, the interpreter's path and the names of loaded
  networks below `~/.cache/Microsoft` for later upload, from their import on (`findings/onnxruntime_usage_reports.sh`).
- Ray reports the use of a cluster.
"""

from __future__ import annotations

import os

VARIABLES = {"NO_ALBUMENTATIONS_UPDATE": "1", "ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""Environment variables that the packages read, and the value that turns their reports off."""

for _name, _value in VARIABLES.items():
    os.environ.setdefault(_name, _value)
