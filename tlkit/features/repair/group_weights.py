"""How much each image counts, so that no group is outvoted: weights, balanced draws, the images that were missed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def equal_weights(group: Ints) -> Floats:
    """Return weights under which every group counts the same: n / (G · n_g), mean 1.

    RWY where the groups are the classes, RWG where they are the crossings of class and attribute: Idrissi, Arjovsky,
    Pezeshki & Lopez-Paz (2022), Simple data balancing achieves competitive worst-group-accuracy, CLeaR, section 2.

    Args:
        group: code of each image's group, shape (N,).

    Example:
        >>> equal_weights(np.array([0, 0, 0, 1])).round(3).tolist()
        [0.667, 0.667, 0.667, 2.0]
    """
    counts = np.bincount(group)
    return np.asarray(len(group) / ((counts > 0).sum() * counts[group]), dtype=np.float64)


def independence_weights(y: Ints, attribute: Ints) -> Floats:
    """Return weights under which class and attribute go together by chance only, both as frequent as before.

    n_y · n_a / (n · n_ya): Kamiran & Calders (2012), Data preprocessing techniques for classification without
    discrimination, Knowledge and Information Systems 33:1, section 5.2 ("reweighing"). Crossings that have no image
    cannot be made up for.

    Args:
        y: class codes, shape (N,).
        attribute: codes of the attribute's values, shape (N,).

    Example:
        >>> independence_weights(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])).round(3).tolist()
        [0.75, 0.75, 1.5, 0.5]
    """
    crossed = y * (attribute.max() + 1) + attribute
    expected = np.bincount(y)[y] * np.bincount(attribute)[attribute]
    return np.asarray(expected / (len(y) * np.bincount(crossed)[crossed]), dtype=np.float64)


def error_weights(missed: npt.NDArray[np.bool_], *, factor: float) -> Floats:
    """Return weights of `factor` for the images that a first head missed and 1 for the others, scaled to a mean of 1.

    Just Train Twice: Liu et al. (2021), ICML, section 4.1, equation 4. No group label is needed.

    Args:
        missed: whether a head that had not learnt from the image got it wrong, shape (N,).
        factor: how often a missed image counts, above 1.
    """
    weights = np.where(missed, factor, 1.0)
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def balanced_rows(group: Ints, *, seed: int, draw: int) -> Ints:
    """Return rows in which every group has as many images as the smallest one, drawn without replacement, sorted.

    Args:
        group: code of each image's group, shape (N,).
        seed: of all draws.
        draw: which of them.
    """
    rng = np.random.default_rng([seed, draw])
    members = [np.flatnonzero(group == code) for code in np.unique(group)]
    fewest = min(len(rows) for rows in members)
    return np.sort(np.concatenate([rng.permutation(rows)[:fewest] for rows in members]))
