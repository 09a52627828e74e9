"""Tiny image-text models with random weights, in the form of a folder of open_clip."""

from __future__ import annotations

import json
from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before open_clip

import pytest
import torch

VIT = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "patch_size": None}
TIMM = {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
PREPROCESS = {
    "size": 32,
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.25],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def write_model(
    folder: Path, *, vision: dict = VIT, preprocess: dict = PREPROCESS, seed: int = 0, **more: object
) -> Path:
    """Write a model with random weights and its configuration; skips the test where open_clip is absent."""
    pytest.importorskip("open_clip")
    import open_clip
    from safetensors.torch import save_file

    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": TEXT, **more}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
        model = kind(**config)
    with torch.no_grad():
        model.logit_scale.fill_(4.0)  # 1 / temperature = 55
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    stated = {"model_cfg": {**config, **({"custom_text": True} if "custom_text" in more else {})}}
    (folder / "open_clip_config.json").write_text(json.dumps({**stated, "preprocess_cfg": preprocess}))
    return folder


def plant_in_cache(folder: Path, cache: Path, repository: str) -> None:
    """Put a model into a hub's cache as a download would."""
    commit = "0" * 40
    place = cache / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    (place / "snapshots").mkdir()
    folder.rename(place / "snapshots" / commit)
