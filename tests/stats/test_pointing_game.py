from __future__ import annotations

import numpy as np
import pytest
import torch
from statsmodels.stats.contingency_tables import mcnemar

from tlkit.errors import DataError
from tlkit.stats.pointing_game import enlarged, peak_of, pointing_game


@pytest.mark.parametrize(
    ("cells", "size"), [((7, 7), (64, 48)), ((3, 5), (9, 100)), ((8, 8), (4, 4)), ((1, 1), (5, 7))]
)
def test_maps_are_enlarged_as_by_torch(cells, size):
    heat = np.random.default_rng(0).normal(size=cells)
    expected = torch.nn.functional.interpolate(torch.from_numpy(heat)[None, None], size, mode="bilinear")[0, 0].numpy()
    assert enlarged(heat, size) == pytest.approx(expected)


def test_peak_is_across_then_down():
    heat = np.zeros((10, 10))
    heat[2, 7] = 1
    assert peak_of(heat, (100, 100)) == pytest.approx((0.75, 0.25), abs=0.006)


def test_hits_are_compared_with_the_centre_on_the_same_images():
    rng = np.random.default_rng(1)
    heats, masks, hit, centre = [], [], [], []
    for _ in range(80):
        mask = np.zeros((20, 20), dtype=bool)
        top, left = rng.integers(0, 13, 2)
        mask[top : top + 8, left : left + 8] = True
        row, column = (top + 4, left + 4) if rng.random() < 0.8 else rng.integers(0, 20, 2)
        heat = np.zeros((20, 20))
        heat[row, column] = 1
        heats.append(heat)
        masks.append(mask)
        hit.append(mask[row, column])
        centre.append(mask[10, 10])
    game = pointing_game(heats, masks)
    hit, centre = np.array(hit), np.array(centre)
    assert game.hits.value == hit.mean()
    assert game.centre.value == centre.mean()
    assert game.difference.value == pytest.approx(hit.mean() - centre.mean())
    table = [[(hit & centre).sum(), (hit & ~centre).sum()], [(~hit & centre).sum(), (~hit & ~centre).sum()]]
    assert game.p == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_maps_without_masks_are_refused():
    with pytest.raises(DataError):
        pointing_game([np.ones((2, 2))], [])
    with pytest.raises(DataError):
        pointing_game([], [])
