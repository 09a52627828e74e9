"""Test-time augmentation: fixed views of an image, averaged as probabilities, and never silently."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from command import invoke
from messages import saying, says
from PIL import Image
from torchvision.transforms import functional

from tlkit.data.augment.tta_views import array_views_of, tta_preprocess, views_of
from tlkit.data.decode.resizing import resize_image as draw
from tlkit.data.loading.batch import normalize
from tlkit.errors import DataError
from tlkit.inference.predictor import load_predictor
from tlkit.predictions import read_predictions
from tlkit.preprocess import Preprocess
from tlkit.training.fit import fit


def test_ten_crops_are_those_of_torchvision():
    pictures = torch.rand(2, 3, 40, 36)
    ours = list(views_of(pictures, "ten_crop", size=(32, 32)))
    theirs = functional.ten_crop(pictures, [32, 32])  # five crops, then five of the mirrored picture
    assert len(ours) == 10
    for crop, mirrored in enumerate((1, 0, 3, 2, 4)):
        assert torch.equal(ours[2 * crop], theirs[crop])
        assert torch.equal(ours[2 * crop + 1], theirs[mirrored + 5])


@pytest.mark.parametrize("views", ["none", "flip", "ten_crop"])
def test_views_of_arrays_are_those_of_tensors(views):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 41, 36), dtype=np.uint8)
    theirs = views_of(torch.from_numpy(pictures), views, size=(32, 30))
    for found, expected in zip(array_views_of(pictures, views, size=(32, 30)), theirs, strict=True):
        assert np.array_equal(found, expected.numpy()) and np.shares_memory(found, pictures)


@pytest.mark.parametrize(("crop_pct", "side"), [(0.875, 256), (0.5, 448), (1.0, 256)])
def test_crops_are_cut_from_the_picture_that_evaluation_cuts_its_centre_from(crop_pct, side):
    preprocess = Preprocess(crop_pct=crop_pct)
    picture = tta_preprocess(preprocess, "ten_crop")
    assert (picture.image_size, picture.crop_pct) == ((side, side), 1.0)
    assert tta_preprocess(preprocess, "flip") is preprocess
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8))
    if crop_pct < 1:
        drawn = torch.from_numpy(np.array(draw(image, picture))).permute(2, 0, 1)[None]
        centre = list(views_of(drawn, "ten_crop", size=(224, 224)))[8]
        assert torch.equal(centre[0].permute(1, 2, 0), torch.from_numpy(np.array(draw(image, preprocess))))


@pytest.fixture
def run(tiny_recipe):
    return fit(tiny_recipe(), {"train.epochs": 1, "evaluate.tta": "flip", "report.enabled": False})


def test_predictions_are_the_mean_probability_of_the_views_and_say_so(run, caplog, tmp_path):
    said = [record.getMessage() for record in caplog.get_records("setup")]
    assert says(said, "Test-time augmentation flip", "mean")
    stored = run.predictions("test")
    assert stored.tta == "flip"
    assert repr(stored).endswith("tta: flip)")
    files = [run.samples.root / path for path in stored.path]
    predictor = load_predictor(run)
    preprocess = predictor.facts.preprocess
    pixels = np.stack([np.array(draw(Image.open(file).convert("RGB"), preprocess)) for file in files])
    images = normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), preprocess)
    with torch.inference_mode():
        views = [torch.softmax(predictor.network(view), dim=1) for view in (images, images.flip(-1))]
    np.testing.assert_allclose(stored.proba, torch.stack(views).mean(0).numpy(), atol=1e-5)
    again, plain = predictor.predict(files, tta="flip"), predictor.predict(files)
    assert np.array_equal(again.proba, predictor.predict(files, tta="flip").proba)
    np.testing.assert_allclose(again.proba, stored.proba, atol=1e-6)
    assert plain.tta == "none"
    assert not np.allclose(plain.proba, again.proba, atol=1e-7)
    again.to_parquet(tmp_path / "again.parquet")
    assert read_predictions(tmp_path / "again.parquet") == again


def test_the_command_line_takes_views_and_an_unknown_one_is_refused(run, tmp_path):
    out = tmp_path / "out.parquet"
    image = str(run.samples.root / run.samples.paths[0])
    done = invoke(["predict", str(run.path), image, "--tta", "ten_crop", "--out", str(out)])
    assert done.exit_code == 0
    assert read_predictions(out).tta == "ten_crop"
    with pytest.raises(DataError, match=saying("'flips'", "none, flip, ten_crop").pattern):
        load_predictor(run).predict([image], tta="flips")


def test_a_frozen_run_predicts_views_from_pixels_not_from_its_cached_features(tiny_recipe):
    recipe = tiny_recipe()
    plain = fit(recipe, {"name": "plain", "strategy": "frozen", "report.enabled": False})
    averaged = fit(recipe, {"name": "averaged", "strategy": "frozen", "evaluate.tta": "flip", "report.enabled": False})
    assert averaged.predictions("test").tta == "flip"
    assert not np.allclose(plain.predictions("test").proba, averaged.predictions("test").proba, atol=1e-7)
