"""Training, prediction and the features cache see the same pixels of a large JPEG, to the last bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.dataset_source import Source
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.loading.datamodule import ImageFolderDataModule
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.features.features import Provenance
from tlkit.inference.extraction import Pixels, read_digests
from tlkit.inference.predictor import Predictor
from tlkit.models.model_files import ModelFacts
from tlkit.models.weights.weight_files import WeightsFacts
from tlkit.preprocess import Preprocess

PREPROCESS = Preprocess(image_size=(32, 32))


class Recorder(torch.nn.Module):
    """A network that keeps what it is given, and answers with the mean colours."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(pixels.clone())
        return pixels.mean(dim=(2, 3))[:, :2]

    def scores(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self(pixels), dim=1)


@pytest.fixture
def large(tmp_path):
    for number in range(6):
        coarse = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        folder = tmp_path / ("ant" if number % 2 else "bee")
        folder.mkdir(exist_ok=True)
        Image.fromarray(coarse).resize((605, 423), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    return tmp_path


def card_of(preprocess: Preprocess) -> ModelFacts:
    return ModelFacts("tiny", ("ant", "bee"), preprocess, 0.0, WeightsFacts("none", "", "", "0f"))


@pytest.mark.parametrize("decode", ["full", "reduced"])
def test_training_serving_and_features_see_the_same_pixels(large, decode):
    preprocess = PREPROCESS.replace(decode=decode)
    source = Source(root=large, plan=SplitPlan(val=0.34))
    data = ImageFolderDataModule(source, preprocess=preprocess, num_workers=0)
    batch = data.on_after_batch_transfer(next(iter(data.eval_dataloader("val"))), 0)
    paths = [large / path for path in data.samples.split("val").paths]

    stored = ModelFacts.from_dict(json.loads(json.dumps(card_of(preprocess).to_dict())))
    network = Recorder()
    Predictor(network, stored).predict(paths)  # type: ignore[arg-type]
    torch.testing.assert_close(network.seen[0], batch.image, rtol=0, atol=0)

    pixels = Pixels(build_transform(stored.preprocess), None, 0, DecodeOptions())
    cached = next(iter(pixels.batches(read_digests(paths))))
    again = data.on_after_batch_transfer(cached, 0)
    torch.testing.assert_close(again.image, batch.image, rtol=0, atol=0)


def test_the_two_ways_to_decode_differ_a_little_and_have_features_of_their_own(large):
    seen = []
    for decode in ("full", "reduced"):
        network = Recorder()
        Predictor(network, card_of(PREPROCESS.replace(decode=decode))).predict([large])  # type: ignore[arg-type]
        seen.append(network.seen[0])
    gap = (seen[0] - seen[1]).abs()
    assert 0 < gap.max() < 0.1, "a few of 255"
    keys = [
        Provenance("a", "0f", "pooled", PREPROCESS.replace(decode=decode), "rules", "torch", "float32").key("ab")
        for decode in ("full", "reduced")
    ]
    assert keys[0] != keys[1]


def test_a_card_says_which_tlkit_can_use_it_rightly():
    assert card_of(PREPROCESS).to_dict()["format_version"] == 3
    full = card_of(PREPROCESS.replace(decode="full")).to_dict()
    assert full["format_version"] == 1 and "decode" not in full["preprocess"], "as an older tlkit wrote it"
