"""`GraphBuilder`: nodes of an ONNX graph by the names of their operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper


class GraphBuilder:
    """Collects nodes and constants; a value in the graph is the name of a tensor.

    Args:
        prefix: start of all names, so that graphs can be merged and nested.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._nodes: list[NodeProto] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._initializers: list[TensorProto] = []
        self._count = 0

    def name(self, what: str) -> str:
        """Return a new name."""
        self._count += 1
        return f"{self.prefix}{what}_{self._count}"

    def constant(self, value: npt.ArrayLike, dtype: type[np.generic] = np.float64) -> str:
        """Return the name of a constant; equal ones are stored once."""
        array = np.asarray(value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.name("constant")
            self._initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def __call__(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node of one output and return the output's name; "" = a new one."""
        output = output or self.name(operator.lower())
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=f"{output}_node", **attributes))
        return output

    def cast(self, value: str, to: int) -> str:
        """Return a value as another type, such as `TensorProto.DOUBLE`."""
        return self("Cast", value, to=to)

    def choose(self, condition: str, yes: Callable[[GraphBuilder], str], no: Callable[[GraphBuilder], str]) -> str:
        """Return the value of one of two branches, of which only that one is computed.

        Each branch is built by a function that gets a builder; it may use values of this graph.
        """
        branches = {}
        for word, build in (("then_branch", yes), ("else_branch", no)):
            branch = GraphBuilder(self.name(f"{word}_"))
            result = build(branch)
            output = helper.make_tensor_value_info(result, TensorProto.DOUBLE, None)
            branches[word] = branch.graph(word, inputs=(), outputs=(output,))
        return self("If", condition, **branches)

    def repeat(
        self, count: int, start: Mapping[str, int], step: Callable[[GraphBuilder, str, Sequence[str]], Sequence[str]]
    ) -> list[str]:
        """Return the values that steps leave, each of which begins with those of the step before.

        Args:
            count: number of steps.
            start: the first values, with their types, such as `TensorProto.FLOAT`.
            step: builds a step, with a builder, from the number of the step, int64 (), and the values.
        """
        body = GraphBuilder(self.name("body_"))
        number, proceed = body.name("number"), body.name("proceed")
        taken = [body.name("taken") for _ in start]
        left, go_on = step(body, number, taken), body("Identity", proceed)

        def infos(names: Sequence[str]) -> list[ValueInfoProto]:
            kinds = zip(names, start.values(), strict=True)
            return [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds]

        given = [helper.make_tensor_value_info(number, TensorProto.INT64, [])]
        given += [helper.make_tensor_value_info(proceed, TensorProto.BOOL, []), *infos(taken)]
        made = [helper.make_tensor_value_info(go_on, TensorProto.BOOL, []), *infos(left)]
        outputs = [self.name("repeated") for _ in start]
        inputs = [self.constant(count, np.int64), "", *start]
        graph = body.graph("body", inputs=given, outputs=made)
        self._nodes.append(helper.make_node("Loop", inputs, outputs, name=f"{outputs[0]}_node", body=graph))
        return outputs

    def graph(self, name: str, *, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> GraphProto:
        """Return the graph of all nodes so far."""
        return helper.make_graph(self._nodes, name, list(inputs), list(outputs), initializer=self._initializers)
