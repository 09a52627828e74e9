"""Sequential reading of shards through a shuffle buffer: each image once, in an order by seed and epoch."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from data_modules import data_module
from hypothesis import given
from hypothesis import strategies as st
from messages import saying
from tars import write_tar

from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.loading.sampler import EpochSampler, buffered_order, part_of_epoch
from tlkit.data.sources import tar_stream
from tlkit.data.sources.tar_shards import read_shards
from tlkit.data.sources.tar_stream import TarStream
from tlkit.errors import DataError
from tlkit.preprocess import Preprocess

IMAGES, SHARDS = 40, 4
SMALL = Preprocess(image_size=(16, 16))
orders = {"buffer": st.integers(1, 60), "seed": st.integers(0, 9), "epoch": st.integers(0, 9)}


@pytest.fixture
def shards(tmp_path, make_image):
    """Four shards of ten images, whose names are in no order."""
    rng = np.random.default_rng(0)
    for shard in range(SHARDS):
        members = {}
        for number in rng.permutation(IMAGES // SHARDS):
            key = f"{shard}_{number}"
            members[f"{key}.png"] = make_image(f"images/{key}.png").read_bytes()
            members[f"{key}.cls"] = b"ab"[number % 2 :][:1]
        write_tar(tmp_path / f"train-{shard}.tar", members)
    return f"{tmp_path}/train-{{0..{SHARDS - 1}}}.tar"


def module(shards, **changes):
    given = {"val": 0.0, "shuffle_buffer": 6, "batch_size": 4, "num_workers": 0, "preprocess": SMALL, "seed": 3}
    return data_module(shards=shards, **{**given, **changes})


def places(data):
    """Shard and offset of each row of the training images."""
    stream = data.stream_of_train
    return list(zip(stream.shard.tolist(), stream.offset.tolist(), strict=True))


@given(shard=st.lists(st.integers(0, 5), max_size=80), **orders)
def test_every_image_comes_once_and_moves_by_less_than_the_buffer(shard, buffer, seed, epoch):
    offset = np.random.default_rng(1).permutation(len(shard))
    codes = np.array(shard, dtype=np.int32)
    order = buffered_order(codes, offset, buffer=buffer, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(len(shard)))
    unmoved = buffered_order(codes, offset, buffer=1, seed=seed, epoch=epoch)
    position = np.empty(len(shard), dtype=np.int64)
    position[unmoved] = np.arange(len(shard))
    assert np.all(np.abs(position[order] - np.arange(len(shard))) < buffer)
    again = buffered_order(codes, offset, buffer=buffer, seed=seed, epoch=epoch)
    assert order.tolist() == again.tolist()


@given(shard=st.lists(st.integers(0, 5), max_size=80), seed=orders["seed"], epoch=orders["epoch"])
def test_with_a_buffer_of_one_shards_are_read_sequentially(shard, seed, epoch):
    codes = np.array(shard, dtype=np.int32)
    offset = np.random.default_rng(1).permutation(len(shard))
    order = buffered_order(codes, offset, buffer=1, seed=seed, epoch=epoch)
    turns = [int(code) for at, code in enumerate(codes[order]) if at == 0 or codes[order][at - 1] != code]
    assert len(turns) == len(set(turns))
    for code in turns:
        assert np.all(np.diff(offset[order][codes[order] == code]) > 0)


def test_a_streaming_reader_with_such_a_buffer_can_produce_the_order():
    """Told which to give out next, a reader that holds at most `buffer` images of a stream never lacks one."""
    n, buffer = 500, 20
    order = buffered_order(np.zeros(n, dtype=np.int32), np.arange(n), buffer=buffer, seed=0, epoch=0)
    held, read = set(), 0
    for index in order.tolist():
        while index not in held:
            held.add(read)
            read += 1
            assert len(held) <= buffer
        held.remove(index)


def test_epochs_and_seeds_shuffle_the_shards():
    shard = np.repeat(np.arange(6, dtype=np.int32), 5)
    order = partial(buffered_order, shard, np.arange(30), buffer=4)
    assert len({tuple(order(seed=seed, epoch=epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert len({shard[order(seed=0, epoch=epoch)[0]] for epoch in range(20)}) >= 5


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers_and_resume_anywhere(shards, workers):
    loader = lambda: module(shards, num_workers=workers).train_dataloader()  # noqa: E731
    plain = module(shards, augment="light").train_dataloader()
    epochs = [list(plain) for _ in range(2)]
    assert sorted(index for batch in epochs[0] for index in batch.index.tolist()) == list(range(IMAGES))
    assert [batch.index.tolist() for batch in epochs[0]] != [batch.index.tolist() for batch in epochs[1]]
    resumed = loader()
    resumed.load_state_dict({"epoch": 1, "batches": 7})
    found = list(resumed)
    assert len(found) == 3
    for one, two in zip(found, epochs[1][7:], strict=True):
        assert torch.equal(one.image, two.image)
        assert torch.equal(one.index, two.index)


def test_processes_share_the_order_without_duplicates(shards):
    data = module(shards)
    whole = data.stream_of_train.order(0, seed=3)
    parts = [
        [index for batch in module(shards, rank=rank, processes=2).train_dataloader() for index in batch.index.tolist()]
        for rank in range(2)
    ]
    assert not set(parts[0]) & set(parts[1])
    assert parts == [part_of_epoch(whole, batch_size=4, rank=rank, processes=2).tolist() for rank in range(2)]


def test_files_are_read_sequentially_up_to_the_buffer(shards, monkeypatch):
    """No read lies further back than the buffer from the front that reading has reached."""
    data = module(shards, check=False)
    reads = []
    original = os.pread
    loader = data.train_dataloader()

    def pread(file, size, offset):
        reads.append((str(Path(f"/proc/self/fd/{file}").readlink()), offset))
        return original(file, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    list(loader)
    stream = data.stream_of_train
    unmoved = buffered_order(stream.shard, stream.offset, buffer=1, seed=3, epoch=0)
    in_line = {(stream.tars[stream.shard[index]], int(stream.offset[index])): at for at, index in enumerate(unmoved)}
    found = [in_line[read] for read in reads]
    assert sorted(found) == list(range(IMAGES))
    assert max(np.maximum.accumulate(found) - found) < 6


def test_each_block_of_a_shard_is_read_ahead_once_an_epoch(shards, monkeypatch):
    monkeypatch.setattr(tar_stream, "BLOCK_BYTES", 16_384)
    requested = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, length, __: requested.append((start, length)))
    data = module(shards, check=False)
    loader = data.train_dataloader()
    list(loader)
    blocks = {(shard, offset // 16_384) for shard, offset in places(data)}
    assert len(requested) == len(blocks) < IMAGES
    assert {start // 16_384 for start, _ in requested} == {number for _, number in blocks}
    list(loader)
    assert len(requested) == 2 * len(blocks)


def test_reading_ahead_changes_no_pixel(shards):
    samples = read_shards(shards)
    stream = TarStream.of(samples, buffer=5)
    transform = build_transform(SMALL)
    for ahead in (stream, None):
        loader = create_loader(
            ImageDataset(samples, transform=transform, stream=ahead),
            batch_size=8,
            shuffle=True,
            order=partial(stream.order, seed=0),
        )
        found = torch.cat([batch.image for batch in loader])
        order = [index for _, index in EpochSampler(IMAGES, shuffle=True, seed=0, order=partial(stream.order, seed=0))]
        plain = ImageDataset(samples, transform=transform)
        assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), np.stack([plain[index].image for index in order]))


def test_shards_sorted_by_class_give_a_warning(shards, lines):
    data = module(shards)
    stream, ordered = data.stream_of_train, np.arange(IMAGES) // (IMAGES // 8)
    assert not any("classes on average" in line for line in lines())
    targets = np.empty(IMAGES, dtype=np.int64)
    targets[np.lexsort((stream.offset, stream.shard))] = ordered
    stream.warn_if_sorted(targets)
    assert lines()[-1] == saying("6", "2.2", "4.7", "data.shuffle_buffer")


def test_a_shuffle_buffer_needs_shards(photos):
    with pytest.raises(DataError, match=saying("20 of 20", "ant/0.png", "Remove data.shuffle_buffer").pattern):
        data_module(photos, val=0.0, shuffle_buffer=5).setup()


def test_a_shuffle_buffer_excludes_balanced_sampling(shards):
    with pytest.raises(DataError, match=saying("shuffle_buffer", "reads", "image").pattern):
        module(shards, sampling="balanced")
    with pytest.raises(DataError, match=saying("shuffle_buffer", "0", "1").pattern):
        module(shards, shuffle_buffer=0)
