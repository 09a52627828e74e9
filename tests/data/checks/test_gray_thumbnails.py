"""Gray thumbnails from the check spare the search for near duplicates a second decoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import scene
from tars import write_folder_as_tar
from test_pair_verification import frame, recolored

from tlkit.data.checks import doctor, near_duplicates
from tlkit.data.checks import image_check as check
from tlkit.data.checks.doctor import diagnose
from tlkit.data.checks.duplicates import DuplicateSet
from tlkit.data.checks.gray_thumbnails import read_gray_thumbnail
from tlkit.data.checks.image_check import check_images
from tlkit.data.checks.near_duplicates import find_near_duplicates
from tlkit.data.dataset_source import Source
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.read_samples import read_samples
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.samples import Samples

NOTHING = DuplicateSet((), 1.0)
FOUND = [("test/04.png", "train/30.png", "cropped"), ("test/05.png", "train/31.png", "edited")]


@pytest.fixture
def planted(tmp_path) -> Path:
    """24 training and 6 test pictures; two of the latter lie in train, changed."""
    root = tmp_path / "planted"
    for number in range(30):
        save(root, "test" if number < 6 else "train", number, scene(number))
    save(root, "train", 30, frame(scene(4), 0.6, (0.1, 0.8)))
    save(root, "train", 31, recolored(scene(5)))
    return root


def save(root: Path, split: str, number: int, image: Image.Image) -> None:
    folder = root / split / "ab"[number % 2]
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{number:02d}.png")


def features_of(samples) -> np.ndarray:
    """Return features in which the planted copies lie close to what they were made from."""
    pictures = [{30: 4, 31: 5}.get(number, number) for number in numbers_of(samples)]
    generator = np.random.default_rng(0)
    return (generator.normal(size=(32, 64))[pictures] + 0.1 * generator.normal(size=(len(pictures), 64))).astype("f4")


def numbers_of(samples) -> list[int]:
    return [int(Path(path).stem) for path in samples.paths]


def search(samples, gray_thumbnails=None, across=True):
    x, rows = features_of(samples), np.arange(len(samples))
    found = find_near_duplicates(samples, x, rows, known=NOTHING, across=across, gray_thumbnails=gray_thumbnails)
    splits, numbers = samples.table["split"].tolist(), numbers_of(samples)
    names = [f"{split}/{number:02d}.png" for split, number in zip(splits, numbers, strict=True)]
    return sorted((*sorted((names[pair.first], names[pair.second])), pair.kind) for pair in found.pairs)


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The files that a search has decoded."""
    files = []

    def noted(file, decode_options):
        files.append(file.name)
        return read_gray_thumbnail(file, decode_options)

    monkeypatch.setattr(near_duplicates, "read_gray_thumbnail", noted)
    return files


def test_the_check_keeps_the_thumbnails_that_a_search_would_read(planted):
    checked = check_images(read_samples(planted), gray_thumbnails=True)
    for path, digest in checked.samples.table[["path", "digest"]].itertuples(index=False):
        read = read_gray_thumbnail(planted / path, DecodeOptions())
        np.testing.assert_array_equal(checked.gray_thumbnails[digest], read)


@pytest.mark.parametrize("size", [(600, 300), (520, 515), (3000, 520), (2100, 2060)])
def test_reduced_decoding_gives_nearly_equal_thumbnails(tmp_path, size):
    for label, seed in (("a", 1), ("b", 2)):
        (tmp_path / label).mkdir()
        scene(seed).resize(size, Image.Resampling.BICUBIC).save(tmp_path / label / "photo.jpg", quality=90)
    kept = next(iter(check_images(read_samples(tmp_path), gray_thumbnails=True).gray_thumbnails.values()))
    read = read_gray_thumbnail(tmp_path / "a/photo.jpg", DecodeOptions())
    assert kept.dtype == np.uint8 and max(kept.shape) == 64
    assert kept.shape == read.shape
    assert np.abs(kept.astype(int) - read).mean() < 1


def test_near_duplicates_are_found_from_thumbnails_without_the_files(planted, read):
    checked = check_images(read_samples(planted), gray_thumbnails=True)
    assert search(checked.samples) == FOUND
    assert len(read) > 10
    read.clear()
    for file in planted.rglob("*.png"):
        file.unlink()
    for across in (True, False):
        assert search(checked.samples, checked.gray_thumbnails, across) == FOUND
    assert not read


def test_only_missing_thumbnails_are_read(planted, read):
    checked = check_images(read_samples(planted), gray_thumbnails=True)
    lacking = [numbers_of(checked.samples).index(number) for number in (4, 31)]
    unknown = set(checked.samples.table["digest"].iloc[lacking])
    gray_thumbnails = {digest: pixels for digest, pixels in checked.gray_thumbnails.items() if digest not in unknown}
    assert search(checked.samples, gray_thumbnails) == FOUND
    assert sorted(read) == ["04.png", "31.png"]


def test_thumbnails_are_keyed_by_digest_not_by_row(planted, read):
    (planted / "train/a/40.png").write_bytes((planted / "train/a/10.png").read_bytes())
    (planted / "train/b/11.png").write_bytes(b"no image")
    checked = check_images(read_samples(planted), gray_thumbnails=True)
    assert [path for path, _ in checked.excluded] == ["train/b/11.png"]
    assert len(checked.samples) == 32 and len(checked.gray_thumbnails) == 31  # identical files share one
    table = checked.samples.table.iloc[::-1]
    table = table[~table["path"].isin(["train/a/40.png", "train/a/12.png"])].reset_index(drop=True)
    left = Samples(checked.samples.root, checked.samples.classes, table)
    assert search(left, checked.gray_thumbnails) == FOUND
    assert not read


def test_thumbnails_are_kept_on_request_up_to_a_limit(planted, monkeypatch):
    samples = read_samples(planted)
    assert check_images(samples).gray_thumbnails == {}
    assert Source(root=planted, plan=SplitPlan()).load().gray_thumbnails == {}
    assert len(Source(root=planted, plan=SplitPlan()).load(gray_thumbnails=True).gray_thumbnails) == 32
    assert Source(root=planted, plan=SplitPlan(), check=False).load(gray_thumbnails=True).gray_thumbnails == {}
    for module in (check, doctor):
        monkeypatch.setattr(module, "MAX_KEPT_THUMBNAILS", 31)
    assert check_images(samples, gray_thumbnails=True).gray_thumbnails == {}
    given = []
    diagnose(planted, find_more=lambda *found: given.append(found[3]) or found[2])
    assert given == [{}]


def test_images_in_shards_are_not_read_twice(planted, read, tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    for split in ("train", "test"):
        write_folder_as_tar(tmp_path / f"{split}-000.tar", planted / split)
    dataset = Source(shards=str(tmp_path / "{train,test}-000.tar"), plan=SplitPlan(val=0)).load(gray_thumbnails=True)
    assert search(dataset.samples) == FOUND
    assert len(read) > 10
    read.clear()
    for split in ("train", "test"):
        (tmp_path / f"{split}-000.tar").unlink()
    assert search(dataset.samples, dataset.gray_thumbnails) == FOUND
    assert not read


def test_the_doctor_passes_thumbnails_to_find_more(planted, read):
    given = []
    diagnose(planted, find_more=lambda *found: given.append(found) or found[2])
    ((samples, readable, _, gray_thumbnails),) = given
    assert len(readable) == len(gray_thumbnails) == 32
    assert search(samples, gray_thumbnails) == FOUND
    assert not read
