"""A run with a stored model that was never trained, its predictions, and what an export of it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from run_fixtures import write_run

from tlkit.features.heads import fit_head
from tlkit.inference.predictor import load_predictor
from tlkit.inference.stored_model import store_model
from tlkit.models.backbone import create_backbone
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network, ScoredHead, load_network

CLASSES = ("ant", "bée", "wasp")
SIZE = (32, 32)
RECIPE = "recipe_version: 1\nname: shipped\ndata: {root: photos, image_size: 32}\nmodel: {name: test_resnet}\n"


def write_photos(root: Path, count: int = 6) -> list[str]:
    """Write JPEGs, of which each second is large enough for a reduced decode, and return their paths."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True)
    names = []
    for number in range(count):
        height, width = (50, 61) if number % 2 else (200, 170)
        down, across = np.meshgrid(np.linspace(0, 6, height), np.linspace(0, 5, width), indexing="ij")
        waves = 128 + 100 * np.sin(down[..., None] * number + across[..., None] * rng.uniform(0, 4, 3))
        Image.fromarray(np.clip(waves, 0, 255).astype(np.uint8)).save(root / f"{number}.jpg", quality=95)
        names.append(f"{number}.jpg")
    return names


def write_model(folder: Path, *, scale: float = 1.0, **preprocess) -> None:
    """Write a stored model with random weights; logits have the standard deviation `scale`; 0 = a dead network."""
    torch.manual_seed(0)
    backbone = create_backbone("test_resnet", weights="none", image_size=SIZE)
    network = Network(backbone.module, num_features=backbone.num_features, num_classes=len(CLASSES))
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if "head" not in name and tensor.ndim == 1:
                tensor.add_(torch.randn_like(tensor) * 0.2)  # else whole branches are silent: zero-initialised gammas
        waves = torch.nn.functional.interpolate(torch.randn(32, 3, 3, 3), SIZE, mode="bilinear")
        logits = network.eval()(waves)
        network.head.weight *= scale / logits.std(0, keepdim=True).T
        network.head.bias.zero_()
        network.head.bias -= network(waves).mean(0)
    facts = ModelFacts(
        "test_resnet", CLASSES, backbone.preprocess.replace(**preprocess), 0.0, backbone.weights, backbone.options
    )
    store_model(folder, network.eval(), facts, None)


def write_model_with_head(folder: Path, kind: str) -> None:
    """Write a stored model with a scikit-learn head, fitted on features of waves."""
    write_model(folder)
    network, facts = load_network(folder)
    waves = torch.nn.functional.interpolate(torch.randn(90, 3, 4, 4), SIZE, mode="bilinear")
    with torch.no_grad():
        features = network.backbone(waves).numpy()
    codes = (features[:, 0].argsort().argsort() * len(CLASSES) // len(features)).tolist()
    head = fit_head(features, codes, kind=kind, classes=CLASSES, folds=3)
    stated = replace(facts, head={"kind": kind, "file": "head.skops"})
    network.head = ScoredHead(head.predict_proba, in_features=head.width)
    store_model(folder, network, stated, head)


def write_shipped_run(folder: Path, *, head: str | None = None, **model):
    """Write a run `runs/shipped` with a model and its predictions of six photos; return it."""
    names = write_photos(folder / "photos")
    labels = [CLASSES[number % 3] for number in range(len(names))]
    if head is None:
        write_model(folder / "model", **model)
    else:
        write_model_with_head(folder / "model", head)
    predictions = load_predictor(folder / "model", device="cpu").predict([folder / "photos" / name for name in names])
    table = pd.DataFrame({"path": names, "label": labels})
    stored = type(predictions).build(classes=CLASSES, path=names, y_true=labels, proba=predictions.proba)
    run = write_run(folder / "runs" / "shipped", RECIPE, table, stored, root=folder / "photos")
    (folder / "model").rename(run.path / "model")
    return run
