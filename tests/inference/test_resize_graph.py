"""Scaling inside an ONNX graph gives Pillow's pixels: to the bit, or within a gray level where it is named close."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from messages import says
from onnx import TensorProto, helper
from PIL import Image

from tlkit.data.decode.resizing import FILTERS, resize_image
from tlkit.errors import ModelError
from tlkit.inference.export.graph_builder import GraphBuilder
from tlkit.inference.export.resize_graph import close_pixels, exact_pixels
from tlkit.preprocess import Preprocess

SIZES = [(1, 1), (1, 7), (5, 1), (2, 300), (300, 2), (130, 90), (90, 131), (31, 32), (32, 32), (300, 70), (70, 301)]
"""Height and width: tiny, usual, the input's own, taller than 2:1, very elongated."""


def session_of(preprocess, make=exact_pixels):
    g = GraphBuilder("test_")
    g("Identity", make(g, "images", preprocess), output="out")
    inputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.DOUBLE, ["n", 3, *preprocess.image_size])]
    graph = g.graph("resize", inputs=inputs, outputs=outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0].transpose(0, 2, 3, 1)


def noise(height, width, count=1):
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("resize", ["crop", "letterbox", "squash"])
@pytest.mark.parametrize("interpolation", list(FILTERS))
@pytest.mark.parametrize(("image_size", "crop_pct"), [((32, 32), 0.875), ((40, 27), 0.9)])
def test_scaled_pixels_are_those_of_pillow_to_the_bit(resize, interpolation, image_size, crop_pct):
    preprocess = Preprocess(
        image_size=image_size, resize=resize, interpolation=interpolation, crop_pct=crop_pct, background=(9, 200, 77)
    )
    run = session_of(preprocess)
    for size in SIZES:
        images = noise(*size)
        expected = np.asarray(resize_image(Image.fromarray(images[0]), preprocess))
        np.testing.assert_array_equal(run(images)[0], expected, err_msg=str(size))


def test_a_squash_is_pillows_own_resize():
    images = noise(61, 47)
    expected = Image.fromarray(images[0]).resize((30, 20), Image.Resampling.BICUBIC)
    found = session_of(Preprocess(image_size=(20, 30), resize="squash"))(images)[0]
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_a_batch_is_scaled_as_its_images_are():
    run = session_of(Preprocess(image_size=(24, 24)))
    images = noise(50, 33, count=7)
    np.testing.assert_array_equal(run(images), np.concatenate([run(image[None]) for image in images]))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_close_scaling_is_a_gray_level_off_at_most_on_smooth_images(interpolation):
    preprocess = Preprocess(image_size=(32, 32), interpolation=interpolation)
    run = session_of(preprocess, close_pixels)
    down, across = np.meshgrid(np.arange(200), np.arange(150), indexing="ij")
    images = (127 + 100 * np.sin(down / 9 + across / 13))[None, ..., None].repeat(3, axis=3).astype(np.uint8)
    expected = np.asarray(resize_image(Image.fromarray(images[0]), preprocess)).astype(float)
    assert np.abs(run(images)[0] - expected).max() <= 1


def test_close_scaling_of_a_very_elongated_image_is_exact():
    preprocess = Preprocess(image_size=(32, 32))
    images = noise(20, 400)
    expected = np.asarray(resize_image(Image.fromarray(images[0]), preprocess))
    np.testing.assert_array_equal(session_of(preprocess, close_pixels)(images)[0], expected)


def test_a_filter_that_onnx_has_not_is_refused_with_the_remedy():
    with pytest.raises(ModelError) as error:
        session_of(Preprocess(interpolation="lanczos"), close_pixels)
    assert says(error, "lanczos", "--fast")
