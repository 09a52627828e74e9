"""Folders of images and masks under `data summary`, `data doctor` and `data split`."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from mask_images import CLASSES, write_mask_images
from messages import saying
from PIL import Image

from tlkit.data import Source
from tlkit.data.checks.dataset_summary import contact_sheets, summarize_data
from tlkit.data.checks.doctor import diagnose
from tlkit.data.checks.quarantine import write_quarantine
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.data.splits.split_file import make_split
from tlkit.errors import DataError
from tlkit.mask_classes import MaskClasses
from tlkit.mask_files import mask_png, read_mask


@pytest.fixture
def root(tmp_path):
    return write_mask_images(tmp_path / "images")


def options(root, *, void=None):
    masks = MaskClasses.of(CLASSES, void=void)
    return ListOptions(task="segmentation", masks=masks, mask_folder=str(root / "masks"))


def spoil(root):
    """Break one thing of each kind; return what is expected by the kind of finding."""
    masks = root / "masks" / "train"
    (masks / "000.png").unlink()
    (root / "train" / "001.jpg").write_bytes((root / "train" / "001.png").read_bytes())
    (masks / "002.png").write_bytes(b"no mask")
    (masks / "003.png").write_bytes(mask_png(np.zeros((9, 9), dtype=np.uint8)))
    (masks / "004.png").write_bytes(mask_png(np.full((48, 48), 7, dtype=np.uint8)))
    (masks / "005.png").write_bytes(mask_png(np.full((48, 48), 255, dtype=np.uint8)))
    (masks / "extra.png").write_bytes(mask_png(np.zeros((4, 4), dtype=np.uint8)))
    (root / "train" / "006.png").write_bytes(b"")
    (root / "test" / "000.png").write_bytes((root / "train" / "007.png").read_bytes())
    (root / "masks" / "test" / "000.png").write_bytes((masks / "007.png").read_bytes())
    (root / "val" / "000.png").write_bytes((root / "val" / "001.png").read_bytes())
    return {
        "no-mask": ("train/000.png",),
        "shared-mask": ("train/001.jpg", "train/001.png"),
        "mask-unusable": ("masks/train/002.png",),
        "mask-size": ("masks/train/003.png", "9x9", "48x48"),
        "mask-values": ("masks/train/004.png", "7 (2,304 pixels)"),
        "void-mask": ("masks/train/005.png",),
        "extra-mask": ("masks/train/extra.png",),
        "zero-byte": ("train/006.png",),
        "across-splits": ("test/000.png", "train/007.png"),
        "across-labels": ("val/000.png", "val/001.png"),
    }


def test_the_doctor_names_every_kind_of_broken_pair_and_nothing_in_a_sound_folder(root, tmp_path):
    sound, _ = diagnose(root, options=options(root))
    assert not {one.kind for one in sound.findings} & {"no-mask", "mask-size", "mask-values", "across-labels", "copies"}
    assert (sound.images, sound.entries["read"], sound.reaches("error")) == (52, 52, False)
    expected = spoil(root)
    found, samples = diagnose(root, options=options(root, void=255))
    by_kind = {one.kind: " ".join(one.items) for one in found.findings}
    for kind, parts in expected.items():
        assert saying(*parts) == by_kind[kind]
    assert by_kind["mask-unusable"].count("masks/") == 1  # the empty image is named as an image alone
    assert found.reaches("error")
    reasons = dict(found.quarantine)
    assert {"train/002.png", "train/003.png", "train/004.png", "train/006.png", "train/007.png"} <= set(reasons)
    assert "train/005.png" not in reasons
    assert saying("9x9") == reasons["train/003.png"]
    assert json.loads(found.to_sarif())["runs"]
    write_quarantine(tmp_path / "kept.csv", found, samples)
    kept = pd.read_csv(tmp_path / "kept.csv").set_index("path")
    assert kept.loc["train/008.png", "label"] == "masks/train/008.png"


def test_the_summary_counts_images_and_pixels_by_class_and_split(root):
    for number in range(3):
        file = root / "masks" / "val" / f"{number:03d}.png"
        mask = read_mask(file.read_bytes())
        mask[:5] = 255
        file.write_bytes(mask_png(mask))
    found, samples = summarize_data(
        root, options=options(root, void=255), metadata=root / "metadata.csv", groups="light"
    )
    masks = {
        split: [read_mask(file.read_bytes()) for file in sorted((root / "masks" / split).glob("*.png"))]
        for split in ("train", "val", "test")
    }
    for place, name in enumerate(CLASSES):
        for split, some in masks.items():
            assert found.counts[name][split] == sum((mask == place).any() for mask in some)
            assert found.pixels[name][split] == sum(int((mask == place).sum()) for mask in some)
    assert found.pixels["(void)"] == {"train": 0, "val": 3 * 5 * 48, "test": 0}
    assert found.groups["light"]["day"] == {"train": 12, "val": 6, "test": 8}
    shares = next(table for table in found.tables() if table.name == "pixel_shares")
    assert sum(row[-2] for row in shares.rows) == pytest.approx(1)
    assert found.to_dict()["pixels"] == found.pixels
    assert set(contact_sheets(samples)) == set(CLASSES)
    spoil(root)
    spoilt, _ = summarize_data(root, options=options(root, void=255))
    for parts in (("1 of", "no mask", "train/000.png"), ("another size", "003.png"), ("no class", "004.png")):
        assert any(problem == saying(*parts) for problem in spoilt.problems)


def test_a_split_keeps_every_class_and_is_what_a_recipe_reads(root, tmp_path):
    flat = tmp_path / "flat"
    for split in ("train", "val", "test"):
        for kind in ("", "masks"):
            (flat / kind).mkdir(parents=True, exist_ok=True)
            for file in sorted((root / kind / split).glob("*.png")):
                (flat / kind / f"{split}{file.name}").write_bytes(file.read_bytes())
    made = make_split(flat, tmp_path / "split.csv", options=options(flat), plan=SplitPlan(val=0.25, test=0.25))
    assert made.split_sizes() == {"train": 26, "val": 13, "test": 13}
    every = made.label_matrix.mean(axis=0)
    for split in ("train", "val", "test"):
        assert made.split(split).label_matrix.mean(axis=0) == pytest.approx(every, abs=0.06)
    again = Source(root=flat, options=options(flat), split=tmp_path / "split.csv").load().samples
    assert dict(zip(again.paths, again.table["split"], strict=True)) == dict(
        zip(made.paths, made.table["split"], strict=True)
    )
    (flat / "masks" / "train000.png").write_bytes(b"no mask")
    with pytest.raises(DataError, match=r"1 of 52 masks cannot be used: masks/train000.png"):
        make_split(flat, tmp_path / "more.csv", options=options(flat))


def test_masks_beside_the_images_are_split_and_their_list_is_read_again(root, tmp_path):
    (root / "masks").rename(tmp_path / "masks")
    beside = ListOptions(task="segmentation", masks=MaskClasses.of(CLASSES), mask_folder=str(tmp_path / "masks"))
    made = make_split(root, tmp_path / "split.csv", options=beside)
    assert made.table["label"][0] == "../masks/test/000.png"
    listed = ListOptions(task="segmentation", masks=MaskClasses.of(CLASSES))
    again = Source(manifest=tmp_path / "split.csv", root=root, options=listed).load().samples
    assert again.table.equals(made.table)
    assert make_split(root, tmp_path / "more.csv", manifest=tmp_path / "split.csv", options=listed).table.equals(
        made.table
    )
    (tmp_path / "masks" / "test" / "000.png").unlink()
    with pytest.raises(DataError, match=r"a mask does not exist.*: \.\./masks/test/000\.png"):
        Source(manifest=tmp_path / "split.csv", root=root, options=listed).load()


def test_images_without_any_usable_mask_are_named(root):
    for file in (root / "masks").rglob("*.png"):
        file.unlink()
    found, samples = diagnose(root, options=options(root))
    assert len(samples) == 0
    assert "52 of 52 images" in next(one for one in found.findings if one.kind == "layout").items[0]
    summary, _ = summarize_data(root, options=options(root))
    assert any("52 of 52 images" in problem for problem in summary.problems)


def test_copies_are_compared_by_what_their_usable_masks_mean(root):
    masks = root / "masks" / "train"
    for one, other in (("000", "001"), ("002", "003"), ("004", "005")):
        (root / "train" / f"{one}.png").write_bytes((root / "train" / f"{other}.png").read_bytes())
    numbers = read_mask((masks / "001.png").read_bytes())
    Image.fromarray(numbers).save(masks / "000.png")  # gray levels instead of palette indices
    (masks / "002.png").write_bytes(b"no mask")
    (masks / "004.png").write_bytes(mask_png(1 - (read_mask((masks / "005.png").read_bytes()) > 0).astype(np.uint8)))
    found, _ = diagnose(root, options=options(root))
    assert (masks / "000.png").read_bytes() != (masks / "001.png").read_bytes()
    across = next(one for one in found.findings if one.kind == "across-labels")
    assert across.items == ("train/004.png = train/005.png",)
    assert set(dict(found.quarantine)) == {"train/002.png", "train/004.png", "train/005.png"}
