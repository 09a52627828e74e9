"""A part of a model as an ONNX model that can be merged with others."""

from __future__ import annotations

import onnx
from onnx import helper


def as_model(graph: onnx.GraphProto, like: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph as a model with the version and the operator sets of another."""
    return helper.make_model(graph, ir_version=like.ir_version, opset_imports=like.opset_import)
