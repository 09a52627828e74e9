"""Features of a run's images, computed by the backbone of its stored model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from tlkit.choices import EngineName
from tlkit.features.cache import FeatureCache
from tlkit.features.features import Features
from tlkit.inference.embed import TOLERANCE, embed
from tlkit.inference.extraction import Progress
from tlkit.inference.stored_model import load_stored
from tlkit.models.backbone import Backbone
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.runs import RunDirectory
from tlkit.samples import Samples


def embed_run(
    run: str | Path | object,
    *,
    splits: Sequence[str] = ("train", "val", "test"),
    engine: EngineName | Literal["auto"] = "auto",
    tolerance: float = TOLERANCE,
    device: str = "auto",
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> Features:
    """Return the features of a run's images by the backbone of its stored model.

    Args:
        run: a run or its directory.
        splits: which of its images.
        engine: what runs the backbone; auto takes the one that made the features already cached, else chooses by rule.
        tolerance: smallest cosine similarity with float32 torch that auto accepts, in (0, 1].
        device: auto, cpu, cuda or mps.
        cache: where features are kept; default: `FeatureCache()`.
        progress: called with (images done, images in all) for those that are not in the cache.

    Raises:
        TlkitError: there is no such run, it has no stored model, or none of the images can be read.
    """
    directory = RunDirectory.open(Path(getattr(run, "path", run)))  # type: ignore[arg-type]
    environment = directory.read_json(directory.environment)
    samples = Samples.from_csv(directory.split, root=Path(environment["data"]["root"]))
    chosen = samples.table["split"].isin(list(splits))
    samples = Samples(samples.root, samples.classes, samples.table[chosen].reset_index(drop=True))
    return embed(
        samples,
        backbone=stored_backbone(directory.model),
        engine=engine,
        tolerance=tolerance,
        device=device,
        cache=cache,
        progress=progress,
    )


def stored_backbone(folder: Path) -> Backbone:
    """Return the backbone of a stored model, with its weights as they are after training.

    Raises:
        ModelError: there is no stored model in the folder, or it does not fit this timm.
    """
    network, card = load_stored(folder)
    weights = replace(card.weights, digest=tensors_digest(network.backbone.state_dict()))
    return Backbone(
        name=card.architecture,
        module=network.backbone,
        num_features=network.head.in_features,
        preprocess=card.preprocess,
        weights=weights,
        options=card.options,
    )
