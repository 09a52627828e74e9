"""Exported scikit-learn heads say what scikit-learn says; those that skl2onnx cannot convert are refused."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import numpy as np
import onnx
import onnxruntime
import pytest
from exported_runs import write_shipped_run
from messages import says
from onnx import TensorProto, helper
from run_fixtures import verify_on_few_sizes

from tlkit.errors import MissingExtraError, ModelError
from tlkit.exported import open_exported
from tlkit.features.heads import fit_head
from tlkit.inference.export.export_run import export_run
from tlkit.inference.export.head_graph import with_head

needs_converter = pytest.mark.skipif(find_spec("skl2onnx") is None, reason="skl2onnx is not installed")


WIDTH = 12


def fitted(kind: str, classes: tuple[str, ...], *, seen: int):
    """A head, fitted on overlapping classes."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, seen, 90)
    features = rng.normal(size=(90, WIDTH)) + rng.normal(0, 0.8, (seen, WIDTH))[codes]
    return fit_head(7 * features + 3, codes, kind=kind, classes=classes, folds=3)


def backbone() -> onnx.ModelProto:
    """A graph whose features are the pixels of its image."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 2, 2])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", WIDTH])
    graph = helper.make_graph([helper.make_node("Flatten", ["image"], ["features"])], "pixels", [image], [features])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


THREE = ("a", "b", "c")


@needs_converter
@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        *((kind, names) for kind in ("knn", "svm") for names in (("no", "yes"), THREE, (*THREE, "d"))),
        ("random_forest", THREE),
        pytest.param("random_forest", ("no", "yes"), marks=pytest.mark.series),  # 200 trees, six times
    ],
)
def test_a_head_in_the_graph_gives_the_probabilities_of_scikit_learn(kind, classes):
    head = fitted(kind, classes, seen=len(classes))
    model = with_head(backbone(), head)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).normal(3, 9, (40, 3, 2, 2)).astype(np.float32)
    expected = head.predict_proba(images.reshape(40, WIDTH))
    assert np.ptp(expected, axis=0).min() > 0.1
    for size in (40, 1):
        logits, found = session.run(["logits", "probabilities"], {"image": images[:size]})
        np.testing.assert_allclose(found, expected[:size], atol=2e-6)
        np.testing.assert_allclose(logits, np.log(expected[:size]), atol=2e-5)


@pytest.mark.series
@needs_converter
def test_a_run_with_such_a_head_is_exported_and_verified(tmp_path, monkeypatch):
    verify_on_few_sizes(monkeypatch)
    run = write_shipped_run(tmp_path, head="svm")
    written = export_run(run)
    assert written.verification.verdict == "PASS"
    assert {open_exported(path).facts.head for path in written.files} == {"svm"}
    facts = open_exported(written.files[0]).facts
    assert {"head.skops", "head.json"} <= set(facts.source) and "skl2onnx" in facts.packages
    for options in ({"int8": True}, {"format": "openvino"}):
        with pytest.raises(ModelError) as error:
            export_run(run, **options)
        assert says(error, *map(str, options), "svm", "logistic")


@needs_converter
def test_a_class_without_images_is_refused():
    with pytest.raises(ModelError) as error:
        with_head(backbone(), fitted("knn", THREE, seen=2))
    assert says(error, "knn", "'c'", "Add training images")


@pytest.mark.parametrize("kind", ["gradient_boosting", "knn"])
def test_a_head_that_cannot_be_converted_is_refused_with_the_remedy(tmp_path, monkeypatch, kind):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)  # as if it were not installed
    run = write_shipped_run(tmp_path)
    card = json.loads((run.directory.model / "model.json").read_text())
    (run.directory.model / "model.json").write_text(json.dumps({**card, "head": {"kind": kind, "file": "head.skops"}}))
    with pytest.raises(ModelError if kind == "gradient_boosting" else MissingExtraError) as error:
        export_run(run)
    assert says(error, kind, "skl2onnx", *(("logistic", "svm") if kind == "gradient_boosting" else ("pip install",)))
