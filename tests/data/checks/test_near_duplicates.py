"""Near duplicates are found by features and verified by pixels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import says
from PIL import Image
from scenes import scene
from test_pair_verification import frame, recolored

from tlkit.data.checks import near_duplicates
from tlkit.data.checks.duplicates import DuplicateSet, Pair
from tlkit.data.checks.near_duplicates import _nearest, find_near_duplicates
from tlkit.samples import Samples

NOTHING = DuplicateSet((), 1.0)


def make_samples(root: Path, images, splits) -> Samples:
    paths = [f"{row:03d}.png" for row in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(root / path)
    table = pd.DataFrame({"path": paths, "label": "a", "split": splits, "digest": paths}, dtype="str")
    return Samples(root, ("a",), table)


def features_of(same: list[int], seed: int = 0) -> np.ndarray:
    """Return features in which rows of one number lie close together, and all others apart."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(max(same) + 1, 64))
    return (centres[same] + 0.1 * generator.normal(size=(len(same), 64))).astype(np.float32)


@pytest.fixture
def planted(tmp_path) -> tuple[Samples, np.ndarray]:
    """24 training and 6 test pictures; two of the latter lie in train, changed, and two only look alike."""
    originals = [scene(seed) for seed in range(30)]
    copies = [frame(originals[24], 0.6, (0.1, 0.8)), recolored(originals[25])]
    samples = make_samples(tmp_path, [*originals, *copies], ["train"] * 24 + ["test"] * 6 + ["train"] * 2)
    return samples, features_of([*range(26), 0, 1, 28, 29, 24, 25])


@pytest.mark.parametrize("across", [True, False])
def test_planted_copies_are_found_but_similar_pictures_are_not(planted, across):
    samples, x = planted
    found = find_near_duplicates(samples, x, np.arange(32), known=NOTHING, across=across)
    assert [(pair.first, pair.second, pair.kind) for pair in found.pairs] == [(24, 30, "cropped"), (25, 31, "edited")]
    assert found.groups == ((24, 30),), "the crop agrees in all pixels; the recolored one is for a person to decide"
    assert found.alike == ((24, 30), (25, 31))
    assert all(0.9 <= pair.similarity <= 1 for pair in found.pairs)


def test_rows_without_features_and_missing_files_are_skipped(planted):
    samples, x = planted
    (samples.root / "031.png").unlink()
    (samples.root / "003.png").write_bytes(b"")
    rows = np.delete(np.arange(32), [5, 7])
    assert [pair[:2] for pair in find_near_duplicates(samples, x[rows], rows, known=NOTHING).pairs] == [(24, 30)]


def test_known_leaks_are_not_compared_again(planted, monkeypatch):
    samples, x = planted
    known = NOTHING.joined([Pair(24, 30, "re-encoded", 1.0, True)])
    compared = []
    real = near_duplicates.verify_pair
    monkeypatch.setattr(near_duplicates, "verify_pair", lambda a, b: compared.append((a, b)) or real(a, b))
    found = find_near_duplicates(samples, x, np.arange(32), known=known, across=True)
    assert found.alike == ((24, 30), (25, 31))
    monkeypatch.setattr(near_duplicates, "PROBED", 0)
    compared.clear()
    find_near_duplicates(samples, x, np.arange(32), known=known, across=True)
    assert len(compared) <= 5 * near_duplicates.NEAREST


def test_similar_pictures_throughout_a_dataset_are_no_copies(tmp_path, caplog):
    """Scans of one form with a little handwriting: at a fixed threshold all would be copies."""
    caplog.set_level("DEBUG", "tlkit")
    page = np.asarray(scene(0).resize((96, 96)))
    scans = []
    for seed in range(40):
        scan = page.copy()
        scan[20:44, 30:54] = np.asarray(scene(100 + seed).resize((24, 24)))
        scans.append(scan)
    images = [Image.fromarray(scan) for scan in scans]
    samples = make_samples(tmp_path, [*images, recolored(images[7])], ["train"] * 41)
    x = features_of([*range(40), 7])
    found = find_near_duplicates(samples, x, np.arange(41), known=NOTHING)
    assert found is NOTHING
    assert re.search(r"as alike as those of copies \(correlation (0\.9\d|1\.00)\)", caplog.messages[-1])


def test_very_many_images_are_not_compared(planted, monkeypatch, caplog):
    caplog.set_level("DEBUG", "tlkit")
    monkeypatch.setattr(near_duplicates, "MOST_COMPARED", 10)
    samples, x = planted
    assert find_near_duplicates(samples, x, np.arange(32), known=NOTHING) is NOTHING
    assert says(caplog.messages, "32", "images", "cropped")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_few_images_are_compared_too(tmp_path, count):
    images = [scene(0), frame(scene(0), 0.7, (0, 0)), *(scene(seed) for seed in range(1, 4))][:count]
    samples = make_samples(tmp_path, images, ["train"] * count)
    found = find_near_duplicates(samples, features_of([0, 0, 1, 2, 3])[:count], np.arange(count), known=NOTHING)
    assert [pair[:2] for pair in found.pairs] == ([(0, 1)] if count > 1 else [])


@pytest.mark.parametrize("at_once", [4, 2800, 10**9])
def test_nearest_neighbors_equal_sklearn_for_any_block_size(monkeypatch, at_once):
    from sklearn.neighbors import NearestNeighbors

    monkeypatch.setattr("tlkit.stats.nearest_neighbors.BYTES_AT_ONCE", at_once)
    x = np.random.default_rng(0).normal(size=(70, 12)).astype(np.float32)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    places = np.arange(70)
    near = _nearest(unit, places, places)
    distance, index = NearestNeighbors(n_neighbors=21, metric="cosine").fit(unit).kneighbors(unit)
    far = np.median(distance[:, 20])
    expected = {
        tuple(sorted((row, int(index[row, k]))))
        for row in range(70)
        for k in (1, 2, 3)
        if distance[row, k] <= far + 1e-6
    }
    assert set(map(tuple, near.pairs.tolist())) == expected
    assert near.usual[:, 1].tolist() == index[:, 20].tolist()
