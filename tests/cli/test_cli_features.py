"""`tlkit features info` and `tlkit features prune`."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from command import invoke

from tlkit.data.decode.resizing import Frame
from tlkit.data.loading.image_cache import ImageCache, cache_key, size_on_disk
from tlkit.features import FeatureCache, Provenance
from tlkit.preprocess import Preprocess

MADE_BY = Provenance("resnet18", "0f" * 32, "pooled", Preprocess(), "rules 1, pillow 13", "torch/cpu", "float32")


def tlkit(*arguments):
    result = invoke(["features", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def filled():
    entry = FeatureCache().entry(MADE_BY)
    entry.add([MADE_BY.key(str(i)) for i in range(3)], np.zeros((3, 100_000), np.float32))
    entry.add([MADE_BY.key("4")], np.zeros((1, 100_000), np.float32))


@pytest.fixture
def decoded():
    cache = ImageCache()
    for number in range(3):
        cache.write(cache_key(str(number), "RGB"), np.zeros((100, 100, 3), np.uint8), Frame(100, 100, (0, 0, 100, 100)))
    return cache


def test_an_empty_cache_has_a_folder_and_a_limit(tmp_path):
    assert re.search(r"^/.*/features: 0 B of at most 10\.0 GB$", tlkit("info"), re.MULTILINE)


def test_decoded_images_are_listed_and_pruned_too(filled, decoded):
    size = 3 * size_on_disk(100, 100)
    stated = json.loads(tlkit("info", "--json"))["images"]
    assert (stated["images"], stated["size_bytes"], stated["folder"]) == (3, size, str(decoded.folder))
    assert re.search(r"^ *3 +90\.4 kB ", tlkit("info"), re.MULTILINE)
    assert len(tlkit("prune", "--all", "--only", "features").splitlines()) == 1
    assert decoded.info().images == 3
    tlkit("prune", "--to-mb", "0.07", "--only", "images")
    assert decoded.info().images == 2
    tlkit("prune", "--all")
    assert decoded.info().images == 0
    assert sum(entry.size_bytes for entry in FeatureCache().info()) == 0


def test_info_lists_entries_with_their_provenance(filled):
    assert re.search(r"^resnet18 +0f0f0f0f +224x224 +torch/cpu float32 +4 +1\.6 MB ", tlkit("info"), re.MULTILINE)
    stated = json.loads(tlkit("info", "--json"))
    assert stated["entries"][0]["made_by"] == MADE_BY.to_dict()


def test_prune_frees_the_least_recently_used_down_to_a_limit(filled):
    assert tlkit("prune").startswith("freed 0 B of features; 1.6 MB are left in ")
    assert tlkit("prune", "--to-mb", "0.5").startswith("freed 1.2 MB of features; 40")
    assert f"; 0 B are left in {FeatureCache().folder}\n" in tlkit("prune", "--all")
