"""scikit-learn heads of a run, fitted to the features of the training images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tlkit.arrays import Floats, Ints
from tlkit.choices import FOLDS
from tlkit.features.features import Features
from tlkit.features.folds import assign_folds, bound_images, max_folds, warn_rare_classes
from tlkit.features.heads import Head, choose_head, fit_head
from tlkit.features.heads.fit_task_heads import LabelHead, fit_label_head, fit_number_head
from tlkit.features.heads.head_store import HEAD_FILE
from tlkit.features.heads.head_tables import facts_sentence
from tlkit.features.heads.linear import LinearWeights
from tlkit.models.classifier import Classifier
from tlkit.models.network import ScoredHead
from tlkit.models.task_heads import RegressionHead
from tlkit.preflight.recipe_queries import class_weights, head_kind, positive_weights
from tlkit.samples import Samples
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)


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


def fit_task_head(prepared: Prepared, features: Features) -> LabelHead:
    """Return the head of a recipe of several labels or numbers, fitted to features, and put it into the classifier.

    Folds are those of `fit_recipe_head`; several labels are stratified by the rarest one of an image.

    Args:
        prepared: the prepared recipe.
        features: of the images without augmentation; training images without features are left out.

    Raises:
        DataError: there are too few training images, or a label is on none or on all of them.
    """
    recipe, classifier = prepared.recipe, prepared.classifier
    samples = prepared.data.samples.split("train")
    rows = features.rows_in(samples.paths)
    samples, features = samples.take(rows), features.of(samples.paths[rows])
    fold = _folds_of(prepared, features, samples, task_strata(samples))
    if recipe.task == "multilabel":
        given = recipe.train.class_weights
        label_weights, positive = (of(given, prepared.data.samples) for of in (class_weights, positive_weights))
        head = fit_label_head(
            features.x,
            samples.label_matrix,
            fold=fold,
            label_weight=_by_class(label_weights, classifier.classes),
            positive_weight=_by_class(positive, classifier.classes),
        )
    else:
        scale = classifier.task
        assert isinstance(scale, RegressionHead), "the recipe's checks refuse such a head of grades"
        numbers = np.asarray(samples.target_values, dtype=np.float64)
        head = fit_number_head(features.x, (numbers - scale.mean) / scale.std, fold=fold)
    logger.info("%s", head.sentence)
    _set_layer(classifier, head.parameters)
    classifier.head_facts = head.to_dict()
    return head


def task_strata(samples: Samples) -> Ints:
    """Return what folds of several labels or numbers keep in proportion, shape (N,).

    Of several labels it is the rarest one of an image, 0 for none; of numbers which quantile they lie in.
    """
    if samples.task == "regression":
        return samples.strata
    matrix = samples.label_matrix
    order = np.argsort(matrix.sum(axis=0), kind="stable")
    has = matrix[:, order] == 1
    return np.where(has.any(axis=1), has.argmax(axis=1) + 1, 0).astype(np.int64)


def _by_class(weights: Mapping[str, float] | None, classes: Sequence[str]) -> Floats | None:
    return None if weights is None else np.array([weights[name] for name in classes])


def _folds_of(prepared: Prepared, features: Features, samples: Samples, strata: Ints) -> Ints:
    """Return the fold of each training image; copies and images of one group share a fold."""
    recipe, column = prepared.recipe, prepared.recipe.data.group_by
    groups = None if column is None else samples.table[column].fillna("").tolist()
    digests, paths = features.digest.tolist(), features.path.tolist()
    bound = bound_images(paths, groups=groups, digests=digests, alike=prepared.data.dataset.alike)
    folds = max(2, min(FOLDS, max_folds(len(strata), groups=bound)))
    own: Ints = assign_folds(paths, strata, folds=folds, seed=recipe.seed, groups=bound).assignments[0]
    return own


def _set_layer(classifier: Classifier, part: LinearWeights) -> None:
    """Put weight and bias into the linear layer of a classifier."""
    layer = classifier.network.head
    assert isinstance(layer, torch.nn.Linear), "a new classifier has a linear head"
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(part.weight))
        layer.bias.copy_(torch.from_numpy(part.bias))


def install(classifier: Classifier, head: Head, *, facts: Mapping[str, Any]) -> None:
    """Put a head into a classifier's network, and its facts into those of the model."""
    part = head.linear
    if part is None:
        classifier.network.head = ScoredHead(head.predict_proba, in_features=head.width)
        classifier.head_facts = {**facts, "file": HEAD_FILE}
        return
    _set_layer(classifier, part)
    classifier.head_facts = dict(facts)
