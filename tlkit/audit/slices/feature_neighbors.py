"""Clusters of features, and nearest neighbors of wrong images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats32, Mask
from tlkit.audit.error_examples import NearestImage
from tlkit.choices import SEED
from tlkit.predictions import Predictions

MAX_NEIGHBORS = 3
BATCH_SIZE = 256


def cluster_features(x: Floats32, *, learn: Mask, clusters: int, seed: int = SEED) -> npt.NDArray[np.str_]:
    """Return the cluster of each image, shape (N,), "1" to "k": k-means on features scaled to length 1.

    Args:
        x: features, shape (N, D).
        learn: mask of the images that k-means is fitted on, shape (N,).
        clusters: k; at most the number of those images.
        seed: of the initial centers.
    """
    from sklearn.cluster import KMeans

    unit = _unit(x)
    found = KMeans(n_clusters=min(clusters, int(learn.sum())), n_init=4, random_state=seed).fit(unit[learn])
    return np.asarray((found.predict(unit) + 1).astype(str))


def nearest_images(
    predictions: Predictions,
    x: Floats32,
    *,
    trained: Floats32,
    trained_paths: Sequence[str],
    trained_labels: Sequence[str],
    split: str,
) -> dict[str, tuple[NearestImage, ...]]:
    """Return, for each wrong image, the nearest training images and the nearest right image of its class.

    Args:
        predictions: labelled images.
        x: their features, shape (N, D).
        trained: features of the training images, shape (M, D).
        trained_paths: their paths.
        trained_labels: their classes.
        split: name of the split of `predictions`.
    """
    right = predictions.correct
    wrong = np.flatnonzero(~right)
    unit, unit_trained = _unit(x), _unit(trained)
    found: dict[str, tuple[NearestImage, ...]] = {}
    for at in range(0, len(wrong), BATCH_SIZE):
        rows = wrong[at : at + BATCH_SIZE]
        to_train = unit[rows] @ unit_trained.T
        to_judged = unit[rows] @ unit.T
        for place, row in enumerate(rows.tolist()):
            order = np.argsort(-to_train[place], kind="stable")[:MAX_NEIGHBORS]
            near = [
                NearestImage(
                    str(trained_paths[one]), str(trained_labels[one]), "train", round(float(to_train[place, one]), 4)
                )
                for one in order.tolist()
            ]
            same = np.flatnonzero(right & (predictions.y_true == predictions.y_true[row]))
            if len(same):
                best = int(same[np.argmax(to_judged[place, same])])
                label = predictions.classes[predictions.y_true[best]]
                near.append(
                    NearestImage(str(predictions.path[best]), label, split, round(float(to_judged[place, best]), 4))
                )
            found[str(predictions.path[row])] = tuple(near)
    return found


def _unit(x: Floats32) -> Floats32:
    values = np.asarray(x, dtype=np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1e-12), dtype=np.float32)
