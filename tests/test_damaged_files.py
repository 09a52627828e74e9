"""Damaged files of every kind that tlkit reads give a `TlkitError`, or are read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import saying
from PIL import Image

from tlkit.data.checks.label_decisions import read_decisions
from tlkit.data.checks.quarantine import exclude_quarantined
from tlkit.data.sources.manifest import apply_split, read_manifest
from tlkit.data.sources.metadata import add_metadata
from tlkit.data.sources.tar_shards import read_shards
from tlkit.errors import ModelError, TlkitError
from tlkit.exported.export_folder import ExportFolder
from tlkit.features.cache_blocks import read_block, write_block
from tlkit.features.heads.fit_head import fit_head
from tlkit.features.heads.head_store import load_head, save_head
from tlkit.models.model_files import ModelFacts, WeightsFacts, read_model_facts, read_tensors, save_artifact
from tlkit.predictions import read_predictions
from tlkit.preprocess import Preprocess
from tlkit.recipe.gates_file import load_gates
from tlkit.recipe.loading import load_recipe
from tlkit.runs.directory import RunDirectory
from tlkit.samples import Samples
from tlkit.training.checkpoint_files import FORMAT_VERSION
from tlkit.training.start_checkpoint import find_start

DIGEST = "0" * 64
FUZZ = int(os.environ.get("TLKIT_FUZZ", "0"))
"""How many random damages to try of each kind; 0 = the same few every time."""
JUNK = (None, True, -1, 1e300, 10**30, "", "x", "\0", [], [1], {}, {"x": 1})


@dataclass(frozen=True)
class Kind:
    """A file that is read: its name, valid content, and the function that reads it."""

    name: str
    sound: bytes
    read: Callable[[Path], Any]


def images(folder: Path) -> Samples:
    paths = []
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (4, 4), (9 * number, 99, 9)).save(folder / label / f"{number}.png")
            paths.append(f"{label}/{number}.png")
    table = pd.DataFrame({"path": paths, "label": [path[0] for path in paths], "split": "train", "digest": DIGEST})
    return Samples(folder, ("a", "b"), table.astype("str"))


def shard_of(folder: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, text in (
            ("1.png", b"image"),
            ("1.json", b'{"label": "a", "age": 7}'),
            ("2.png", b"i"),
            ("2.cls", b"b"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return content.getvalue()


def parquet(table: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    table.to_parquet(content)
    return content.getvalue()


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def tables(folder: Path) -> list[Kind]:
    samples = images(folder)
    listed = samples.table.assign(age="7", decision="relabel to b", quarantine=["", "blurred", "", ""])
    csv = listed.to_csv(index=False).encode()
    predictions = pd.DataFrame(
        {
            "path": ["a", "b"],
            "y_true": ["a", "b"],
            "y_pred": ["a", "a"],
            "age": ["7", None],
            "proba_a": [0.75, 0.5],
            "proba_b": [0.25, 0.5],
        }
    )
    return [
        Kind("list.csv", csv, lambda file: read_manifest(file, columns=["age"])),
        Kind("list.parquet", parquet(listed), lambda file: read_manifest(file, columns=["age"])),
        Kind("split.csv", csv, lambda file: apply_split(samples, file)),
        Kind("own-split.csv", csv, lambda file: Samples.from_csv(file, root=folder, classes=("a", "b"))),
        Kind("meta.csv", csv, lambda file: add_metadata(samples, file, groups=["age"])),
        Kind("quarantine.csv", csv, lambda file: exclude_quarantined(samples, file)),
        Kind("decisions.csv", csv, lambda file: read_decisions(file, classes=("a", "b"))),
        Kind("predictions.csv", predictions.to_csv(index=False).encode(), read_predictions),
        Kind("predictions.parquet", parquet(predictions), read_predictions),
        Kind("train-0.tar", shard_of(folder), lambda file: read_shards(str(file), columns=["age"])),
    ]


def stored(folder: Path) -> list[Kind]:
    card = ModelFacts(
        "test_resnet", ("a", "b"), Preprocess(), drop_rate=0.0, weights=WeightsFacts("none", "none", "", "")
    )
    save_artifact(folder / "model", {"head.weight": torch.zeros(2, 3)}, card)
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    save_head(folder / "head", fit_head(x, np.arange(20) % 2, classes=("a", "b"), kind="knn"))
    (folder / "block").mkdir()
    rows = write_block(folder / "block", ["k"], np.zeros((1, 3), dtype=np.float32))
    checkpoint = io.BytesIO()
    belongs = {"format_version": FORMAT_VERSION, "origin": "x", "frozen_weights": "0" * 64}
    state = {"state_dict": {"w": torch.zeros(1)}, "loops": {"fit_loop": {"x": 1}}, "lr_schedulers": [{"x": 1}]}
    keeper = {"KeepCheckpoints": {"best": "", "ranked": []}}
    torch.save({"tlkit": belongs, "callbacks": keeper, "epoch": 0, "optimizer_states": [{"x": 1}], **state}, checkpoint)

    def start(file: Path) -> None:
        digest = hashlib.sha256(checkpoint.getvalue()).hexdigest()
        file.with_name(f"{file.name}.sha256").write_text(digest)
        find_start(file.parent, origin="x")

    def start_beside(file: Path) -> None:
        (file.parent / "epoch-0001.ckpt").write_bytes(checkpoint.getvalue())
        assert find_start(file.parent, origin="y") is None

    def beside(name: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        """Read a folder in which one file is damaged and the others are sound."""
        source = folder / name

        def reading(file: Path) -> Any:
            for other in source.iterdir():
                if other.name != file.name:
                    (file.parent / other.name).write_bytes(other.read_bytes())
            return read(file.parent)

        return reading

    return [
        Kind("model.json", (folder / "model" / "model.json").read_bytes(), lambda file: read_model_facts(file.parent)),
        Kind(
            "model.safetensors",
            (folder / "model" / "model.safetensors").read_bytes(),
            lambda file: read_tensors(file.parent),
        ),
        *(
            Kind(path.name, path.read_bytes(), beside("head", load_head))
            for path in sorted((folder / "head").iterdir())
        ),
        Kind(rows.sidecar.name, rows.sidecar.read_bytes(), read_block),
        Kind("epoch-0001.ckpt", checkpoint.getvalue(), start),
        Kind("epoch-0001.ckpt.sha256", b"0" * 64, start_beside),
        Kind(
            "run.json",
            b'{"format_version": 1, "status": "finished"}',
            lambda file: RunDirectory.open(file.parent).status,
        ),
    ]


RECIPE = b"""recipe_version: 1
name: a
data: {root: b, groups: [age], metadata: m.csv}
model: {name: resnet18}
strategy: {kind: lp_ft, probe_epochs: 2}
train: {epochs: 5, early_stopping: {patience: 2}}
audit: {by: [age]}
"""
GATES = b"gates_version: 1\ntolerances:\n  - {by: age, metric: accuracy, tolerance: 0.05}\n"


def words(_: Path) -> list[Kind]:
    return [
        Kind("recipe.yaml", RECIPE, load_recipe),
        Kind("gates.yaml", GATES, lambda file: load_gates(file, metrics=("accuracy", "recall"))),
    ]


@st.composite
def damage(draw: st.DrawFn, sound: bytes) -> bytes:
    """Return bytes near those of a sound file, or far from them."""
    how = draw(st.sampled_from(["bytes", "cut", "edit", "insert", "value"]))
    if how == "bytes":
        return draw(st.binary(max_size=200))
    if how == "cut":
        return sound[: draw(st.integers(0, len(sound)))]
    if how == "value" and sound.startswith(b"{"):
        values = json.loads(sound)
        key = draw(st.sampled_from(sorted(values)))
        inner = values[key]
        if isinstance(inner, dict) and inner and draw(st.booleans()):
            inner[draw(st.sampled_from(sorted(inner)))] = draw(st.sampled_from(JUNK))
        elif draw(st.booleans()):
            values[key] = draw(st.sampled_from(JUNK))
        else:
            del values[key]
        return json.dumps(values).encode()
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        piece = draw(
            st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"\n", b",", b'"', b":", b"{", b"\xff"]))
        )
        content[at : at + (len(piece) if how == "edit" else 0)] = piece
    return bytes(content)


def try_damaged(kind: Kind, file: Path) -> None:
    @settings(
        max_examples=FUZZ or 25,
        derandomize=not FUZZ,
        database=None,
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(content=damage(kind.sound))
    def try_one(content: bytes) -> None:
        file.write_bytes(content)
        try:
            kind.read(file)
        except TlkitError as error:
            assert all(problem.strip() for problem in error.problems)

    try_one()
    file.write_bytes(kind.sound)
    kind.read(file)  # the valid content is accepted


@pytest.mark.parametrize("name", ["", "..", "../a", "a/b", "a\0b"])
def test_a_list_of_exports_that_names_no_file_of_its_folder_is_damaged(name, tmp_path):
    (tmp_path / "export.json").write_text(json.dumps({"format_version": 1, "sha256": {name: "0" * 64}}))
    with pytest.raises(ModelError, match=saying("export.json", "sha256").pattern):
        ExportFolder(tmp_path).files()


@pytest.mark.parametrize("kinds", [tables, stored, words])
def test_a_damaged_file_gives_a_tlkit_error_or_none(kinds, tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    wrong = []
    for number, kind in enumerate(kinds(tmp_path)):
        folder = tmp_path if kinds is tables else tmp_path / f"tried-{number}"
        folder.mkdir(exist_ok=True)
        try:
            try_damaged(kind, folder / kind.name)
        except Exception as error:
            wrong.append(f"{kind.name}: {error!r} {''.join(getattr(error, '__notes__', ()))}")
    assert not wrong, "\n".join(wrong)


def test_a_folder_in_place_of_the_weights_is_named(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(ModelError, match=saying("model.safetensors", "folder", "train again").pattern):
        read_tensors(tmp_path)
