"""A pipe where a file is read is refused; without that, reading waits for a writer for ever."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from messages import says

from tlkit.data.sources.image_files import find_images
from tlkit.data.sources.manifest import read_manifest
from tlkit.data.sources.tar_shards import read_shards
from tlkit.errors import TlkitError
from tlkit.exported.model import open_exported
from tlkit.input_files import refuse_pipe
from tlkit.models.model_files import read_tensors
from tlkit.models.weights.weight_files import read_state_dict
from tlkit.predictions import read_predictions
from tlkit.predictions.box_reading import read_detection
from tlkit.predictions.joined_tables import read_joined
from tlkit.predictions.task_reading import read_multilabel
from tlkit.recipe.gates_file import load_gates
from tlkit.recipe.loading import load_recipe
from tlkit.runs.directory import RunDirectory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes with a path")

READERS = {
    "recipe.yaml": load_recipe,
    "gates.yaml": lambda file: load_gates(file, metrics=("accuracy",)),
    "list.csv": lambda file: read_manifest(file, columns=[]),
    "list.parquet": lambda file: read_manifest(file, columns=[]),
    "train-0.tar": lambda file: read_shards(str(file), columns=[]),
    "predictions.csv": read_predictions,
    "predictions.parquet": read_predictions,
    "labels.csv": read_multilabel,
    "boxes.json": lambda file: read_detection(file, file),
    "groups.csv": read_joined,
    "photo.png": lambda file: find_images([file]),
    "weights.safetensors": read_state_dict,
    "weights.pth": read_state_dict,
    "model.safetensors": lambda file: read_tensors(file.parent),
    "model.onnx": open_exported,
    "run.json": lambda file: RunDirectory(file.parent).read_marker(),
    "environment.json": lambda file: RunDirectory(file.parent).read_environment(),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.timeout(60)
def test_a_pipe_in_place_of_a_file_is_refused(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(TlkitError) as refused:
        READERS[name](tmp_path / name)
    assert says(str(refused.value), name, "pipe or a device", "Name a file")


def test_files_folders_and_paths_that_lead_nowhere_pass(tmp_path):
    (tmp_path / "list.csv").touch()
    for path in (tmp_path, tmp_path / "list.csv", tmp_path / "none", Path("\0")):
        refuse_pipe(path, error=TlkitError)
    (tmp_path / "link.csv").symlink_to("/dev/zero")
    with pytest.raises(TlkitError, match=r"link\.csv"):
        refuse_pipe(tmp_path / "link.csv", error=TlkitError)
