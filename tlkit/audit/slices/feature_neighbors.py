"""What cached features say about images: clusters of them, and the nearest to each wrong one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tlkit.audit.error_examples import NearestImage
from tlkit.predictions import Predictions

MOST_NEAR = 3
AT_ONCE = 256

Floats = npt.NDArray[np.float32]


def cluster_features(x: Floats, *, learn: npt.NDArray[np.bool_], clusters: int, seed: int = 0) -> npt.NDArray[np.str_]:
    """Return the cluster of each image, shape (N,), "1" to "k": k-means on features scaled to length 1.

    Args:
        x: features, shape (N, D).
        learn: the images that the centres are taken from, shape (N,).
        clusters: k; no more than there are such images.
        seed: of the starts.
    """
    from sklearn.cluster import KMeans

    unit = _unit(x)
    found = KMeans(n_clusters=min(clusters, int(learn.sum())), n_init=4, random_state=seed).fit(unit[learn])
    return np.asarray((found.predict(unit) + 1).astype(str))


def nearest_images(
    predictions: Predictions,
    x: Floats,
    *,
    trained: Floats,
    trained_paths: Sequence[str],
    trained_labels: Sequence[str],
    split: str,
) -> dict[str, tuple[NearestImage, ...]]:
    """Return what resembles each wrong image: the nearest training images, and the nearest of its class that is right.

    Args:
        predictions: labelled images.
        x: their features, shape (N, D).
        trained: features of the training images, shape (M, D).
        trained_paths: their paths.
        trained_labels: their classes.
        split: name of the split that is judged.
    """
    right = predictions.correct
    wrong = np.flatnonzero(~right)
    unit, learnt = _unit(x), _unit(trained)
    found: dict[str, tuple[NearestImage, ...]] = {}
    for at in range(0, len(wrong), AT_ONCE):
        rows = wrong[at : at + AT_ONCE]
        to_train = unit[rows] @ learnt.T
        to_judged = unit[rows] @ unit.T
        for place, row in enumerate(rows.tolist()):
            order = np.argsort(-to_train[place], kind="stable")[:MOST_NEAR]
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


def _unit(x: Floats) -> Floats:
    values = np.asarray(x, dtype=np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(length, 1e-12), dtype=np.float32)
