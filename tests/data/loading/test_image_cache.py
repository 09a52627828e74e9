"""The image cache: the pixels that decoding gives, in bounds, and nothing of a damaged file or a changed image."""

from __future__ import annotations

import math
import os
import random
import tarfile
from pathlib import Path

import albumentations as A
import numpy as np
import pandas as pd
import pytest
import torch
from data_modules import data_module
from hypothesis import given
from hypothesis import strategies as st
from messages import saying
from PIL import Image, ImageOps

from tlkit.data.augment.transforms import ZOOMS, Transform, build_transform, sample_id_of
from tlkit.data.checks.image_check import check_images, image_sizes
from tlkit.data.decode import decoding
from tlkit.data.decode.resizing import Frame
from tlkit.data.loading import dataset as loading
from tlkit.data.loading.cached_rows import CachedRows, plan_cache
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.loading.image_cache import PIXELS_AT, ImageCache, cache_key, size_on_disk
from tlkit.data.sources import read_bytes as reading
from tlkit.data.sources.folder import scan_folder
from tlkit.preprocess import Preprocess
from tlkit.samples import DIGEST, Samples

SMALL = Preprocess(image_size=(16, 16))
LIST = [{"name": "RandomRotate90", "p": 1}, {"name": "HorizontalFlip", "p": 0.5}]


@pytest.fixture(autouse=True)
def files_are_settled(monkeypatch):
    monkeypatch.setattr(reading, "SETTLED_NS", -1)


@pytest.fixture
def decodes(monkeypatch):
    """How many images have been decoded so far, in a list."""
    counted: list[int] = []
    original = loading.open_rgb
    monkeypatch.setattr(loading, "open_rgb", lambda *a, **k: counted.append(1) or original(*a, **k))
    return counted


def cached_dataset(samples, transform, *, rows=None, seed=0):
    rows = np.ones(len(samples), dtype=bool) if rows is None else rows
    cached = CachedRows(ImageCache(), samples.table[DIGEST].tolist(), rows, transform)
    return ImageDataset(samples, transform=transform, seed=seed, cached=cached)


@pytest.fixture
def kinds(tmp_path, make_image):
    """Pictures of several kinds: large JPEGs, one of them turned by EXIF, gray, a palette, transparency, elongated."""
    for label, name, size in (
        ("ant", "large.jpg", (301, 203)),
        ("ant", "plain.png", (40, 32)),
        ("bee", "tall.png", (9, 90)),
    ):
        make_image(f"{label}/{name}", size)
    image = Image.open(tmp_path / "ant/large.jpg")
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / "bee/turned.jpg", exif=exif, quality=95)
    image.convert("L").save(tmp_path / "bee/gray.jpg")
    image.convert("P").save(tmp_path / "ant/palette.gif")
    image.resize((31, 21)).convert("RGBA").save(tmp_path / "bee/alpha.png")
    return check_images(scan_folder(tmp_path)).samples


@pytest.mark.parametrize("augment", [None, "light", "medium", "heavy", LIST], ids=str)
@pytest.mark.parametrize("resize", ["crop", "letterbox", "squash"])
def test_every_epoch_has_the_pixels_of_decoding(kinds, decodes, augment, resize):
    transform = build_transform(SMALL.replace(resize=resize), augment=augment)
    plain = ImageDataset(kinds, transform=transform, seed=3)
    expected = {(epoch, row): plain[epoch, row].image for epoch in range(3) for row in range(len(kinds))}
    for dataset in (cached_dataset(kinds, transform, seed=3), cached_dataset(kinds, transform, seed=3)):
        decodes.clear()
        for (epoch, row), pixels in expected.items():
            np.testing.assert_array_equal(dataset[epoch, row].image, pixels)
    assert not decodes, "the second dataset found the pixels of the first"


def random_box(width, height, aspect, stream):
    """A crop of 60 to 100 % of the area, its aspect ratio changed by up to 1.15 either way (Szegedy et al. 2015)."""
    limit = math.log(1.15)
    for _ in range(10):
        area, ratio = width * height * stream.uniform(0.6, 1.0), aspect * math.exp(stream.uniform(-limit, limit))
        across, down = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if across <= width and down <= height:
            left, top = stream.uniform(0, width - across), stream.uniform(0, height - down)
            return left, top, min(left + across, width), min(top + down, height)
    across, down = min(width, height * aspect), min(height, width / aspect)
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def test_light_augmentation_equals_pillow_and_albumentations_by_hand(kinds):
    preprocess = Preprocess(image_size=(32, 24), decode="full")
    dataset = cached_dataset(kinds, build_transform(preprocess, augment="light"), seed=5)
    for epoch in (0, 1):
        for row, path in enumerate(kinds.paths):
            with Image.open(kinds.root / path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGBA")
            white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
            picture = Image.alpha_composite(white, upright).convert("RGB")
            stream = np.random.Generator(np.random.PCG64([5, epoch, sample_id_of(path)]))
            flips = random.Random(int(stream.integers(2**63)))
            cut = picture.crop([round(side) for side in random_box(*picture.size, 24 / 32, stream)])
            framed = cut.resize((24, 32), Image.Resampling.BICUBIC)
            flip = A.Compose([A.HorizontalFlip(p=0.5)])
            flip.set_random_state(stream, flips)
            off = np.abs(dataset[epoch, row].image - flip(image=np.array(framed))["image"].astype(int))
            assert off.max() <= 2, path
            assert off.mean() < 0.05, path


def test_a_fixed_transform_keeps_its_result_and_a_random_one_the_decoded_pixels(kinds):
    for transform in (build_transform(SMALL), build_transform(SMALL, augment="light")):
        dataset = cached_dataset(kinds, transform)
        for row in range(len(kinds)):
            dataset[0, row]
    sizes = sorted(status.st_size for _, status in ImageCache().files())
    assert sizes[: len(kinds)] == [size_on_disk(16, 16)] * len(kinds)
    assert size_on_disk(40, 32) in sizes


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_share_the_pixels_and_batches_are_the_same(photos, workers):
    samples = check_images(scan_folder(photos)).samples
    transform = build_transform(SMALL, augment="medium")

    def batches(dataset):
        loader = create_loader(dataset, batch_size=6, num_workers=workers, shuffle=True)
        return [[(b.image.numpy().tobytes(), b.index.tolist()) for b in loader] for _ in range(3)]

    assert batches(cached_dataset(samples, transform)) == batches(ImageDataset(samples, transform=transform))
    assert len(list(ImageCache().files())) == len(samples)


def test_an_image_that_changes_between_epochs_is_named_and_read_anew(photos, decodes, lines):
    samples = check_images(scan_folder(photos)).samples
    dataset = cached_dataset(samples, build_transform(SMALL, augment="light"))
    for epoch in (0, 1):
        dataset[epoch, 4]
    assert len(decodes) == 1
    file = photos / samples.paths[4]
    before = file.stat()
    Image.new("RGB", (40, 32), (9, 99, 199)).save(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # its times of content tell nothing
    np.testing.assert_array_equal(dataset[2, 4].image, np.full((16, 16, 3), (9, 99, 199), dtype=np.uint8))
    assert dataset.changed == [samples.paths[4]]
    assert saying(samples.paths[4], "changed") in lines()
    file.write_bytes(b"")
    assert dataset[3, 4].kind == "damaged"
    file.unlink()
    assert dataset[4, 4].kind == "gone"


def test_a_file_that_is_touched_or_restored_is_compared_and_still_read_from_the_cache(photos, decodes):
    samples = check_images(scan_folder(photos)).samples
    dataset = cached_dataset(samples, build_transform(SMALL, augment="light"))
    dataset[0, 0]
    file = photos / samples.paths[0]
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    dataset[1, 0]
    assert len(decodes) == 1
    assert not dataset.changed


def test_a_file_written_this_moment_is_compared_again(photos, monkeypatch):
    """Times of files come in steps, so a second change within one step would not show."""
    monkeypatch.setattr(reading, "SETTLED_NS", 2_000_000_000)
    samples = check_images(scan_folder(photos)).samples
    dataset = cached_dataset(samples, build_transform(SMALL, augment="light"))
    read = []
    original = loading.read_bytes
    monkeypatch.setattr(loading, "read_bytes", lambda path: read.append(path) or original(path))
    for epoch in range(3):
        dataset[epoch, 0]
    assert len(read) == 3


def _damages():
    yield "truncated", lambda data: data[: len(data) // 2]
    yield "empty", lambda data: b""
    yield "header only", lambda data: data[:PIXELS_AT]
    yield "pixel", lambda data: data[:-1] + bytes([data[-1] ^ 1])
    yield "frame", lambda data: data[:17] + bytes([data[17] ^ 1]) + data[18:]
    yield "longer", lambda data: data + b"0"
    yield "no cache", lambda data: b"x" * len(data)
    yield "size", lambda data: data[:8] + data[12:16] + data[8:12] + data[16:]


@pytest.mark.parametrize(("how", "damage"), list(_damages()), ids=lambda one: one if isinstance(one, str) else "")
def test_a_damaged_file_is_never_used(photos, how, damage, lines):
    samples = check_images(scan_folder(photos)).samples
    transform = build_transform(SMALL, augment="light")
    first = cached_dataset(samples, transform)
    expected = first[0, 0].image
    ((path, _),) = ImageCache().files()
    for dataset in (first, cached_dataset(samples, transform)):  # within a run, and by a later one
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(damage(content))
        np.testing.assert_array_equal(dataset[0, 0].image, expected)
        assert path.read_bytes() == content, how
    assert lines().count(saying(path.name, "damaged")) == 2


def test_a_killed_writer_leaves_nothing_that_is_read(photos, monkeypatch):
    samples = check_images(scan_folder(photos)).samples
    transform = build_transform(SMALL, augment="light")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process tidies nothing
        with pytest.raises(KeyboardInterrupt):
            cached_dataset(samples, transform)[0, 0]
    (partial,) = ImageCache().folder.rglob("*.partial")
    assert not list(ImageCache().files())
    assert partial.exists(), "it may belong to a process that is writing"
    os.utime(partial, (0, 0))
    assert not list(ImageCache().files())
    assert not partial.exists()


def test_a_full_disk_ends_the_caching_and_nothing_else(photos, monkeypatch, lines):
    samples = check_images(scan_folder(photos)).samples
    transform = build_transform(SMALL, augment="light")

    def full(*_):
        raise OSError(28, "No space left on device")

    dataset = cached_dataset(samples, transform)
    dataset[0, 0]
    monkeypatch.setattr(ImageCache, "write", full)
    for row in range(4):
        np.testing.assert_array_equal(dataset[0, row].image, ImageDataset(samples, transform=transform)[0, row].image)
    assert [line for line in lines() if line == saying("cannot be written", "No space left on device")] == [
        saying("cannot be written", "No space left on device")
    ]


def sizes_of(samples, size=(32, 40), is_jpeg=False):
    return image_sizes(samples.table["path"].tolist(), [(*size, is_jpeg)] * len(samples))


@given(limit=st.integers(0, 20 * size_on_disk(40, 40)), data=st.data())
def test_the_images_of_a_plan_fit_its_limit_whatever_their_order(limit, data):
    heights = data.draw(st.lists(st.integers(1, 40), min_size=20, max_size=20))
    paths, digests = [f"a/{row}.png" for row in range(20)], [f"{97 * row % 31:064x}" for row in range(20)]
    table = pd.DataFrame({"path": paths, "label": "a", "split": "train", "digest": digests}, dtype="str")
    samples, sizes = Samples(Path(), ("a",), table), image_sizes(paths, [(height, 40, False) for height in heights])
    transform = build_transform(SMALL, augment="light")
    plan = plan_cache(samples, sizes, transform, limit_bytes=limit)
    expected = np.array([size_on_disk(height, 40) for height in heights])
    assert plan.size_bytes == expected[plan.rows].sum() <= limit
    assert plan.whole_bytes == expected.sum()
    assert plan.rows.all() == (plan.whole_bytes <= limit)
    order = data.draw(st.permutations(range(20)))
    other = samples.with_table(samples.table.iloc[order].reset_index(drop=True))
    again = plan_cache(other, sizes, transform, limit_bytes=limit)
    assert set(other.paths[again.rows]) == set(samples.paths[plan.rows])


def test_a_plan_states_what_the_files_take(kinds):
    checked = check_images(kinds)
    for augment in (None, "light", LIST):
        transform = build_transform(SMALL, augment=augment)
        plan = plan_cache(kinds, checked.sizes, transform, limit_bytes=10**9)
        before = sum(status.st_size for _, status in ImageCache().files())
        dataset = cached_dataset(kinds, transform, rows=plan.rows)
        for row in range(len(kinds)):
            dataset[0, row]
        assert sum(status.st_size for _, status in ImageCache().files()) - before == plan.size_bytes


def test_images_beyond_the_limit_are_decoded_every_epoch(photos, decodes):
    samples = check_images(scan_folder(photos)).samples
    transform = build_transform(SMALL, augment="light")
    plan = plan_cache(samples, sizes_of(samples), transform, limit_bytes=5 * size_on_disk(32, 40))
    assert plan.rows.sum() == 5
    dataset = cached_dataset(samples, transform, rows=plan.rows)
    for epoch in range(3):
        for row in range(20):
            dataset[epoch, row]
    assert len(decodes) == 5 + 3 * 15


def test_images_without_a_check_are_not_cached(photos):
    samples = scan_folder(photos)
    transform = build_transform(SMALL)
    assert not plan_cache(samples, sizes_of(samples), transform, limit_bytes=10**9).rows.any(), "no digests"
    checked = check_images(samples)
    assert not plan_cache(checked.samples, sizes_of(samples).iloc[:0], transform, limit_bytes=10**9).rows.any()


def test_a_key_changes_with_all_that_pixels_depend_on(monkeypatch):
    transforms = [
        build_transform(SMALL),
        build_transform(SMALL.replace(resize="squash")),
        build_transform(SMALL.replace(background=(0, 0, 0))),
        build_transform(SMALL, augment="light"),
        build_transform(SMALL, augment="heavy"),
        build_transform(SMALL.replace(image_size=(8, 8)), augment="light"),
        build_transform(SMALL, augment=LIST),
    ]
    forms = [str(sorted(one.cached_form.items())) for one in transforms]
    assert len(set(forms)) == len(forms)
    mean = build_transform(SMALL.replace(mean=(0.1, 0.2, 0.3)))
    assert mean.cached_form == transforms[0].cached_form, "pixels are normalized later"
    keys = {cache_key(digest, how) for digest in ("a" * 64, "b" * 64) for how in forms}
    monkeypatch.setattr("tlkit.data.loading.image_cache.DECODER", f"{decoding.DECODER}, another")
    keys |= {cache_key("a" * 64, how) for how in forms}
    assert len(keys) == 3 * len(forms)


def test_the_least_recently_used_images_go_first():
    cache, frame = ImageCache(), Frame(10, 10, (0, 0, 10, 10))
    keys = [cache_key(str(number), "") for number in range(5)]
    for age, key in enumerate(keys):
        cache.write(key, np.full((10, 10, 3), age, dtype=np.uint8), frame)
        os.utime(cache.path(key), (1000 + age, 1000 + age))
    assert cache.read(keys[0]).pixels[0, 0, 0] == 0  # is used now
    assert cache.prune(2 * size_on_disk(10, 10), keep=[keys[1]]) == 2 * size_on_disk(10, 10)
    assert [cache.path(key).exists() for key in keys] == [True, True, False, False, True]
    assert cache.prune(0) == 3 * size_on_disk(10, 10)
    assert cache.limit(100) == 100
    assert cache.limit(10**18) < 10**18, "at most half of the free disk"


def test_members_of_a_tar_are_cached_and_its_change_is_noticed(photos, decodes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    with tarfile.open(folder / "train-0.tar", "w") as tar:
        for label in ("ant", "bee"):
            for number in range(4):
                tar.add(photos / label / f"{number}.png", f"{label}/{number}.png")
    data = data_module(shards=str(folder / "train-0.tar"), preprocess=SMALL, batch_size=4, num_workers=0, val=0.25)
    data.setup()
    loader = data.train_dataloader()
    first = [batch.image for _ in range(2) for batch in loader]
    assert len(first) > 1
    assert len(decodes) == len(data.samples.split("train"))
    (folder / "train-0.tar").write_bytes((folder / "train-0.tar").read_bytes())
    list(loader)
    assert len(decodes) == len(data.samples.split("train"))


def test_a_data_module_caches_train_and_val_and_says_so(photos, decodes, lines):
    def epochs(**options):
        data = data_module(photos, preprocess=SMALL, batch_size=4, num_workers=0, val=0.2, **options)
        data.setup()
        decodes.clear()
        train, val = data.train_dataloader(), data.val_dataloader()
        found = [[batch.image for batch in (*train, *val)] for _ in range(2)]
        return found, len(decodes)

    with_cache, decoded = epochs()
    assert decoded == 20
    assert lines().count(saying("data.image_cache", "16 train", "4 val", "kB")) == 1
    without, decoded = epochs(image_cache="never")
    assert decoded == 40
    for one, two in zip(with_cache, without, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    part, decoded = epochs(image_cache_limit_gb=(4 * size_on_disk(16, 16) + 8 * size_on_disk(32, 40)) / 1e9)
    assert decoded == 2 * 8, "val and eight of train were cached before"
    assert all(torch.equal(a, b) for a, b in zip(part[1], without[1], strict=True))


def test_the_decoded_form_of_a_transform_is_what_its_reduction_depends_on():
    """Two transforms of one form read the same pixels of a large JPEG."""
    assert Transform(SMALL, zoom=ZOOMS["light"]).cached_form == build_transform(SMALL, augment="light").cached_form


def test_a_folder_that_cannot_be_looked_into_switches_the_cache_off(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tlkit.data.loading.image_cache.shutil.disk_usage", refuse)
    assert ImageCache(tmp_path).limit(10**9) == 0


def test_images_of_a_batch_that_is_not_random_hold_no_file_open(kinds):
    dataset = cached_dataset(kinds, build_transform(SMALL, augment=None))
    for _ in range(2):
        items = [dataset[(epoch, row)] for epoch in (0, 1) for row in range(len(kinds))]
    assert all(item.image.flags.owndata and item.image.flags.writeable for item in items)
