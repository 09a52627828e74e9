from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tlkit.data.checks.duplicates import (
    MOST_BITS,
    Fingerprints,
    _candidates,
    _turned_hashes,
    find_duplicates,
    fingerprint,
)
from tlkit.data.checks.image_check import check_images
from tlkit.data.sources.folder import scan_folder


def picture(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Smooth noise with some detail: no two seeds look alike."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    detail = generator.normal(0, 8, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + detail, 0, 255).astype(np.uint8))


def saved_again(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


CHANGES = {
    "re-encoded": lambda image: saved_again(image, 50),
    "halved": lambda image: saved_again(image.resize((image.width // 2, image.height // 2)), 75),
    "doubled": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BILINEAR),
    "squashed": lambda image: image.resize((64, 64), Image.Resampling.LANCZOS),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned left": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned right, re-encoded": lambda image: saved_again(image.transpose(Image.Transpose.ROTATE_270), 75),
    "turned on its head": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned over": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned over the other diagonal": lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    "mirrored and halved": lambda image: saved_again(
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((48, 36)), 75
    ),
}


def prints_of(images, digests=None) -> Fingerprints:
    names = digests or [str(number) for number in range(len(images))]
    return Fingerprints.of(names, [None if image is None else fingerprint(image) for image in images])


@pytest.mark.parametrize("change", CHANGES)
def test_every_copy_is_found_and_no_other_pair(change):
    originals = [picture(seed) for seed in range(40)]
    found = find_duplicates(prints_of([*originals, *(CHANGES[change](image) for image in originals[:10])]))
    assert found.groups == tuple((row, 40 + row) for row in range(10))
    expected = next((kind for kind in ("mirrored", "turned") if kind in change), "near")
    assert {pair.kind for pair in found.pairs} == {expected}


def test_different_pictures_are_no_duplicates():
    assert find_duplicates(prints_of([picture(seed) for seed in range(300)])).pairs == ()


def test_identical_files_are_paired_with_the_first_also_damaged_ones():
    image = picture(0)
    found = find_duplicates(prints_of([image, None, image, image, None, None], ["a", "x", "a", "a", "x", ""]))
    assert found.pairs == ((0, 2, "identical", 1.0), (0, 3, "identical", 1.0), (1, 4, "identical", 1.0))
    assert found.groups == ((0, 2, 3), (1, 4))


def test_plain_pictures_of_different_files_are_not_compared():
    plain = [Image.new("RGB", (64, 48), (value, value, value)) for value in (0, 3, 128, 255)]
    assert find_duplicates(prints_of(plain)).pairs == ()


def test_groups_that_span_splits_are_returned():
    a, b, c = picture(1), picture(2), picture(3)
    found = find_duplicates(prints_of([a, b, CHANGES["mirrored"](a), saved_again(b, 60), c, saved_again(a, 60)]))
    splits = ["train", "train", "test", "train", "test", "test"]
    assert found.groups == ((0, 2, 5), (1, 3))
    assert found.across(splits) == ((0, 2, 5),)


def test_in_a_dataset_of_similar_pictures_only_copies_are_duplicates():
    """Scans of one form: the same page with a little handwriting. At a fixed threshold all would be copies."""
    page = np.asarray(picture(0, (96, 96))).astype(float)
    scans = []
    for seed in range(60):
        mark = np.asarray(picture(100 + seed, (24, 24)))
        scan = page.copy()
        scan[20:44, 30:54] = mark
        scans.append(Image.fromarray(scan.astype(np.uint8)))
    found = find_duplicates(prints_of([*scans, saved_again(scans[7], 80)]))
    assert found.threshold > 0.95
    assert found.groups == ((7, 60),)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), st.integers(0, 2**32), st.integers(0, 7))
def test_the_index_equals_a_comparison_of_all_pairs(seeds, noise, way):
    generator = np.random.default_rng(noise)
    hashes = []
    for seed in seeds:  # each with a few neighbors 0…12 bits away
        for bits in generator.integers(0, 13, 4):
            flips = sum(1 << int(bit) for bit in generator.permutation(64)[:bits])
            hashes.append(seed ^ flips)
    array = np.array(hashes, np.uint64)
    turned = _turned_hashes(array, way)
    found = {
        pair for left, right in _candidates(array, turned) for pair in zip(left.tolist(), right.tolist(), strict=True)
    }
    expected = {
        (a, b)
        for a, b in itertools.combinations(range(len(array)), 2)
        if int(array[a] ^ turned[b]).bit_count() <= MOST_BITS
    }
    assert found == expected


WAYS = [
    (way, *transposes)
    for way, transposes in enumerate(
        [
            (),
            (Image.Transpose.FLIP_LEFT_RIGHT,),
            (Image.Transpose.FLIP_TOP_BOTTOM,),
            (Image.Transpose.ROTATE_180,),
            (Image.Transpose.TRANSPOSE,),
            (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.TRANSPOSE),
            (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.TRANSPOSE),
            (Image.Transpose.TRANSVERSE,),
        ]
    )
]


@given(st.integers(0, 1000), st.sampled_from(WAYS))
def test_the_hash_of_a_turned_picture_follows_from_its_hash(seed, change):
    way, *transposes = change
    image = turned = picture(seed)
    for transpose in transposes:
        turned = turned.transpose(transpose)
    expected = _turned_hashes(np.array([fingerprint(image).hash]), way)[0]
    assert int(fingerprint(turned).hash ^ expected).bit_count() <= 3  # rounding, where a frequency is nearly absent


def test_thousands_of_equal_hashes_form_one_group():
    image = fingerprint(picture(0))
    found = find_duplicates(Fingerprints.of([str(number) for number in range(3000)], [image] * 3000))
    assert found.groups == (tuple(range(3000)),)


def test_the_check_before_training_returns_fingerprints(tmp_path):
    for split, label, seed in (("train", "ant", 1), ("train", "bee", 2), ("val", "ant", 3), ("val", "bee", 4)):
        (tmp_path / split / label).mkdir(parents=True)
        picture(seed).save(tmp_path / split / label / f"{seed}.png")
    picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "val" / "ant" / "0.jpg", quality=70)
    (tmp_path / "val" / "ant" / "00.jpg").write_bytes(b"")
    checked = check_images(scan_folder(tmp_path))
    paths = checked.samples.table["path"].tolist()
    groups = find_duplicates(checked.fingerprints).groups
    assert [[paths[row] for row in group] for group in groups] == [["train/ant/1.png", "val/ant/0.jpg"]]
    assert checked.fingerprints.digest.tolist() == checked.samples.table["digest"].tolist()
