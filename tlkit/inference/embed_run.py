"""Features of a run's images, computed by the backbone of its stored model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tlkit.data.sources.given_images import GivenImages
from tlkit.errors import ModelError, other_task
from tlkit.features.features import Features
from tlkit.inference.embed import embed
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Progress
from tlkit.inference.stored_model import load_any_task
from tlkit.models.backbone import Backbone
from tlkit.models.box_head import BoxHead
from tlkit.models.mask_decoder import MaskDecoder
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.recipe import load_recipe
from tlkit.runs import RunDirectory, folder_of_run
from tlkit.runs.run import Run


def embed_run(
    run: str | Path | object,
    *,
    splits: str | Sequence[str] = ("train", "val", "test"),
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> Features:
    """Return the features of a run's images by the backbone of its stored model.

    Args:
        run: a run or its directory.
        splits: the split or splits of its images.
        options: engine, device, cache and decoding; default: what the run's recipe states.
        progress: called with (images done, images in all) for those that are not in the cache.

    Raises:
        TlkitError: there is no such run, it has no stored model, or none of the images can be read.
    """
    directory = RunDirectory.open(folder_of_run(run))
    samples = Run(directory).samples
    splits = [splits] if isinstance(splits, str) else splits
    options = options or EmbedOptions.of_recipe(load_recipe(directory.recipe))
    return embed(samples.split(*splits), backbone=_stored_backbone(directory.model), options=options, progress=progress)


def embed_with_run(
    run: str | Path | object,
    images: GivenImages,
    *,
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> Features:
    """Return the features of other images by the backbone of a run's stored model.

    Args:
        run: a run or its directory.
        images: what `tlkit.embed` takes.
        options: as for `embed_run`.
        progress: as for `embed_run`.

    Raises:
        TlkitError: there is no such run, it has no stored model, or none of the images can be read.
    """
    directory = RunDirectory.open(folder_of_run(run))
    options = options or EmbedOptions.of_recipe(load_recipe(directory.recipe))
    return embed(images, backbone=_stored_backbone(directory.model), options=options, progress=progress)


def _stored_backbone(folder: Path) -> Backbone:
    """Return the backbone of a stored model, with its weights as they are after training."""
    network, facts = load_any_task(folder)
    if isinstance(network.head, MaskDecoder | BoxHead):
        raise ModelError(other_task(str(folder), facts.task))
    return Backbone(
        name=facts.architecture,
        module=network.backbone,
        num_features=network.head.in_features,
        preprocess=facts.preprocess,
        weights=replace(facts.weights, digest=tensors_digest(network.backbone.state_dict())),
        options=facts.options,
    )
