"""Several processes share an epoch: together they take the batches of one process."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import saying

from tlkit.data.loading.batch import Failure, collate
from tlkit.data.loading.dataset import ImageLoader
from tlkit.data.loading.sampler import EpochSampler, count_dropped, epoch_order, part_of_epoch, part_of_table
from tlkit.errors import DataError

sizes = {"n": st.integers(1, 200), "batch_size": st.integers(1, 9), "processes": st.integers(1, 5)}


def batches(order, size):
    return [order[start : start + size] for start in range(0, len(order), size)]


@given(**sizes)
def test_each_step_of_all_processes_is_the_batch_of_one_process(n, batch_size, processes):
    order = epoch_order(n, shuffle=True, seed=1, epoch=2)
    parts = [part_of_epoch(order, batch_size=batch_size, rank=r, processes=processes) for r in range(processes)]
    steps = [batches(part, batch_size) for part in parts]
    kept = order[: n - count_dropped(n, batch_size=batch_size, processes=processes)]
    expected = batches(kept, batch_size * processes)
    if n >= min(batch_size, 2) * processes:  # else the fit is refused
        assert {len(own) for own in steps} == {len(expected)}
        assert min(len(own[-1]) for own in steps) >= min(batch_size, 2)
    for number, whole in enumerate(expected):
        found = [own[number] for own in steps if number < len(own)]
        assert np.concatenate(found).tolist() == whole.tolist()


@given(**sizes)
def test_a_last_batch_too_small_for_all_processes_is_dropped(n, batch_size, processes):
    over = count_dropped(n, batch_size=batch_size, processes=processes)
    assert over < 2 * processes
    assert count_dropped(n, batch_size=batch_size) == (n > batch_size > 1 and n % batch_size == 1)


@given(n=sizes["n"], processes=sizes["processes"])
def test_evaluation_assigns_each_image_to_one_process(n, processes):
    parts = [part_of_table(np.arange(n), rank=rank, processes=processes).tolist() for rank in range(processes)]
    assert all(parts)
    if n >= processes:
        assert sorted(index for part in parts for index in part) == list(range(n))
    else:
        assert parts == [list(range(n))] * processes


def test_a_sampler_of_one_process_can_resume():
    part = partial(part_of_epoch, batch_size=2, rank=1, processes=2)
    sampler = EpochSampler(12, shuffle=True, seed=0, part=part)
    whole = list(sampler)
    assert len(sampler) == len(whole) == 6
    sampler.resume(0, seen=4)
    assert list(sampler) == whole[4:]


def test_a_batch_of_damaged_images_is_an_error_in_distributed_training():
    class Damaged:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return Failure(f"{index}.png", "truncated", "damaged")

    loader = ImageLoader(Damaged(), batch_size=2, collate_fn=collate)
    assert list(loader) == []
    loader.is_distributed = True
    with pytest.raises(DataError, match=saying("images", "process", "batch").pattern):
        list(loader)
