from __future__ import annotations

import logging
import pickle
import threading
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from decoded import decode_image
from hypothesis import given
from hypothesis import strategies as st
from messages import saying
from torch.utils.data import DataLoader, Dataset

from tlkit.data.augment.transforms import build_transform, sample_id_of
from tlkit.data.loading.batch import Batch, Failure, LoadedImage, collate, normalize
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.loading.sampler import EpochSampler, epoch_order
from tlkit.data.num_workers import available_cores, choose_num_workers
from tlkit.data.sources.folder import scan_folder
from tlkit.data.sources.tar_stream import ReadAhead, TarStream
from tlkit.errors import DataError
from tlkit.preprocess import Preprocess
from tlkit.samples import Samples

SMALL = Preprocess(image_size=(16, 16))


def dataset_of(photos, augment="medium", seed=0):
    return ImageDataset(scan_folder(photos), transform=build_transform(SMALL, augment=augment), seed=seed)


def stream(photos, workers, epochs=2, seed=0):
    """All batches of some epochs, as bytes."""
    loader = create_loader(dataset_of(photos, seed=seed), batch_size=6, num_workers=workers, shuffle=True, seed=seed)
    return [[(b.image.numpy().tobytes(), b.target.tolist(), b.index.tolist()) for b in loader] for _ in range(epochs)]


@given(n=st.integers(0, 200), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_an_epoch_visits_every_sample_once(n, seed, epoch):
    assert sorted(epoch_order(n, shuffle=True, seed=seed, epoch=epoch)) == list(range(n))


def test_the_order_depends_on_seed_and_epoch_alone():
    sampler = EpochSampler(50, shuffle=True, seed=3)
    sampler.set_epoch(7)
    pairs = list(sampler)
    assert [epoch for epoch, _ in pairs] == [7] * 50
    assert [index for _, index in pairs] == epoch_order(50, shuffle=True, seed=3, epoch=7).tolist()
    orders = {tuple(epoch_order(50, shuffle=True, seed=s, epoch=e)) for s in (0, 1) for e in (0, 1)}
    assert len(orders) == 4


def test_a_sampler_without_set_epoch_counts_epochs():
    sampler = EpochSampler(3, shuffle=False, seed=0)
    assert [list(sampler) for _ in range(2)] == [[(0, 0), (0, 1), (0, 2)], [(1, 0), (1, 1), (1, 2)]]
    sampler.set_epoch(0)
    assert next(iter(sampler)) == (0, 0)


def test_an_item_is_the_decoded_and_transformed_image(photos):
    samples = scan_folder(photos)
    item = dataset_of(photos, augment=None)[12]
    assert isinstance(item, LoadedImage)
    expected = build_transform(SMALL)(decode_image(photos / samples.paths[12]))
    np.testing.assert_array_equal(item.image, expected)
    assert (item.target, item.index) == (1, 12)
    unlabelled = ImageDataset([photos / "bee" / "1.png"], transform=build_transform(SMALL))
    assert (len(unlabelled), unlabelled[0].target, unlabelled[0].index) == (1, -1, 0)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes:UserWarning")  # few cores
def test_the_stream_is_the_same_for_any_number_of_workers_and_differs_between_epochs(photos):
    alone = stream(photos, workers=0)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert stream(photos, workers=2) == alone
    assert torch.equal(torch.rand(3), expected)  # torch's random state is left alone
    assert stream(photos, workers=4) == alone
    assert alone[0] != alone[1]
    assert stream(photos, workers=0, seed=1) != alone


@pytest.mark.parametrize(
    "step",
    [
        {"name": "RandomRotate90", "p": 1},
        {"name": "RandomCrop", "height": 20, "width": 30},
        {"name": "PadIfNeeded", "min_height": 64, "min_width": 64},
    ],
    ids=lambda step: step["name"],
)
def test_a_list_that_changes_the_size_of_an_image_is_followed_by_its_new_size(photos, step):
    transform, samples = build_transform(SMALL, augment=[step]), scan_folder(photos)
    dataset = ImageDataset(samples, transform=transform)
    for epoch in range(3):
        for row, path in enumerate(samples.paths[:4]):
            alone = transform(decode_image(photos / path), epoch=epoch, sample_id=sample_id_of(path))
            np.testing.assert_array_equal(dataset[epoch, row].image, alone)


def test_augmentation_follows_epoch_and_path_not_the_row(photos):
    samples, whole = scan_folder(photos), dataset_of(photos)
    later = type(samples)(samples.root, samples.classes, samples.table.iloc[5:].reset_index(drop=True))
    part = ImageDataset(later, transform=build_transform(SMALL, augment="medium"))
    np.testing.assert_array_equal(whole[2, 9].image, part[2, 4].image)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(whole))[1, 3].image, whole[1, 3].image)
    assert len({whole[epoch, index].image.tobytes() for epoch in range(5) for index in range(20)}) == 100


def test_a_batch_is_made_of_stacked_images(photos):
    dataset = dataset_of(photos, augment=None)
    failure = Failure("ant/1.png", "0 bytes", "damaged")
    batch, failures = collate([dataset[0], failure, dataset[15]])
    assert isinstance(batch, Batch) and failures == (None, failure, None)
    assert collate([failure]) == (None, (failure,))
    assert batch.image.dtype == torch.uint8
    assert batch.image.shape == (2, 3, 16, 16)
    assert batch.image.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(batch.image[1].permute(1, 2, 0).numpy(), dataset[15].image)
    assert (batch.target.tolist(), batch.index.tolist()) == ([0, 1], [0, 15])


def test_normalize_equals_torchvision(photos):
    from torchvision_oracle import to_tensor_and_normalise

    pixels = dataset_of(photos)[0].image
    preprocess = Preprocess()
    expected = to_tensor_and_normalise(pixels, mean=preprocess.mean, std=preprocess.std)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    torch.testing.assert_close(normalize(image, preprocess)[0], expected)
    batch = torch.cat([image, image.flip(3)]).contiguous()
    channels_last = batch.contiguous(memory_format=torch.channels_last)
    for laid_out in (batch, channels_last, batch.transpose(2, 3), batch[:, :, ::2]):
        found = normalize(laid_out, preprocess)
        assert torch.equal(found, normalize(laid_out.contiguous(), preprocess))
    torch.testing.assert_close(normalize(batch, preprocess)[0], expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_damaged_during_training_is_skipped_and_logged_once(photos, workers, tmp_path):
    handler = logging.FileHandler(tmp_path / "log")  # worker processes inherit it and append to the same file
    logging.getLogger("tlkit").addHandler(handler)
    loader = create_loader(dataset_of(photos), batch_size=5, num_workers=workers, shuffle=True)
    (photos / "ant" / "3.png").write_bytes(b"")
    for _ in range(4):
        assert sorted(len(batch.index) for batch in loader) == [4, 5, 5, 5]
    logging.getLogger("tlkit").removeHandler(handler)
    handler.close()
    assert (tmp_path / "log").read_text().splitlines() == [saying("ant/3.png", "0")]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_of_damaged_images_is_skipped(photos, workers):
    loader = create_loader(dataset_of(photos), batch_size=1, num_workers=workers)
    (photos / "ant" / "3.png").write_bytes(b"")
    assert torch.cat([batch.index for batch in loader]).tolist() == [*range(3), *range(4, 20)]


@pytest.mark.parametrize("workers", [0, 2])
def test_missing_files_are_skipped_and_an_epoch_without_any_file_is_an_error(photos, workers):
    loader = create_loader(dataset_of(photos), batch_size=4, num_workers=workers)
    for number in range(4):
        (photos / "ant" / f"{number}.png").unlink()
    assert torch.cat([batch.index for batch in loader]).tolist() == [*range(4, 20)]
    for file in photos.rglob("*.png"):
        file.unlink()
    with pytest.raises(DataError, match=saying("20", "ant/0.png", "ant/1.png", "ant/2.png", "drive").pattern):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_augmentation_error_names_the_image(photos, workers):
    crop = [{"name": "RandomCrop", "height": 35, "width": 35}]
    loader = create_loader(dataset_of(photos, augment=crop), batch_size=4, num_workers=workers)
    with pytest.raises(DataError, match=saying("ant/0.png", "40", "32").pattern):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_resumes_within_an_epoch_and_continues(photos, workers):
    def loader():
        return create_loader(dataset_of(photos, augment="medium"), batch_size=6, num_workers=workers, shuffle=True)

    whole = loader()
    epochs = [list(whole) for _ in range(3)]
    for done in range(5):
        stopped = loader()
        stopped.sampler.set_epoch(1)
        passing = iter(stopped)
        for _ in range(done):
            next(passing)
        if done:
            assert stopped.state_dict() == {"epoch": 1, "batches": done}
        resumed = loader()
        resumed.load_state_dict({"epoch": 1, "batches": done})
        assert resumed.state_dict() == {"epoch": 1, "batches": done}
        assert len(resumed) == 4  # of the whole epoch, as Lightning counts
        for expected in (epochs[1][done:], epochs[2]):
            found = list(resumed)
            assert len(found) == len(expected)
            for one, two in zip(found, expected, strict=True):
                assert torch.equal(one.image, two.image)
                assert torch.equal(one.index, two.index)


def test_a_position_in_another_epoch_is_ignored(photos):
    loader = create_loader(dataset_of(photos), batch_size=6, shuffle=True)
    loader.load_state_dict({"epoch": 1, "batches": 2})
    loader.sampler.set_epoch(2)
    assert len(list(loader)) == 4


def test_failures_are_values(photos):
    dataset = dataset_of(photos)
    (photos / "ant" / "0.png").write_bytes(b"")
    assert dataset[0] == Failure("ant/0.png", saying("0 bytes"), "damaged")
    (photos / "ant" / "1.png").unlink()
    assert dataset[1] == Failure("ant/1.png", saying("No such file"), "gone")


def test_the_number_of_workers_is_chosen_and_checked(lines, monkeypatch):
    monkeypatch.setattr("tlkit.data.num_workers.available_cores", lambda: 16)
    assert choose_num_workers("auto", images=40) == 0
    assert choose_num_workers("auto", images=10_000) == 8
    assert choose_num_workers("auto", images=10_000, processes=16) == 0
    assert choose_num_workers(3, images=10) == 3
    assert lines() == [
        saying("num_workers", "40"),
        saying("num_workers", "8", "10,000", "16"),
        saying("num_workers", "auto", "training"),
    ]
    with pytest.raises(DataError, match=saying("num_workers", "-1", "'auto'", "0").pattern):
        choose_num_workers(-1, images=10)


def test_threads_decode_the_same_batches(photos):
    def batches(threads, augment):
        dataset = dataset_of(photos, augment=augment)
        loader = create_loader(dataset, batch_size=6)
        chosen, dataset.threads = dataset.threads, threads
        return chosen, [(batch.image.numpy().tobytes(), batch.index.tolist()) for batch in loader]

    assert batches(1, None)[1] == batches(4, None)[1]
    assert batches(1, None)[0] == available_cores()
    assert batches(1, "light")[0] == 1, "a random transform keeps its state in its objects"


class TouchesEveryRow(Dataset):
    """Stands in for decoding: gives the memory (kB) that a worker has for itself, before and after it read all rows."""

    def __init__(self, inner):
        self.inner = inner

    def __len__(self):
        return 1

    def __getitem__(self, _):
        before = private_kb()
        for row in range(len(self.inner)):
            self.inner.path_and_target(row)
        return before, private_kb()


def private_kb():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


@pytest.fixture
def many_rows():
    """A dataset of 40,000 rows without files: 6 MB of paths, numbers and flags."""
    names = [f"{'deep/' * 24}{number:06d}.jpg" for number in range(40_000)]
    table = pd.DataFrame({"path": names, "label": "a", "split": "train", "digest": ""}, dtype="str")
    return ImageDataset(Samples(Path(), ("a",), table), transform=build_transform(SMALL))


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what a process has for itself"
)
def test_a_forked_worker_does_not_copy_the_table(many_rows):
    loader = DataLoader(TouchesEveryRow(many_rows), batch_size=None, num_workers=1, multiprocessing_context="fork")
    ((before, after),) = list(loader)
    assert after - before < 2_000  # a list of paths and targets: 12,000


def test_the_pickled_size_for_spawned_workers_does_not_grow_with_the_rows(many_rows):
    """Of tensors a handle is sent; `python benchmarks/workers.py --start spawn` shows the memory."""
    assert len(ForkingPickler.dumps(many_rows)) < 10_000
    stream = TarStream(("a.tar",), np.zeros(40_000, dtype=np.int32), np.arange(40_000), 5)
    assert len(ForkingPickler.dumps(ReadAhead(stream))) < 10_000


def test_without_workers_another_thread_prefetches_batches(photos):
    makers = set()

    class Watched(ImageDataset):
        def __getitem__(self, key):
            makers.add(threading.get_ident())
            return super().__getitem__(key)

    dataset = Watched(scan_folder(photos), transform=build_transform(SMALL, augment="medium"))
    assert len(list(create_loader(dataset, batch_size=6, shuffle=True))) == -(-len(dataset) // 6)
    assert len(makers) == 1, "augmentation keeps its state in its objects"
    assert threading.get_ident() not in makers
