"""Selection of images to label: margins, k-center against its definition, typical images of uncovered clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tlkit.features.ood.scores import unit_length
from tlkit.features.selection import k_center, margins, smallest_margins, typical


def test_the_smallest_margins_come_first():
    proba = np.random.default_rng(0).dirichlet(np.ones(5), size=40)
    ordered = np.sort(proba, axis=1)
    assert margins(proba) == pytest.approx(ordered[:, -1] - ordered[:, -2])
    assert smallest_margins(proba, 7).tolist() == np.argsort(margins(proba), kind="stable")[:7].tolist()
    assert len(smallest_margins(proba, 99)) == 40


def test_k_center_takes_the_farthest_image_each_time():
    rng = np.random.default_rng(0)
    pool, labelled = rng.normal(size=(50, 6)), rng.normal(size=(5, 6))
    rows, radius = k_center(pool, labelled, 12)
    units = [unit_length(x).astype(np.float64) for x in (pool, labelled)]
    for place, row in enumerate(rows):
        known = np.concatenate([units[1], units[0][rows[:place]]])
        nearest = cdist(units[0], known).min(axis=1)
        assert nearest[row] == pytest.approx(nearest.max(), abs=1e-5) and radius[place] == pytest.approx(
            nearest[row], abs=1e-4
        )
    assert len(set(rows.tolist())) == 12 and len(k_center(pool, labelled, 99)[0]) == 50


def test_typical_images_come_from_clusters_without_a_label():
    rng = np.random.default_rng(0)
    centres = np.eye(4)
    code = np.repeat(np.arange(4), [40, 30, 20, 10])
    pool = centres[code] + 0.05 * rng.normal(size=(100, 4))
    labelled = centres[[0]] + 0.05 * rng.normal(size=(1, 4))
    rows, values = typical(pool, labelled, 3, seed=0)
    assert code[rows].tolist() == [1, 2, 3]  # the largest cluster first, without the labelled one
    own = unit_length(pool[code == 1])
    mean = np.sort(cdist(own, own), axis=1)[:, 1:21].mean(axis=1)
    assert values[0] == pytest.approx((1 / mean).max(), rel=1e-3)
    every = typical(pool, labelled, 200, seed=0)[0]
    assert sorted(every.tolist()) == list(range(100))
