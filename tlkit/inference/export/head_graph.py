"""A scikit-learn head that is not linear as an ONNX graph, by skl2onnx. The only module that imports skl2onnx."""

from __future__ import annotations

import warnings

import onnx
from onnx import TensorProto, compose, helper

from tlkit.errors import MissingExtraError, ModelError, reason_of
from tlkit.exported.facts import LOGITS, PROBABILITIES
from tlkit.features.heads import Head
from tlkit.features.heads.head import ScaledEstimator
from tlkit.inference.export.graph_builder import GraphBuilder
from tlkit.inference.export.graph_models import as_model

FEATURES = "features"
"""Output of a backbone's graph: float32 (N, D)."""
CONVERTED = ("knn", "svm", "random_forest")
"""Kinds of head that skl2onnx 1.20 converts; it fails on histogram gradient boosting."""
EXTRA = "skl2onnx"
ML_OPSET = 3
ESTIMATOR = "estimator_"


def require_converter(kind: str) -> None:
    """Check that a kind of head can be converted here.

    Raises:
        ModelError: skl2onnx does not convert it.
        MissingExtraError: skl2onnx is not installed.
    """
    if kind not in CONVERTED:
        raise ModelError(
            f"The head is of kind {kind}, a scikit-learn estimator that skl2onnx cannot convert to ONNX. Fit with a "
            f"linear head, such as strategy.head=logistic, lda, ridge or linear_svm, or with {', '.join(CONVERTED)}, "
            "and export that run."
        )
    try:
        import skl2onnx  # noqa: F401
    except ImportError:
        raise MissingExtraError(package="skl2onnx", extra=EXTRA, purpose=f"Exporting a head of kind {kind}") from None


def with_head(backbone: onnx.ModelProto, head: Head) -> onnx.ModelProto:
    """Return the graph of a backbone, whose output is `features`, with a head: outputs logits and probabilities.

    Features are standardized in float64, as scikit-learn gets them; skl2onnx converts the estimator; its votes or
    decision values become logits by the head's own formula (`tlkit.features.heads.nonlinear`), and are divided by the
    temperature. Logits are logarithms of the probabilities, as those of the stored model.

    Raises:
        ModelError: a class had no training image, or skl2onnx refuses the estimator.
    """
    part = head.parameters
    assert isinstance(part, ScaledEstimator), "a linear head is a layer of the network"
    if len(part.present) < len(head.classes):
        missing = [name for code, name in enumerate(head.classes) if code not in part.present.tolist()]
        raise ModelError(
            f"The head, of kind {head.kind}, has never seen an image of {missing[0]!r}, so it cannot be exported. Add "
            "training images of every class, or use a linear head."
        )
    try:
        estimator = _converted(head, part, backbone)
    except Exception as error:  # converters raise any class
        raise ModelError(
            f"skl2onnx cannot convert this head of kind {head.kind} ({reason_of(error)}). Fit with a linear head, such "
            "as strategy.head=logistic."
        ) from error
    taken, scored = estimator.graph.input[0].name, estimator.graph.output[1].name
    before = as_model(_standardize(part, width=head.width, output=f"standardized_{taken}"), estimator)
    merged = compose.merge_models(
        _declared(backbone, estimator), before, io_map=[(FEATURES, f"standardize_{FEATURES}")]
    )
    merged = compose.merge_models(merged, estimator, io_map=[(f"standardized_{taken}", taken)])
    after = as_model(_probabilities(head, part), estimator)
    return compose.merge_models(merged, after, io_map=[(scored, "head_scores")], outputs=[LOGITS, PROBABILITIES])


def _converted(head: Head, part: ScaledEstimator, backbone: onnx.ModelProto) -> onnx.ModelProto:
    """Return the estimator as a graph of double (N, D); its second output are votes or decision values (N, C)."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType

    opset = next(one.version for one in backbone.opset_import if one.domain == "")
    options: dict[str, bool] = {"zipmap": False}
    if head.kind == "svm":
        options["raw_scores"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reads attributes that scikit-learn has deprecated
        found = convert_sklearn(
            part.estimator,
            initial_types=[("x", DoubleTensorType([None, head.width]))],
            options={id(part.estimator): options},
            target_opset={"": opset, "ai.onnx.ml": ML_OPSET},
        )
    named: onnx.ModelProto = compose.add_prefix(found, ESTIMATOR)
    # skl2onnx declares the lowest versions that its operators allow; graphs are merged at one version
    del named.opset_import[:]
    named.opset_import.extend([helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ML_OPSET)])
    named.ir_version = backbone.ir_version
    return named


def _standardize(part: ScaledEstimator, *, width: int, output: str) -> onnx.GraphProto:
    g = GraphBuilder("standardize_")
    given = helper.make_tensor_value_info(f"standardize_{FEATURES}", TensorProto.FLOAT, ["batch", width])
    centered = g("Sub", g.cast(given.name, TensorProto.DOUBLE), g.constant(part.mean))
    g("Div", centered, g.constant(part.scale), output=output)
    made = helper.make_tensor_value_info(output, TensorProto.DOUBLE, ["batch", width])
    return g.graph("standardize", inputs=(given,), outputs=(made,))


def _probabilities(head: Head, part: ScaledEstimator) -> onnx.GraphProto:
    """Return the graph from votes or decision values to logits and probabilities."""
    g = GraphBuilder("head_")
    count = len(head.classes)
    given = helper.make_tensor_value_info("head_scores", TensorProto.FLOAT, ["batch", count])
    scores = g.cast(given.name, TensorProto.DOUBLE)
    if head.kind == "svm":
        if count == 2:  # skl2onnx gives ±z, `symmetric_decision` ±z/2
            scores = g("Div", scores, g.constant(2.0))
    else:
        votes = part.estimator.n_neighbors if head.kind == "knn" else part.estimator.n_estimators
        smoothed = g("Add", g("Mul", scores, g.constant(float(votes))), g.constant(1.0 / count))
        scores = g("Log", g("Div", smoothed, g.constant(votes + 1.0)))
    scaled = g("Div", scores, g.constant(head.temperature))
    g("Cast", g("LogSoftmax", scaled, axis=1), to=TensorProto.FLOAT, output=LOGITS)
    g("Cast", g("Softmax", scaled, axis=1), to=TensorProto.FLOAT, output=PROBABILITIES)
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", count]) for name in (LOGITS, PROBABILITIES)
    ]
    return g.graph("head", inputs=(given,), outputs=outputs)


def _declared(backbone: onnx.ModelProto, like: onnx.ModelProto) -> onnx.ModelProto:
    """Return the backbone with the operator sets of another model, which hold its own."""
    declared = onnx.ModelProto()
    declared.CopyFrom(backbone)
    del declared.opset_import[:]
    declared.opset_import.extend(like.opset_import)
    return declared
