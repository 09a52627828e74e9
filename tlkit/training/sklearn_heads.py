"""scikit-learn heads of a run, fitted to the features of the training images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

from tlkit.features.features import Features
from tlkit.features.folds import assign_folds, bound_images, max_folds, warn_rare_classes
from tlkit.features.heads import Head, choose_head, fit_head
from tlkit.features.heads.head_store import HEAD_FILE
from tlkit.features.heads.head_tables import facts_sentence
from tlkit.models.classifier import Classifier
from tlkit.models.network import ScoredHead
from tlkit.preflight.recipe_queries import class_weights, head_kind
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

FOLDS = 5


def fit_recipe_head(prepared: Prepared, features: Features) -> Head:
    """Return the head of a recipe, fitted to the features of its training images, and put it into the classifier.

    Folds are assigned by seed and path; copies and near duplicates, and images of one value of `data.group_by`, share a
    fold (see `bound_images`). A linear head becomes a layer of the network; any other replaces the layer.

    Args:
        prepared: the prepared recipe.
        features: of the images without augmentation; training images without features are left out.

    Raises:
        DataError: there are too few training images.
    """
    recipe, classifier = prepared.recipe, prepared.classifier
    samples = prepared.data.samples.split("train")
    rows = features.rows_in(samples.paths)
    features = features.of(samples.paths[rows])
    y, column = samples.targets[rows], recipe.data.group_by
    groups = None if column is None else samples.table[column].fillna("").iloc[rows].tolist()
    digests = features.digest.tolist()
    bound = bound_images(features.path.tolist(), groups=groups, digests=digests, alike=prepared.data.dataset.alike)
    folds = max(2, min(FOLDS, max_folds(len(y), groups=bound)))
    if folds < FOLDS:
        logger.info("head: cross-validated in %d folds instead of %d, because the images fill no more.", folds, FOLDS)
    folds_of = assign_folds(features.path.tolist(), y, folds=folds, seed=recipe.seed, groups=bound)
    warn_rare_classes(folds_of, classifier.classes)
    weights = class_weights(recipe.train.class_weights, prepared.data.samples)
    word, facts = head_kind(recipe), dict[str, Any]()
    if word == "auto":
        choice = choose_head(
            features.x,
            y,
            classes=classifier.classes,
            seed=recipe.seed,
            class_weight=weights,
            folds=folds_of.assignments[0],
        )
        head, facts = choice.head, {"choice": choice.to_dict()}
    else:
        assert word != "linear", "the linear head is trained by gradient descent"
        head = fit_head(
            features.x,
            y,
            kind=word,
            classes=classifier.classes,
            seed=recipe.seed,
            class_weight=weights,
            folds=folds_of.assignments[0],
        )
    facts = head.to_dict() | facts
    logger.info("%s", facts_sentence(facts))
    install(classifier, head, facts=facts)
    return head


def install(classifier: Classifier, head: Head, *, facts: Mapping[str, Any]) -> None:
    """Put a head into a classifier's network, and its facts into the card."""
    part = head.linear
    if part is None:
        classifier.network.head = ScoredHead(head.predict_proba, in_features=head.width)
        classifier.head_facts = {**facts, "file": HEAD_FILE}
        return
    layer = classifier.network.head
    assert isinstance(layer, torch.nn.Linear), "a new classifier has a linear head"
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(part.weight))
        layer.bias.copy_(torch.from_numpy(part.bias))
    classifier.head_facts = dict(facts)
