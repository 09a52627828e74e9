"""The hub folder of a run: read back by timm and tlkit from a planted cache, and by the hub's reader of cards."""

from __future__ import annotations

import shutil
from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before timm

import pytest
import timm
import torch
from huggingface_hub import ModelCard, constants
from run_fixtures import working_in, write_recipe

from tlkit.errors import ModelError, RunError
from tlkit.inference.hub_folder import check_repository_name, write_hub_folder
from tlkit.inference.predictor import load_predictor
from tlkit.inference.pretrained import load_pretrained_model
from tlkit.models.backbone import create_backbone
from tlkit.models.weights.hub import upload_folder
from tlkit.recipe import load_recipe
from tlkit.runs.run import open_run
from tlkit.training.fit import fit

REPOSITORY = "lab/colours"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A small run that was trained whole, on images that are squashed to a size of their own."""
    folder = tmp_path_factory.mktemp("fitted")
    with working_in(folder):
        recipe = load_recipe(write_recipe(folder, more=", resize: squash"), ["train.epochs=1", "report.enabled=false"])
        return fit(recipe).path.absolute()


@pytest.fixture
def planted(fitted, tmp_path, monkeypatch):
    """Write the hub folder of the run, and plant it in a hub cache as a download would leave it."""
    run = open_run(shutil.copytree(fitted, tmp_path / "run"))
    (run.path / "export").mkdir()
    (run.path / "export" / "model.onnx").write_bytes(b"exported")
    folder = write_hub_folder(run, tmp_path / "hub-folder", repository=REPOSITORY)
    revision = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "cache" / "models--lab--colours"
    shutil.copytree(folder, cached / "snapshots" / revision)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return run, folder


def test_timm_and_tlkit_read_the_same_model_back(planted):
    run, _ = planted
    model = load_predictor(run, device="cpu")
    images = torch.randn(3, 3, *model.facts.preprocess.image_size)
    read = timm.create_model(f"hf-hub:{REPOSITORY}", pretrained=True).eval()
    with torch.inference_mode():
        torch.testing.assert_close(read(images), model.network(images))
    assert tuple(read.pretrained_cfg["label_names"]) == model.facts.classes
    again = load_pretrained_model("test_resnet", weights=f"hf-hub:{REPOSITORY}", device="cpu")
    assert again.facts.preprocess == model.facts.preprocess and again.facts.classes == model.facts.classes
    files = sorted(Path(run.recipe.data.root).rglob("*.png"))[:5]
    torch.testing.assert_close(
        torch.from_numpy(again.predict(files).proba.copy()), torch.from_numpy(model.predict(files).proba.copy())
    )
    backbone = create_backbone("test_resnet", weights=f"hf-hub:{REPOSITORY}")
    assert backbone.preprocess == model.facts.preprocess


def test_the_card_states_the_figures_and_the_folder_holds_what_was_exported(planted):
    run, folder = planted
    card = ModelCard.load(folder / "README.md")
    (result, *_) = card.data.eval_results
    assert result.metric_value == pytest.approx(run.evaluation("test").accuracy.value, abs=1e-4)
    assert card.data.license and f"hf-hub:{REPOSITORY}" in card.text
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert names == {"README.md", "config.json", "model.safetensors", "export/model.onnx"}


def test_the_log_names_the_folder_and_no_file_that_has_moved(planted, tmp_path, caplog):
    caplog.set_level("INFO")
    folder = write_hub_folder(planted[0], tmp_path / "named")
    assert str(folder) in caplog.text and ".partial" not in caplog.text


def test_a_folder_with_files_stays_unless_it_is_a_hub_folder_to_replace(planted, tmp_path):
    run, folder = planted
    with pytest.raises(RunError, match="--overwrite"):
        write_hub_folder(run, folder)
    write_hub_folder(run, folder, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.md").write_text("mine")
    with pytest.raises(RunError, match="another folder"):
        write_hub_folder(run, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "notes.md").read_text() == "mine"


def test_an_upload_that_fails_says_where_the_files_are(planted):
    _, folder = planted
    with pytest.raises(ModelError, match="Nothing is lost"):
        upload_folder(folder, REPOSITORY)
    assert (folder / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["colours", "a/b/c", "../x", "lab/", "lab/..", "lab/a b"])
def test_a_name_that_is_no_repository_is_refused(name):
    with pytest.raises(RunError, match="ORG/NAME"):
        check_repository_name(name)
