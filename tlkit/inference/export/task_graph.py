"""The last output of `model.onnx` for several labels, grades and numbers: thresholds or margins from val applied."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from tlkit.exported.facts import GRADE, INTERVAL, LABELS, LOGITS, NUMBER, PROBABILITIES, ExportedFacts
from tlkit.exported.task_answers import margin_of, thresholds_of
from tlkit.inference.export.graph_builder import GraphBuilder
from tlkit.inference.export.graph_models import as_model

PREFIX = "task_"


def with_task_outputs(model: onnx.ModelProto, facts: ExportedFacts) -> onnx.ModelProto:
    """Return a model with a third output: predicted labels, the name of the grade, or the interval of the number.

    Labels are predicted from their thresholds on, and the grade is the median of the grades' distribution, as tlkit
    predicts it. A number has an interval where val calibrated one of finite width; else there is no third output.

    Args:
        model: images to logits and probabilities or numbers.
        facts: those of the file.
    """
    g = GraphBuilder(PREFIX)
    scores, width = facts.scores_output, len(facts.classes) or (1 if facts.quantiles is None else 3)
    given = helper.make_tensor_value_info(PREFIX + "scores", TensorProto.FLOAT, ["batch", width])
    named: list[onnx.TensorProto] = []
    if facts.task == "multilabel":
        cuts = np.asarray(thresholds_of(facts), dtype=np.float32)
        g("GreaterOrEqual", given.name, g.constant(cuts, np.float32), output=LABELS)
        last = helper.make_tensor_value_info(LABELS, TensorProto.BOOL, ["batch", width])
    elif facts.task == "ordinal":
        upto = g("CumSum", given.name, g.constant(np.asarray(1), np.int64))
        ranks = g("Cast", g("Less", upto, g.constant(0.5, np.float32)), to=TensorProto.INT64)
        most = g.constant(np.asarray(width - 1), np.int64)
        place = g("Min", g("ReduceSum", ranks, g.constant(np.asarray([1]), np.int64), keepdims=0), most)
        names = helper.make_tensor(
            PREFIX + "names", TensorProto.STRING, [width], [name.encode() for name in facts.classes]
        )
        named.append(names)
        g("Gather", names.name, place, output=GRADE)
        last = helper.make_tensor_value_info(GRADE, TensorProto.STRING, ["batch"])
    else:
        margin = margin_of(facts)
        if margin is None or not math.isfinite(margin):
            return model
        low, high = (given.name, given.name) if width == 1 else (_column(g, given.name, place) for place in (1, 2))
        half = g("Sub", high, low) if width == 1 else g("Div", g("Sub", high, low), g.constant(2, np.float32))
        middle = low if width == 1 else g("Add", low, half)
        # an interval that a negative margin would make empty is its middle, as `IntervalRule.apply` has it
        reach = g("Max", g("Add", half, g.constant(margin, np.float32)), g.constant(0, np.float32))
        g("Concat", g("Sub", middle, reach), g("Add", middle, reach), axis=1, output=INTERVAL)
        last = helper.make_tensor_value_info(INTERVAL, TensorProto.FLOAT, ["batch", 2])
    graph = g.graph("task", inputs=(given,), outputs=(last,))
    graph.initializer.extend(named)
    return compose.merge_models(
        model,
        as_model(graph, model),
        io_map=[(scores, given.name)],
        outputs=[LOGITS, NUMBER if facts.task == "regression" else PROBABILITIES, last.name],
    )


def _column(g: GraphBuilder, value: str, place: int) -> str:
    """Return a column of a matrix (N, K), shape (N, 1)."""
    return g("Gather", value, g.constant(np.asarray([place]), np.int64), axis=1)
