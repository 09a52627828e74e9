"""Balanced sampling: equal shares in every epoch, as a function of seed and epoch alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tlkit.data.loading.sampler import EpochSampler, balanced_order


@given(targets=st.lists(st.integers(0, 3), min_size=1, max_size=60), epoch=st.integers(0, 5))
def test_classes_and_their_images_have_equal_shares(targets, epoch):
    values = np.array(targets)
    order = balanced_order(values, seed=1, epoch=epoch)
    assert len(order) == len(values)
    classes = np.unique(values)
    shares = np.array([(values[order] == target).sum() for target in classes])
    assert shares.max() - shares.min() <= 1
    for target in classes:
        times = np.bincount(order, minlength=len(values))[values == target]
        assert times.max() - times.min() <= 1


def test_the_order_depends_on_seed_and_epoch_and_can_be_resumed():
    targets = np.array([0] * 30 + [1] * 6)
    first, second = (balanced_order(targets, seed=0, epoch=epoch).tolist() for epoch in (0, 1))
    assert first == balanced_order(targets, seed=0, epoch=0).tolist() != second
    assert first != balanced_order(targets, seed=1, epoch=0).tolist()
    assert set(first) != set(second)  # of the large class, another part
    sampler = EpochSampler(len(targets), shuffle=True, seed=0, balance=targets)
    sampler.resume(1, seen=10)
    assert [index for _, index in sampler] == second[10:]
