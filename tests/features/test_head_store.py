"""Stored heads: round trip, and refusal of other types and of damaged files."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import zipfile

import numpy as np
import pytest
import skops.io
from messages import saying

from tlkit.errors import ModelError
from tlkit.features.heads import fit_setting, load_head, save_head
from tlkit.features.heads.head_kinds import FACTS

STORED = ["knn", "svm", "random_forest", "gradient_boosting"]


@pytest.fixture(scope="module")
def stored(make_features, tmp_path_factory):
    """Return a stored head of each kind, with the features it was fitted on."""
    x, y, names = make_features(n=60, classes=3, width=6)
    made = {}
    for kind in STORED:
        head = fit_setting(x, y, kind=kind, classes=names, settings=FACTS[kind].grid[1], temperature=1.3)
        folder = tmp_path_factory.mktemp(kind)
        save_head(folder, head)
        made[kind] = (head, folder)
    return x, made


def swap(folder, tmp_path, objects):
    """Return a copy of a stored head whose skops file holds something else, with a card that vouches for it."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = objects if isinstance(objects, bytes) else skops.io.dumps(objects)
    (copy / "head.skops").write_bytes(content)
    card = json.loads((copy / "head.json").read_text())
    card["sha256"] = hashlib.sha256(content).hexdigest()
    (copy / "head.json").write_text(json.dumps(card))
    return copy


@pytest.mark.parametrize("kind", STORED)
def test_stored_head_predicts_the_same(stored, kind):
    x, made = stored
    head, folder = made[kind]
    back = load_head(folder)
    assert np.array_equal(back.predict_proba(x), head.predict_proba(x))
    assert (back.kind, back.classes, back.settings, back.n) == (head.kind, head.classes, head.settings, head.n)
    assert sorted(path.name for path in folder.iterdir()) == ["head.json", "head.skops"]


@pytest.mark.parametrize("kind", STORED)
def test_two_classes_are_stored_too(make_features, tmp_path, kind):
    x, y, names = make_features(n=40, classes=2, width=4)
    head = fit_setting(x, y, kind=kind, classes=names, settings=FACTS[kind].grid[0])
    save_head(tmp_path, head)
    assert np.array_equal(load_head(tmp_path).predict_proba(x), head.predict_proba(x))


def test_file_that_would_run_a_command_is_refused_before_anything_is_built(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, made = stored
    head, folder = made["svm"]
    part = head.parameters
    evil = functools.partial(os.system, "touch broken-in")
    held = {"estimator": evil, "mean": part.mean, "scale": part.scale, "present": part.present}
    copy = swap(folder, tmp_path, held)
    with pytest.raises(ModelError, match=saying(copy / "head.skops", "functools.partial", "posix.system").pattern):
        load_head(copy)
    assert not (tmp_path / "broken-in").exists()


def test_types_that_skops_trusts_by_default_are_refused(stored, tmp_path):
    from sklearn.preprocessing import FunctionTransformer

    _, made = stored
    _, folder = made["knn"]
    for number, foreign in enumerate(
        (FunctionTransformer(np.exp), np.random.RandomState(0), made["svm"][0].parameters)
    ):
        with pytest.raises(ModelError, match=saying("part", "head").pattern):
            load_head(swap(folder, tmp_path / str(number), {"estimator": foreign}))


def test_arrays_that_do_not_fit_together_are_refused(stored, tmp_path):
    _, made = stored
    head, folder = made["random_forest"]
    part = head.parameters
    forest = part.estimator
    tree = forest.estimators_[0].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    nodes["left_child"][0] = 10_000  # would be read beyond the end of the array
    tree.__setstate__({**state, "nodes": nodes})
    held = {"estimator": forest, "mean": part.mean, "scale": part.scale, "present": part.present}
    content = skops.io.dumps(held)
    tree.__setstate__(state)
    with pytest.raises(ModelError, match=saying("random_forest", "stored", "contradicts").pattern):
        load_head(swap(folder, tmp_path, content))


def test_damaged_files_are_refused_by_name(stored, tmp_path):
    _, made = stored
    _, folder = made["svm"]
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    with zipfile.ZipFile(copy / "head.skops", "a") as archive:
        archive.writestr("more", "x")
    with pytest.raises(ModelError, match=saying("sha256", "head.json").pattern):
        load_head(copy)
    (copy / "head.skops").write_bytes(b"junk")
    with pytest.raises(ModelError, match="is damaged"):
        load_head(copy)
    (copy / "head.skops").unlink()
    with pytest.raises(ModelError, match=saying("head.skops", "Restore").pattern):
        load_head(copy)
    (copy / "head.json").write_text('{"format_version": 99}')
    with pytest.raises(ModelError, match=saying("99", "1", "written", "format").pattern):
        load_head(copy)
    (copy / "head.json").write_text('{"format_version": 1, "kind": "logistic"}')
    with pytest.raises(ModelError, match="is damaged"):
        load_head(copy)


def test_a_file_that_inflates_is_refused_before_it_is_read(stored, tmp_path):
    _, made = stored
    copy = shutil.copytree(made["knn"][1], tmp_path / "copy")
    file, card = copy / "head.skops", copy / "head.json"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(ModelError, match="sha256"):  # the digest comes first
        load_head(copy)
    values = json.loads(card.read_text())
    card.write_text(json.dumps({**values, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}))
    with pytest.raises(ModelError, match="compressed"):
        load_head(copy)
