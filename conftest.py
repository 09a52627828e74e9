"""What examples in docstrings find in their working directory: photos, a run of them, recipes and predictions.

`photos/`, `new/`, `runs/pets`, `predictions.csv`, `pets.yaml`, `sweep.yaml`, `gates.yaml`. An example that names none
of them runs as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
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
        monkeypatch.chdir(folder)
        monkeypatch.setenv("TLKIT_CACHE", str(folder / "cache"))
