"""Engines of predictions: what `auto` takes, that the probabilities are those of torch, and that parts agree."""

from __future__ import annotations

import itertools
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from messages import says

from tlkit.data.sources.read_samples import read_with_columns
from tlkit.errors import DataError
from tlkit.features.engines.graph_engines import OnnxRuntimeEngine
from tlkit.inference import prediction_engine
from tlkit.inference.batch.predict_shard import batch_settings, model_files_digest, predict_shard
from tlkit.inference.predictor import load_predictor


@pytest.fixture
def photos(image_folder):
    """Return a folder of 18 images, one of which is damaged."""
    folder = image_folder("photos", **{"": 9})
    (folder / "blue" / "000.png").write_bytes(b"<html>gone</html>")
    return folder


@pytest.fixture
def model(stored_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return stored_model()


def run_in_onnx_runtime(monkeypatch):
    """Return a list that gets the number of images of each batch that ONNX Runtime computes."""
    seen = []

    class Seen(OnnxRuntimeEngine):
        def __call__(self, pixels):
            seen.append(len(pixels))
            return super().__call__(pixels)

    monkeypatch.setattr("tlkit.features.engines.engine_choice.OnnxRuntimeEngine", Seen)
    return seen


@pytest.mark.parametrize("tta", ["none", "flip", "ten_crop"])
def test_each_engine_gives_the_probabilities_of_torch_and_leaves_out_the_same_images(model, photos, monkeypatch, tta):
    seen = run_in_onnx_runtime(monkeypatch)
    expected = load_predictor(model, device="cpu").predict(photos, engine="torch", tta=tta, batch_size=4)
    found = load_predictor(model, device="cpu").predict(photos, engine="onnxruntime", tta=tta, batch_size=4)
    assert seen == [8] * 3 * {"none": 1, "flip": 2, "ten_crop": 10}[tta]  # 18 images
    assert found.path.tolist() == expected.path.tolist() and len(found) == 17
    np.testing.assert_allclose(found.proba, expected.proba, atol=1e-5)
    assert np.ptp(expected.proba, axis=0).max() > 1e-3  # else equal probabilities would prove nothing


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_auto_stays_with_torch_for_few_images_and_takes_onnx_runtime_for_many(
    model, photos, monkeypatch, caplog, threads
):
    caplog.set_level(logging.DEBUG, "tlkit")
    seen = run_in_onnx_runtime(monkeypatch)
    few = load_predictor(model, device="cpu").predict(photos)
    assert not seen and says(caplog.messages, "torch", "18 images", "--engine")
    assert few.proba.tobytes() == load_predictor(model, device="cpu").predict(photos, engine="torch").proba.tobytes()
    monkeypatch.setattr(prediction_engine, "FEW_IMAGES", 18)
    predictor = load_predictor(model, device="cpu")
    many = predictor.predict(photos)
    assert seen == [16, 16, 8, 8, 8] and says(caplog.messages, "onnxruntime", "18 images", "--engine")  # two are checks
    assert many.proba.tobytes() == predictor.predict(photos, engine="onnxruntime").proba.tobytes()
    assert seen[5:] == [8, 8, 8]


@pytest.mark.parametrize("classes", [2, 37, 1000])
def test_the_bits_of_a_head_depend_neither_on_threads_nor_on_other_rows(stored_model, classes):
    """Products of torch 2.13 with 37 columns have other bits in three threads than in one."""
    torch.manual_seed(0)
    network = load_predictor(stored_model(classes=tuple(map(str, range(classes)))), device="cpu").network
    network.head = torch.nn.Linear(1280, classes)
    features = np.random.default_rng(0).normal(size=(21, 1280)).astype(np.float32)
    with torch.inference_mode():
        expected = torch.softmax(network.head(torch.from_numpy(features)), dim=1).numpy()
    before, found = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 16):
            torch.set_num_threads(threads)
            proba = prediction_engine.head_probabilities(network, features)
            np.testing.assert_allclose(proba, expected, rtol=1e-4, atol=1e-7)
            alone = [prediction_engine.head_probabilities(network, features[row : row + 1]) for row in range(21)]
            found |= {proba.tobytes(), np.concatenate(alone).tobytes()}
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


FEW = [(1, 64, "auto"), (3, 5, "auto"), (2, 8, "onnxruntime")]
ALL = [*itertools.product((1, 2, 3, 16), (1, 5, 8, 32, 64), ("auto", "onnxruntime"))]


@pytest.mark.parametrize(
    ("tta", "ways"),
    [
        pytest.param("none", FEW, id="none-few"),
        *(pytest.param(tta, ALL, id=f"{tta}-all", marks=pytest.mark.series) for tta in ("none", "flip")),
    ],
)
def test_the_bits_depend_neither_on_threads_nor_on_the_batch_size(
    stored_model, image_folder, tmp_path, monkeypatch, tta, ways
):
    """Matrix products of another number of rows have other last bits, above all with many classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prediction_engine, "FEW_IMAGES", 1)
    photos = image_folder("photos", **{"": 22})
    (photos / "blue" / "003.png").write_bytes(b"<html>gone</html>")
    many = stored_model("many", classes=tuple(f"class {number:04}" for number in range(1000)))
    before, found = torch.get_num_threads(), {}
    try:
        for way in ways:
            threads, batch_size, engine = way
            torch.set_num_threads(threads)
            predictor = load_predictor(many, device="cpu")
            predictions = predictor.predict(photos, batch_size=batch_size, engine=engine, tta=tta)
            found[way] = predictions.proba.tobytes()
    finally:
        torch.set_num_threads(before)
    assert len(predictions) == 43 and predictions.proba.shape[1] == 1000
    assert len(set(found.values())) == 1


def test_auto_falls_back_to_torch_where_a_probability_differs(model, photos, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "tlkit")
    monkeypatch.setattr(prediction_engine, "FEW_IMAGES", 1)
    monkeypatch.setattr(prediction_engine, "PROBABILITY_TOLERANCE", -1.0)
    found = load_predictor(model, device="cpu").predict(photos)
    assert says(caplog.messages, "onnxruntime", "differ") or says(caplog.messages, "onnxruntime", "changes")
    assert found.proba.tobytes() == load_predictor(model, device="cpu").predict(photos, engine="torch").proba.tobytes()


def test_a_network_that_cannot_be_exported_is_predicted_by_torch_and_refused_by_name(model, photos, monkeypatch):
    def fail(*_):
        raise RuntimeError("no operator")

    monkeypatch.setattr(prediction_engine, "FEW_IMAGES", 1)
    monkeypatch.setattr("tlkit.features.engines.graph_engines.export_onnx", fail)
    predictor = load_predictor(model, device="cpu")
    assert len(predictor.predict(photos)) == 17
    with pytest.raises(DataError, match="onnxruntime") as error:
        predictor.predict(photos, engine="onnxruntime")
    assert says([str(error.value)], "engine", "torch")
    with pytest.raises(DataError, match="onnxruntime"):
        predictor.predict(photos, engine="onnx")  # type: ignore[arg-type]


def test_labelled_samples_are_predicted_by_torch_however_many(model, photos, monkeypatch):
    monkeypatch.setattr(prediction_engine, "FEW_IMAGES", 1)
    seen = run_in_onnx_runtime(monkeypatch)
    load_predictor(model, device="cpu").predict_samples(read_with_columns(photos, columns=()))
    assert not seen


def test_parts_use_the_engine_of_one_prediction_of_all_images(model, photos, monkeypatch):
    monkeypatch.setattr(prediction_engine, "FEW_IMAGES", 18)  # more than a part holds
    seen = run_in_onnx_runtime(monkeypatch)
    load = partial(load_predictor, model, device="cpu")
    whole = load().predict(photos, batch_size=32)
    before = len(seen)
    for engine in ("auto", "torch"):
        settings = batch_settings(model_files_digest(model), ("blue", "red"), part_images=32, engine=engine)
        predict_shard(load, ["photos"], Path(engine), settings=settings, classes=("blue", "red"))
        assert (len(seen) > before) is (engine == "auto")
        before = len(seen)
    table = pd.read_parquet("auto/part-000000.parquet").dropna(subset=["proba_red"])
    assert table["proba_red"].astype(np.float32).tolist() == whole.proba[:, 1].astype(np.float32).tolist()
    with pytest.raises(DataError, match="--engine torch"):
        settings = batch_settings(model_files_digest(model), ("blue", "red"), part_images=32, engine="auto")
        predict_shard(load, ["photos"], Path("torch"), settings=settings, classes=("blue", "red"))


def test_prediction_leaves_the_networks_weights_as_they_are(model, photos):
    predictor = load_predictor(model, device="cpu")
    before = {name: tensor.clone() for name, tensor in predictor.network.state_dict().items()}
    predictor.predict(photos, engine="onnxruntime")
    assert all(torch.equal(tensor, before[name]) for name, tensor in predictor.network.state_dict().items())
