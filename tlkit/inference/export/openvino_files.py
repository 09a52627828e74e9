"""A network in OpenVINO's format, converted from its ONNX graph."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import onnx

from tlkit.disk import atomic_file
from tlkit.errors import MissingExtraError, ModelError, reason_of
from tlkit.exported.embedded_digest import EMPTY, OPENVINO_DIGEST, with_digest
from tlkit.exported.facts import FACTS_KEY, ExportedFacts


def require_openvino() -> None:
    """Check that OpenVINO is installed.

    Raises:
        MissingExtraError: it is not.
    """
    try:
        import openvino  # noqa: F401
    except ImportError:
        raise MissingExtraError(package="openvino", extra="openvino", purpose="--format openvino") from None


class OpenVinoFiles:
    """A converted network, which is written as `.xml` and `.bin`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def write(self, path: Path, facts: ExportedFacts) -> None:
        """Write `path`, an .xml, and the .bin beside it, with the facts and a digest of both in the .xml."""
        import openvino

        self._model.set_rt_info(facts.to_json(), [FACTS_KEY, "facts"])
        self._model.set_rt_info(EMPTY, [FACTS_KEY, "sha256"])
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder, path.name)
            openvino.save_model(self._model, os.fspath(written), compress_to_fp16=False)
            weights = written.with_suffix(".bin").read_bytes()
            content = with_digest(written.read_bytes(), rest=weights, pattern=OPENVINO_DIGEST)
        for target, data in ((path.with_suffix(".bin"), weights), (path, content)):
            with atomic_file(target) as partial:
                partial.write_bytes(data)


def convert_to_openvino(proto: onnx.ModelProto) -> OpenVinoFiles:
    """Return an ONNX network in OpenVINO's format, in float32.

    The pixels of `model.onnx` are not converted: OpenVINO computes float64 in float32 on a CPU, in which the sums of
    the exact scaling do not fit.

    Raises:
        ModelError: OpenVINO cannot convert it.
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        path.write_bytes(proto.SerializeToString())
        try:
            return OpenVinoFiles(openvino.convert_model(os.fspath(path)))
        except Exception as error:  # its front end raises classes of its own
            raise ModelError(
                f"OpenVINO cannot convert this network ({reason_of(error)}). Use --format onnx."
            ) from error
