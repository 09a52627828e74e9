"""What examples in docstrings find in their working directory: photos, a run of them, recipes and predictions.

`photos/`, `new/`, `runs/pets`, `predictions.csv`, `pets.yaml`, `sweep.yaml`, `gates.yaml`; `clip/`, an image-text model
with random weights, where an example names it. An example that names none of them runs as it is.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

PER_CLASS = 30
RECIPE = """\
recipe_version: 1
name: pets
data: {root: photos, batch_size: 16, num_workers: 0, image_size: 32, val: 0.2, test: 0.2,
       metadata: photos/meta.csv, groups: [light]}
augment: none
model: {name: test_resnet, weights: none}
strategy: frozen
train: {epochs: 2, learning_rate: 0.01}
audit: {by: [light], min_group_size: 2}
"""
SWEEP = """\
sweep_version: 1
name: pets-sweep
recipe: pets.yaml
metric: accuracy
space: {train.learning_rate: [0.01, 0.03]}
"""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the million objects that collection makes from the passes of the garbage collector: they live to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos of two classes, of which a run was fitted, and files about them."""
    folder = tmp_path_factory.mktemp("examples")
    rows = [write_photos(folder, name, tint) for name, tint in (("cat", (200, 120, 60)), ("dog", (60, 120, 200)))]
    (folder / "photos" / "meta.csv").write_text("path,light\n" + "".join(rows))
    (folder / "pets.yaml").write_text(RECIPE)
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "gates.yaml").write_text("gates_version: 1\ntolerances: [{by: light, tolerance: 0.2}]\n")
    (folder / "predictions.csv").write_text("path,y_true,y_pred,light\na.jpg,cat,cat,day\nb.jpg,dog,cat,night\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TLKIT_CACHE", str(folder / "cache"))
        import tlkit

        tlkit.fit("pets.yaml")
    return folder


@pytest.fixture(scope="session")
def image_text_model(example_folder: Path) -> Path:
    """Write an image-text model with random weights as `clip/`, in the form of open_clip."""
    import json

    import tlkit.torchvision_cure  # noqa: F401  before open_clip

    import open_clip
    import torch
    from safetensors.torch import save_file

    vision = {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        tensors = open_clip.CLIP(**config).state_dict()
    folder = example_folder / "clip"
    folder.mkdir()
    save_file({name: value.clone() for name, value in tensors.items()}, folder / "open_clip_model.safetensors")
    stated = {"model_cfg": config, "preprocess_cfg": {"size": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps(stated))
    return folder


def write_photos(folder: Path, name: str, tint: tuple[int, int, int]) -> str:
    """Write noisy images of one tint, and a new one for `new/`; return their rows of meta.csv."""
    from PIL import Image

    rng = np.random.default_rng(sum(tint))
    rows = ""
    for place in ("photos", "new"):
        (folder / place / name).mkdir(parents=True)
    for number in range(PER_CLASS):
        pixels = np.clip(np.array(tint) + rng.normal(0, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / name / f"{number:02d}.png")
        rows += f"{name}/{number:02d}.png,{'night' if number % 3 == 0 else 'day'}\n"
    for number in range(6):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "new" / name / f"{number:02d}.png")
    return rows


@pytest.fixture(autouse=True)
def figures_closed() -> Iterator[None]:
    """Close the figures that a test or an example opened and left."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def in_the_folder_of_the_examples(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an example that names one of the files run beside them."""
    example = getattr(request.node, "dtest", None)
    if example is None:
        return
    source = "".join(one.source for one in example.examples)
    if any(name in source for name in ("photos", "pets", "predictions.csv", "sweep.yaml", "gates.yaml")):
        folder = request.getfixturevalue("example_folder")
        if 'model="clip"' in source:
            request.getfixturevalue("image_text_model")
        monkeypatch.chdir(folder)
        monkeypatch.setenv("TLKIT_CACHE", str(folder / "cache"))
