"""An exported file predicts what `Predictor.predict` takes, as torch's loader decodes it, and without torch."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from messages import says
from PIL import Image
from small_exports import CLASSES, PREPROCESS, encoded, picture, weights, write_small_export

import tlkit
from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.batch import normalize
from tlkit.data.loading.dataset import ImageDataset
from tlkit.errors import DataError, ModelError
from tlkit.exported.exported_predictor import load_exported

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path):
    return write_small_export(tmp_path / "network.onnx")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(7):
        size = (40 + seed, 30) if seed % 2 else (300, 200)  # of which the decoder scales the large ones
        (folder / f"{seed}.jpg").write_bytes(encoded(seed, size=size))
    return folder


def test_probabilities_are_those_of_torchs_loader_and_numpy(file, photos):
    found = tlkit.load_model(file).predict(photos)
    dataset = ImageDataset([Path(name) for name in found.path], transform=build_transform(PREPROCESS))
    pixels = torch.from_numpy(np.stack([dataset[row].image for row in range(7)])).permute(0, 3, 1, 2)
    logits = normalize(pixels, PREPROCESS).flatten(1).numpy().astype(np.float64) @ weights()
    shares = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(found.proba, shares / shares.sum(1, keepdims=True), atol=1e-5)
    assert found.classes == CLASSES
    assert np.ptp(found.proba, axis=0).max() > 0.05


def test_neither_company_nor_workers_change_a_bit(file, photos):
    together = load_exported(file, workers=3).predict(photos)
    alone = [load_exported(file, workers=1).predict(path).proba[0] for path in together.path]
    np.testing.assert_array_equal(together.proba, alone)


def test_paths_bytes_pillow_images_and_arrays_are_images(file, photos):
    model = tlkit.load_model(file)
    path = photos / "1.jpg"
    expected = model.predict(path).proba[0]
    with Image.open(path) as image, Image.open(path) as decoded:
        pixels = np.asarray(decoded)
        found = model.predict([str(path), path.read_bytes(), image, pixels, io.BytesIO(path.read_bytes())])
    for proba in found.proba:
        np.testing.assert_array_equal(proba, expected)


def test_unreadable_images_are_left_out_and_named(file, photos):
    (photos / "3.jpg").write_bytes(b"no image")
    lost = []
    found = tlkit.load_model(file).predict(photos, on_unreadable=lost.append)
    assert len(found) == 6
    assert [Path(one.path).name for one in lost] == ["3.jpg"]
    with pytest.raises(DataError) as error:
        tlkit.load_model(file).predict(photos / "3.jpg")
    assert says(error, "cannot be read")


def test_a_file_with_a_threshold_says_where_it_abstains(tmp_path, photos):
    never = tlkit.load_model(write_small_export(tmp_path / "never" / "network.onnx")).predict(photos)
    limit = float(np.median(never.confidence))
    file = write_small_export(tmp_path / "network.onnx", answer_above=limit, wanted_risk=0.1)
    found = tlkit.load_model(file).predict(photos)
    assert found.groups["answered"].tolist() == ["yes" if one > limit else "no" for one in never.confidence]
    assert never.group_columns == ()


def test_a_device_is_refused(file):
    with pytest.raises(ModelError) as error:
        tlkit.load_model(file, device="cuda")
    assert says(error, "cuda", "CPU")


WITHOUT_TORCH = """
import sys
from importlib.metadata import packages_distributions
from importlib.abc import MetaPathFinder

allowed = set(sys.argv[1].split())
owners = packages_distributions()

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in owners and not {one.lower().replace("_", "-") for one in owners[top]} & allowed:
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

sys.meta_path.insert(0, Missing())
for forbidden in ("torch", "timm", "pytorch_lightning", "wandb", "albumentations", "cv2"):
    try:
        __import__(forbidden)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{forbidden} is there")
from tlkit.cli.app import app
for line in sys.argv[2:]:
    try:
        app(line.split("|"))
    except SystemExit as end:
        if end.code:
            raise
import tlkit.serving.server
"""


def closure(names: set[str]) -> set[str]:
    """The packages, and those that they need."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    found, todo = set(), list(names)
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        try:
            needs = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
        todo += [one.name for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def judge_packages() -> set[str]:
    from packaging.requirements import Requirement

    lines = (PROJECT / "requirements-judge.txt").read_text().splitlines()
    return {Requirement(line).name for line in lines if line and not line.startswith("#")}


def test_predict_and_judge_run_with_the_packages_of_requirements_judge_alone(file, photos, tmp_path):
    out = tmp_path / "out.parquet"
    labels = tmp_path / "labels.csv"
    rows = [f"{photos / f'{seed}.jpg'},{CLASSES[seed % 3]},{'left' if seed % 2 else 'right'}" for seed in range(7)]
    labels.write_text("path,y_true,side\n" + "\n".join(rows) + "\n", encoding="utf-8")
    images = tmp_path / "images.csv"
    images.write_text(labels.read_text(encoding="utf-8").replace("y_true", "label", 1), encoding="utf-8")
    commands = [
        f"predict|{file}|{photos}|--out|{out}",
        f"predict|{file}|{photos}|--out|{tmp_path / 'parts'}|--shard|0/1",
        f"evaluate|{file}|--data|{images}",
        f"audit|{file}|--data|{images}|--by|side",
        f"compare|{file}|{file}|--data|{images}",
        f"evaluate|{out}|--groups|{labels}",
        f"audit|{out}|--groups|{labels}|--by|side",
        f"compare|{out}|{out}|--groups|{labels}",
    ]
    allowed = " ".join(closure(judge_packages()) | {"tlkit"})
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, allowed, *commands], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    assert "7 images" in done.stdout or "of 7" in done.stdout


TABLES = "pandas pyarrow sklearn scipy matplotlib jinja2 torch onnx"


def test_predicting_to_the_terminal_loads_no_library_for_tables(file, photos):
    (photos / "3.jpg").write_bytes(b"no image")
    code = "import sys; from tlkit.cli.app import app\n"
    code += "try: app(['predict', *sys.argv[2:]])\nexcept SystemExit as end: assert not end.code\n"
    code += "early = set(sys.argv[1].split()) & set(sys.modules); assert not early, early"
    done = subprocess.run(
        [sys.executable, "-c", code, TABLES, str(file), str(photos)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = [line.split() for line in done.stdout.splitlines()[2:9]]
    expected = tlkit.load_model(file).predict(photos)
    labels = dict(zip(expected.path, expected.y_pred, strict=True))
    assert [Path(row[0]).name for row in shown] == [f"{seed}.jpg" for seed in range(7)]
    for path, label, confidence in (row for row in shown if not row[0].endswith("3.jpg")):
        assert label == CLASSES[labels[path]]
        assert float(confidence) == pytest.approx(expected.proba[expected.path == path].max(), abs=6e-5)
    assert says(done.stdout, "3.jpg", "cannot be read")


def test_a_network_that_gives_no_numbers_is_refused(tmp_path, photos):
    file = write_small_export(tmp_path / "network.onnx", scale=np.float32("inf"))
    with pytest.raises(ModelError) as error:
        tlkit.load_model(file).predict(photos)
    assert says(error, "network.onnx", "no numbers", "0.jpg", "tlkit verify")


def test_requirements_judge_states_what_pyproject_states():
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    stated = {}
    for text in project["dependencies"] + project["optional-dependencies"]["serve"]:
        stated[Requirement(text).name] = Requirement(text).specifier
    for line in (PROJECT / "requirements-judge.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert stated[Requirement(line).name] == Requirement(line).specifier


@pytest.mark.series
def test_an_environment_of_requirements_judge_predicts(file, photos, tmp_path):
    import venv

    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "-c", PROJECT / "constraints.txt"]
    subprocess.run([*pip, "-r", PROJECT / "requirements-judge.txt"], check=True)
    command = [python, "-m", "tlkit", "predict", file, photos, "--out", tmp_path / "out.csv"]
    subprocess.run(command, check=True, cwd=PROJECT)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 8


def test_pictures_have_different_answers(file):
    assert np.ptp(tlkit.load_model(file).predict([picture(1), picture(2), picture(3)]).proba, axis=0).max() > 0.05
