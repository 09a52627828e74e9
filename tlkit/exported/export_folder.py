"""`ExportFolder`: the exported files of a run, with the digests that they had when they were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.disk import write_text
from tlkit.errors import ModelError, other_task, refuse_newer
from tlkit.exported.facts import REMEDY
from tlkit.models.model_format import FACTS_FILE, no_model, task_of_model
from tlkit.stored_values import damaged, read_json

if TYPE_CHECKING:
    from tlkit.exported.int8_report import Int8Report

EXPORT_FOLDER = "export"
"""Name of the folder of exported files in a run."""
MANIFEST = "export.json"
VERIFICATION = "verification.json"
NETWORK_ONNX, MODEL_ONNX, FAST_MODEL_ONNX = "network.onnx", "model.onnx", "model-fast.onnx"
NETWORK_OPENVINO = "network.xml"
NETWORK_INT8, MODEL_INT8 = "network-int8.onnx", "model-int8.onnx"
INT8 = "int8"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ExportFolder:
    """The folder of a run's exported files.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def verification(self) -> Path:
        """The last result of `tlkit verify`, JSON."""
        return self.path / VERIFICATION

    def record(self, names: Sequence[str], *, int8: Mapping[str, Any] | None = None) -> None:
        """Write the digests of these files, and keep those of others that are still as they were recorded.

        Args:
            names: the files that were written.
            int8: the verdict on int8, as `Int8Report.to_dict` gives it; None = as it was.
        """
        kept = {name: digest for name, digest in self._recorded().items() if self._digest(name) == digest}
        files = {**kept, **{name: self._digest(name) for name in names}}
        written = datetime.now(UTC).isoformat(timespec="seconds")
        values: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "written": written,
            "sha256": dict(sorted(files.items())),
        }
        judged = int8 or self._values().get(INT8)
        if judged:
            values[INT8] = judged
        write_text(self.path / MANIFEST, json.dumps(values, indent=2) + "\n")

    def recorded(self) -> tuple[Path, ...]:
        """Return the paths of the exported models that were written, whatever has become of them."""
        return tuple(self.path / name for name in self._recorded() if not name.endswith(".bin"))

    def require_classes(self) -> None:
        """Check that the run's model is of one class for each image.

        Raises:
            ModelError: it is of another task.
        """
        if (task := task_of_model(self.path.parent / "model")) != "multiclass":
            raise ModelError(other_task(str(self.path.parent), task))

    def files(self) -> tuple[Path, ...]:
        """Return the exported models, after their digests have been checked.

        Raises:
            ModelError: there is none, or a file is missing or has changed since it was written; all of them at once.
        """
        recorded = self._recorded()
        if not recorded:
            if task_of_model(self.path.parent / "model") == "detection":
                raise ModelError(other_task(str(self.path.parent), "detection"))
            if not (self.path.parent / "model" / FACTS_FILE).is_file():
                raise ModelError(no_model(self.path.parent / "model"))
            raise ModelError(f"There is no exported model in {self.path}. Export the run first: tlkit export RUN")
        problems = []
        for name, digest in recorded.items():
            found = self._digest(name)
            if found is None:
                problems.append(f"{self.path / name} is missing, though {MANIFEST} names it. {REMEDY}")
            elif found != digest:
                problems.append(
                    f"{self.path / name} has been changed or truncated since it was exported: its SHA-256 is not the "
                    f"one in {MANIFEST}. {REMEDY}"
                )
        if problems:
            raise ModelError(*problems)
        return self.recorded()

    def int8_report(self) -> Int8Report | None:
        """Return the last verdict on int8, also of a file that was not written; None = there is none.

        Raises:
            ModelError: it is damaged.
        """
        from tlkit.exported.int8_report import Int8Report

        values = self._values().get(INT8)
        with damaged(self.path / MANIFEST, error=ModelError, remedy=REMEDY):
            return None if values is None else Int8Report.from_dict(values)

    def _values(self) -> dict[str, Any]:
        try:
            values: dict[str, Any] = read_json(self.path / MANIFEST, error=ModelError, remedy=REMEDY)
        except FileNotFoundError:
            return {}
        return values

    def _recorded(self) -> Mapping[str, str]:
        path, values = self.path / MANIFEST, self._values()
        if not values:
            return {}
        refuse_newer(f"{path} was", values.get("format_version"), known=FORMAT_VERSION, error=ModelError)
        with damaged(path, error=ModelError, remedy=REMEDY):
            files = values["sha256"]
            if not isinstance(files, dict) or not all(
                isinstance(digest, str) and _is_file_name(name) for name, digest in files.items()
            ):
                raise ValueError("sha256 is no mapping of file names to digests")
            return files

    def _digest(self, name: str) -> str | None:
        try:
            with (self.path / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None


def _is_file_name(name: str) -> bool:
    """Return whether a text names a file of a folder, and not the folder itself or one above it."""
    return Path(name).name == name and name not in ("", "..") and "\0" not in name
