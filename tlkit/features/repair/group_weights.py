"""Sample weights and subsamples that balance groups: reweighting, reweighing, subsampling, upweighted errors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints


def balanced_weights(group: Ints) -> Floats:
    """Return weights (N,) that balance groups: n / (G · n_g), mean 1.

    RWY where the groups are the classes, RWG where they are the intersections of class and attribute: Idrissi,
    Arjovsky, Pezeshki & Lopez-Paz (2022), Simple data balancing achieves competitive worst-group-accuracy, CLeaR,
    section 2.

    `group` (N,) holds the code of each image's group.

    Example:
        >>> balanced_weights(np.array([0, 0, 0, 1])).round(3).tolist()
        [0.667, 0.667, 0.667, 2.0]
    """
    counts = np.bincount(group)
    return np.asarray(len(group) / ((counts > 0).sum() * counts[group]), dtype=np.float64)


def reweighing_weights(y: Ints, attribute: Ints) -> Floats:
    """Return weights (N,) that make class and attribute statistically independent and keep their marginal counts.

    n_y · n_a / (n · n_ya): Kamiran & Calders (2012), Data preprocessing techniques for classification without
    discrimination, Knowledge and Information Systems 33:1, section 5.2 ("reweighing"). Intersections without images
    stay empty.

    `y` (N,) holds class codes, `attribute` (N,) codes of the attribute's values.

    Example:
        >>> reweighing_weights(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])).round(3).tolist()
        [0.75, 0.75, 1.5, 0.5]
    """
    crossed = y * (attribute.max() + 1) + attribute
    expected = np.bincount(y)[y] * np.bincount(attribute)[attribute]
    return np.asarray(expected / (len(y) * np.bincount(crossed)[crossed]), dtype=np.float64)


def upweighted_errors(missed: npt.NDArray[np.bool_], *, factor: float) -> Floats:
    """Return weights (N,) of `factor` for misclassified images and 1 for the others, scaled to a mean of 1.

    Just Train Twice: Liu et al. (2021), ICML, section 4.1, equation 4. No group label is needed.

    `missed` (N,) says whether the first head is wrong on the image, out of fold; `factor` is above 1.
    """
    weights = np.where(missed, factor, 1.0)
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def subsample_groups(group: Ints, *, seed: int, draw: int) -> Ints:
    """Return sorted rows, drawn without replacement, with as many images of every group as the smallest one has.

    `group` (N,) holds the code of each image's group; `draw` is the number of the draw.
    """
    rng = np.random.default_rng([seed, draw])
    members = [np.flatnonzero(group == code) for code in np.unique(group)]
    fewest = min(len(rows) for rows in members)
    return np.sort(np.concatenate([rng.permutation(rows)[:fewest] for rows in members]))
