from __future__ import annotations

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from tlkit.data.checks import duplicates
from tlkit.data.checks.duplicates import DuplicateSet, find_duplicates
from tlkit.data.checks.fingerprints import Fingerprints, fingerprint, turned_hashes
from tlkit.data.checks.hash_search import FEW, MOST_BITS, similar_hashes
from tlkit.data.checks.image_check import check_images
from tlkit.data.checks.pixel_comparison import likely_turns, picture_difference, turned_pixels
from tlkit.data.checks.verified_copies import find_copies
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.folder import scan_folder
from tlkit.samples import Samples


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


def copies_of(root, images, labels="a") -> DuplicateSet:
    """Write the images as PNGs and return what `find_copies` finds; `labels` is a letter for each, or for all."""
    names = [f"{number:03d}.png" for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        image.save(root / name)
    label = list(labels) if len(labels) > 1 else labels
    table = pd.DataFrame({"path": names, "label": label, "split": "train", "digest": names}, dtype="str")
    return find_copies(Samples(root, tuple(sorted(set(labels))), table), prints_of(images), DecodeOptions())


@pytest.mark.parametrize("change", CHANGES)
def test_every_copy_is_found_and_no_other_pair(change, tmp_path):
    originals = [picture(seed) for seed in range(40)]
    found = copies_of(tmp_path, [*originals, *(CHANGES[change](image) for image in originals[:10])])
    assert found.groups == tuple((row, 40 + row) for row in range(10))
    expected = next((kind for kind in ("mirrored", "turned") if kind in change), "re-encoded")
    assert {pair.kind for pair in found.pairs} == {expected}


def test_different_pictures_are_no_duplicates():
    assert find_duplicates(prints_of([picture(seed) for seed in range(300)])).pairs == ()


def test_identical_files_are_paired_with_the_first_also_damaged_ones():
    image = picture(0)
    found = find_duplicates(prints_of([image, None, image, image, None, None], ["a", "x", "a", "a", "x", ""]))
    assert found.pairs == tuple((*rows, "identical", 1.0, True) for rows in ((0, 2), (0, 3), (1, 4)))
    assert found.groups == ((0, 2, 3), (1, 4))


def test_plain_pictures_of_different_files_are_not_compared():
    plain = [Image.new("RGB", (64, 48), (value, value, value)) for value in (0, 3, 128, 255)]
    assert find_duplicates(prints_of(plain)).pairs == ()


def test_groups_that_span_splits_are_returned(tmp_path):
    a, b, c = picture(1), picture(2), picture(3)
    found = copies_of(tmp_path, [a, b, CHANGES["mirrored"](a), saved_again(b, 60), c, saved_again(a, 60)])
    splits = ["train", "train", "test", "train", "test", "test"]
    assert found.groups == ((0, 2, 5), (1, 3))
    assert found.across(splits) == ((0, 2, 5),)


def test_in_a_dataset_of_similar_pictures_only_copies_are_duplicates(tmp_path):
    """Scans of one form: the same page with a little handwriting. At a fixed threshold all would be copies."""
    page = np.asarray(picture(0, (96, 96))).astype(float)
    scans = []
    for seed in range(60):
        mark = np.asarray(picture(100 + seed, (24, 24)))
        scan = page.copy()
        scan[20:44, 30:54] = mark
        scans.append(Image.fromarray(scan.astype(np.uint8)))
    found = copies_of(tmp_path, [*scans, saved_again(scans[7], 80)])
    assert found.threshold > 0.95
    assert found.alike == found.groups == ((7, 60),)


def test_files_of_equal_pixels_are_identical_whatever_their_bytes(tmp_path):
    image = picture(0)
    image.save(tmp_path / "0.bmp")
    image.save(tmp_path / "1.png")
    image.transpose(Image.Transpose.ROTATE_180).save(tmp_path / "2.png")
    table = pd.DataFrame({"path": ["0.bmp", "1.png", "2.png"], "label": "a", "split": "train", "digest": list("abc")})
    images = [Image.open(tmp_path / name) for name in table["path"]]
    found = find_copies(Samples(tmp_path, ("a",), table), prints_of(images), DecodeOptions())
    assert [pair[:3] for pair in found.pairs[:2]] == [(0, 1, "identical"), (0, 2, "turned")]
    assert found.groups == ((0, 1, 2),)


DIFFERENCES = {
    "a tie": ((58, 40, 64, 62), (160, 20, 30)),
    "another background": ((0, 0, 96, 30), (225, 235, 180)),
    "a line of text": ((20, 76, 70, 79), (20, 20, 20)),
}


@pytest.mark.parametrize("change", DIFFERENCES)
def test_drawings_that_differ_in_a_detail_are_near_duplicates_and_no_copies(tmp_path, change):
    where, color = DIFFERENCES[change]
    drawings = []
    for seed in range(12):
        drawing = Image.new("RGB", (96, 96), (225, 225, 235))
        pen = ImageDraw.Draw(drawing)
        generator = np.random.default_rng(seed)
        for _ in range(5):
            x, y, r = generator.integers(10, 70, 3)
            pen.ellipse((x, y, x + r, y + r), fill=tuple(generator.integers(0, 255, 3).tolist()), outline=(0, 0, 0))
        drawings.append(drawing)
    changed = drawings[3].copy()
    ImageDraw.Draw(changed).rectangle(where, fill=color)
    found = copies_of(tmp_path, [*drawings, changed, saved_again(drawings[3], 60), saved_again(changed, 60)])
    assert found.groups == ((3, 13), (12, 14))
    assert {pair.is_copy for pair in found.pairs if pair[:2] == (3, 12)} <= {False}
    assert (3, 12, 13, 14) in found.alike or change == "another background"


def test_a_turned_picture_is_a_copy_under_the_same_label_only(tmp_path):
    """As 6 and 9, or arrows to the left and to the right, show."""
    images = [picture(0), CHANGES["turned on its head"](picture(0)), CHANGES["mirrored"](picture(0)), picture(1)]
    assert copies_of(tmp_path, images).groups == ((0, 1, 2),)
    found = copies_of(tmp_path, images, labels="abab")
    assert found.groups == ((0, 2),)
    assert found.alike == ((0, 1, 2),)
    assert found.across(list("abab")) == ()
    upright = [*images, saved_again(images[0], 60)]
    assert copies_of(tmp_path, upright, labels="ababb").across(list("ababb")) == ((0, 1, 2, 4),)


def test_a_faint_difference_in_an_otherwise_equal_drawing_is_none_of_saving_again(tmp_path):
    drawing = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(drawing)
    pen.ellipse((20, 8, 76, 64), fill=(250, 220, 190), outline=(0, 0, 0), width=2)
    pen.rectangle((28, 64, 68, 95), fill=(60, 60, 200), outline=(0, 0, 0), width=2)
    other = drawing.copy()
    ImageDraw.Draw(other).ellipse((40, 40, 52, 47), fill=(235, 200, 175))  # a mouth
    assert copies_of(tmp_path, [drawing, other, saved_again(drawing, 80)]).groups == ((0, 2),)


def drawn_hand(shift: float = 0.0, nail: tuple[int, int, int] = (250, 220, 190)) -> Image.Image:
    """Return a hand on white, 96 pixels, its edges smooth; `shift` moves three of its fingers, in pixels."""
    skin, scale = (250, 220, 190), 8
    big = Image.new("RGB", (96 * scale, 96 * scale), "white")
    pen = ImageDraw.Draw(big)

    def box(*sides):
        return tuple(round(scale * side) for side in sides)

    for x, top in ((46 + shift, 10), (59 + shift, 14), (72 + shift, 22)):
        pen.rounded_rectangle(box(x, top, x + 13, 60), 40, fill=skin, outline="black", width=2 * scale)
    pen.ellipse(box(26, 40, 86, 90), fill=skin, outline="black", width=2 * scale)
    pen.ellipse(box(10, 46, 36, 60), fill=skin, outline="black", width=2 * scale)
    pen.rectangle(box(53, 66, 56, 68), fill=nail)
    return big.resize((96, 96), Image.Resampling.BOX)


OTHER_DRAWINGS = {
    "a small connected region": drawn_hand(nail=(205, 175, 145)),
    "drawn again": drawn_hand(shift=0.25),
    "drawn again and mirrored": ImageOps.mirror(drawn_hand(shift=0.25)),
    "drawn again and turned": drawn_hand(shift=0.1).transpose(Image.Transpose.ROTATE_90),
}


@pytest.mark.parametrize("quality", [90, 75])
@pytest.mark.parametrize("change", OTHER_DRAWINGS)
def test_a_drawing_that_was_edited_or_drawn_again_is_a_near_duplicate(tmp_path, change, quality):
    """Some of its edges are changed and the others are not, which saving again never does. The JPEGs are copies."""
    one, other = drawn_hand(), OTHER_DRAWINGS[change]
    found = copies_of(tmp_path, [one, other, saved_again(one, quality), saved_again(other, quality)])
    assert found.groups == ((0, 2), (1, 3))
    assert found.alike == ((0, 1, 2, 3),)


def test_a_small_copy_of_one_of_two_drawings_is_no_copy_of_the_other(tmp_path):
    """At half the size the nail is within what saving again explains."""
    one, other = drawn_hand(), drawn_hand(nail=(180, 150, 120))
    small, other_small = (saved_again(image.resize((48, 48), Image.Resampling.BICUBIC), 75) for image in (one, other))
    assert copies_of(tmp_path, [one, other_small]).groups == ((0, 1),)
    assert copies_of(tmp_path, [one, small, other]).groups == ((0, 1),)
    found = copies_of(tmp_path, [one, other_small, other])
    assert found.groups == ((1, 2),)
    assert found.alike == ((0, 1, 2),)


def test_drawings_in_two_colors_of_one_brightness_are_no_copies(tmp_path):
    one, other = (Image.fromarray(np.full((64, 64, 3), 255, np.uint8)) for _ in range(2))
    for image, color in ((one, (200, 80, 80)), (other, (60, 150, 80))):  # both have a brightness of 116
        pen = ImageDraw.Draw(image)
        pen.ellipse((14, 10, 40, 50), fill=color)
        pen.rectangle((34, 30, 56, 58), fill=(0, 0, 0))
    assert copies_of(tmp_path, [one, other, saved_again(one, 60)]).groups == ((0, 2),)


@pytest.mark.parametrize("mirrored", [False, True])
def test_copies_of_symmetric_drawings_are_found(tmp_path, mirrored):
    """Half of their frequencies are absent, and the signs of those are noise."""
    drawings = []
    for seed in range(8):
        half = np.asarray(picture(seed, (48, 96)))
        drawings.append(Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1)))
    copies = [saved_again(ImageOps.mirror(image) if mirrored else image, 40) for image in drawings]
    assert copies_of(tmp_path, [*drawings, *copies]).groups == tuple((row, 8 + row) for row in range(8))


def test_two_exposures_of_one_scene_are_no_copies(tmp_path):
    """Frames of a camera that stands still: equal but for their noise, which a copy would have in common."""
    scene = np.asarray(picture(0, (96, 96)).filter(ImageFilter.GaussianBlur(3)), np.float32)
    frames = [
        Image.fromarray(np.clip(scene + np.random.default_rng(seed).normal(0, 6, scene.shape), 0, 255).astype(np.uint8))
        for seed in range(3)
    ]
    found = copies_of(tmp_path, [*frames, saved_again(frames[1], 90)])
    assert found.groups == ((1, 3),)
    assert found.alike == ((0, 1, 2, 3),)


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
    turned = turned_hashes(array, way)
    found = {
        pair
        for left, right in similar_hashes(array, turned)
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    }
    expected = {
        (a, b)
        for a, b in itertools.combinations(range(len(array)), 2)
        if int(array[a] ^ turned[b]).bit_count() <= MOST_BITS
    }
    assert found == expected


@pytest.mark.parametrize("count", [FEW, FEW + 1])
def test_the_index_of_many_hashes_equals_a_comparison_of_all_pairs(count):
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**64, count // 3, dtype=np.uint64, endpoint=False)[np.arange(count) % (count // 3)]
    for _ in range(5):
        hashes = hashes ^ (np.uint64(1) << generator.integers(0, 64, count, dtype=np.uint64))
    found = np.unique(np.concatenate([np.stack(pair, axis=1) for pair in similar_hashes(hashes, hashes)]), axis=0)
    apart = np.bitwise_count(hashes[:, None] ^ hashes)
    expected = np.argwhere(np.triu(apart <= MOST_BITS, k=1))
    assert len(expected) > 100
    np.testing.assert_array_equal(found, expected)


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
    expected = turned_hashes(np.array([fingerprint(image).hash]), way)[0]
    assert int(fingerprint(turned).hash ^ expected).bit_count() <= 3  # rounding, where a frequency is nearly absent


def test_hundreds_of_equal_hashes_form_one_group():
    image = fingerprint(picture(0))
    found = find_duplicates(Fingerprints.of([str(number) for number in range(400)], [image] * 400))
    assert found.alike == (tuple(range(400)),)
    assert len(found.pairs) == 399


def test_of_files_with_equal_pixels_each_is_paired_with_the_first_and_with_others_through_it(tmp_path, monkeypatch):
    """Two pictures have one fingerprint: they differ in one pixel of a corner. Of one there are many files."""
    image = picture(0, (192, 144))
    other = image.copy()
    other.putpixel((0, 0), tuple(255 - value for value in image.getpixel((0, 0))))
    small = saved_again(image.resize((96, 72)), 90)
    compared = []
    monkeypatch.setattr("tlkit.data.checks.verified_copies._verified", lambda read, pair: compared.append(pair) or None)
    images = [image] * 30 + [other] + [small]
    names = [f"{number:03d}.png" for number in range(len(images))]
    for name, one in zip(names, images, strict=True):
        one.save(tmp_path / name)
    table = pd.DataFrame({"path": names, "label": "a", "split": "train", "digest": names}, dtype="str")
    prints = [fingerprint(image)] * 31 + [fingerprint(small)]
    found = find_copies(Samples(tmp_path, ("a",), table), Fingerprints.of(names, prints), DecodeOptions())
    assert found.groups == (tuple(range(30)),)
    assert {pair[:2] for pair in found.pairs if pair.is_copy} == {(0, row) for row in range(1, 30)}
    assert {pair[:2] for pair in compared} == {(0, 30), (0, 31), (30, 31)}


def test_the_check_before_training_returns_fingerprints(tmp_path):
    for split, label, seed in (("train", "ant", 1), ("train", "bee", 2), ("val", "ant", 3), ("val", "bee", 4)):
        (tmp_path / split / label).mkdir(parents=True)
        picture(seed).save(tmp_path / split / label / f"{seed}.png")
    picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "val" / "ant" / "0.jpg", quality=70)
    (tmp_path / "val" / "ant" / "00.jpg").write_bytes(b"")
    checked = check_images(scan_folder(tmp_path))
    paths = checked.samples.table["path"].tolist()
    groups = find_copies(checked.samples, checked.fingerprints, DecodeOptions()).groups
    assert [[paths[row] for row in group] for group in groups] == [["train/ant/1.png", "val/ant/0.jpg"]]
    assert checked.fingerprints.digest.tolist() == checked.samples.table["digest"].tolist()


def test_pairs_that_many_bands_yield_are_compared_once():
    rng = np.random.default_rng(0)
    keys = [rng.integers(0, 90_000, size) for size in rng.integers(0, 5_000, 120)]
    found = list(duplicates._each_once(iter(keys)))
    assert max(map(len, found)) <= duplicates.PAIRS_AT_ONCE
    once = np.concatenate(found)
    assert len(once) == len(set(once.tolist()))
    assert set(once.tolist()) == set(np.concatenate(keys).tolist())
    assert list(duplicates._each_once(iter(()))) == []


@pytest.mark.parametrize("shape", [(9, 40), (31, 31), (47, 63), (120, 90)])
def test_no_orientation_is_left_out_in_which_the_pixels_agree(shape):
    rng = np.random.default_rng(sum(shape))
    for contrast in (2, 12, 60):
        noise = rng.normal(128, contrast, (*shape, 3))
        first = np.clip(noise + 3 * contrast * np.sin(np.arange(shape[1]) / 7)[:, None], 0, 255).astype(np.uint8)
        for turn in range(8):
            other = np.clip(turned_pixels(first, turn) + rng.normal(0, 3, (1, 1, 3)), 0, 255).astype(np.uint8)
            for back in range(8):
                difference = picture_difference(first, other, back)
                if difference is not None and difference.is_copy:
                    assert back in likely_turns(first, other)
