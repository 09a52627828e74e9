"""Folders of images and masks: what is read, split, and refused with names and numbers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_images import CLASSES, write_mask_images
from messages import saying

from tlkit.data import Source, SplitPlan
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.mask_folders import survey_mask_folders
from tlkit.errors import DataError
from tlkit.mask_classes import MaskClasses
from tlkit.mask_files import mask_png, read_mask
from tlkit.samples import Samples

MASKS = MaskClasses.of(CLASSES)


@pytest.fixture
def root(tmp_path):
    return write_mask_images(tmp_path / "images")


def source(root, *, masks=MASKS, folder=None, plan=None, **given):
    folder = str(root / "masks") if folder is None else folder
    options = ListOptions(task="segmentation", masks=masks, mask_folder=folder)
    return Source(root=root, options=options, plan=plan or SplitPlan(), **given)


def test_images_have_the_masks_of_their_paths_and_the_splits_of_their_folders(root):
    samples = source(root, metadata=root / "metadata.csv", groups=("light", "scene")).load().samples
    assert (samples.task, samples.classes) == ("segmentation", CLASSES)
    assert samples.split_sizes() == {"train": 24, "val": 12, "test": 16}
    assert samples.group_columns == ("light", "scene")
    for path, mask, pixels in zip(samples.paths, samples.table["label"], samples.pixel_counts, strict=True):
        assert mask == f"masks/{path}"
        assert pixels.tolist() == np.bincount(read_mask((root / mask).read_bytes()).ravel(), minlength=3).tolist()
    shown = samples.counts()
    assert shown.loc["background"].to_dict() == samples.split_sizes()
    samples.to_csv(root / "split.csv")
    again = Samples.from_csv(root / "split.csv", root=root, task="segmentation", masks=MASKS)
    assert again.table.equals(samples.table)
    assert np.array_equal(again.label_matrix, samples.label_matrix)


def test_masks_beside_the_images_and_lists_of_them_are_the_same(root, tmp_path):
    (root / "masks").rename(tmp_path / "masks")
    beside = source(root, folder=str(tmp_path / "masks")).load().samples
    assert beside.table["label"][0] == "../masks/test/000.png"
    rows = [(path, f"../masks/{path}", path.split("/")[0]) for path in beside.paths]
    listed = [(f"images/{path}", mask.removeprefix("../"), split) for path, mask, split in rows]
    pd.DataFrame(listed, columns=["path", "outline", "split"]).to_csv(tmp_path / "list.csv", index=False)
    options = ListOptions(task="segmentation", masks=MASKS, names={"label": "outline"})
    found = Source(manifest=tmp_path / "list.csv", root=tmp_path, options=options).load().samples
    assert np.array_equal(found.pixel_counts, beside.pixel_counts)
    assert found.table["split"].tolist() == beside.table["split"].tolist()


@pytest.mark.parametrize("group_by", [None, "scene"])
def test_images_without_splits_are_held_out_with_all_classes_and_whole_scenes(tmp_path, group_by):
    root = write_mask_images(tmp_path / "images")
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "masks").mkdir()
    rows = []
    for number, file in enumerate(sorted(path for path in root.rglob("*.png") if "masks" not in path.parts)):
        file.rename(flat / f"{number:03d}.png")
        (root / "masks" / file.relative_to(root)).rename(flat / "masks" / f"{number:03d}.png")
        rows.append((f"{number:03d}.png", f"s{number // 3}"))
    pd.DataFrame(rows, columns=["path", "scene"]).to_csv(flat / "metadata.csv", index=False)
    plan = SplitPlan(val=0.25, test=0.25, group_by=group_by)
    samples = source(flat, plan=plan, metadata=flat / "metadata.csv", groups=("scene",)).load().samples
    sizes = samples.split_sizes()
    assert sum(sizes.values()) == 52
    assert all(abs(sizes[name] - 13) <= 4 for name in ("val", "test"))
    assert (samples.counts().to_numpy() > 0).all()
    if group_by:
        assert samples.table.groupby("scene")["split"].nunique().max() == 1


def test_what_is_missing_or_wrong_is_named_and_counted(root, caplog):
    (root / "masks" / "test" / "000.png").unlink()
    (root / "masks" / "val" / "001.png").unlink()
    with pytest.raises(DataError) as caught:
        source(root).load()
    assert saying("2 of 52 images", "test/000.png", "val/001.png", "PNG file", "move the image away") == str(
        caught.value
    )
    for name in ("test/000", "val/001", "val/none"):
        (root / "masks" / f"{name}.png").write_bytes(mask_png(np.full((48, 48), 9, np.uint8)))
    (root / "masks" / "train" / "002.png").write_bytes(mask_png(np.zeros((20, 48), np.uint8)))
    (root / "masks" / "train" / "003.png").write_bytes(b"no mask")
    with pytest.raises(DataError) as caught:
        source(root).load()
    problems = caught.value.problems
    assert len(problems) == 3
    assert saying("1 of 52 masks cannot be used", "train/003.png", "not a PNG file") == problems[0]
    assert saying("train/002.png", "48x20, the image 48x48", "nearest-neighbour") == problems[1]
    assert saying("2 of 52 masks hold numbers of no class", "9 (2,304 pixels)", "data.void") == problems[2]
    assert "1 masks" in caplog.text
    assert "val/none" in caplog.text


def test_pixels_of_void_count_nowhere(root):
    file = root / "masks" / "train" / "000.png"
    mask = read_mask(file.read_bytes())
    mask[:10] = 200
    file.write_bytes(mask_png(mask))
    samples = source(root, masks=MaskClasses.of(CLASSES, void=200)).load().samples
    row = samples.paths.tolist().index("train/000.png")
    assert samples.pixel_counts[row].sum() == 48 * 38


def test_a_changed_mask_is_other_data(root):
    from tlkit.training.environment import dataset_fingerprint

    before = dataset_fingerprint(source(root).load().samples)
    assert dataset_fingerprint(source(root).load().samples) == before
    (root / "masks" / "train" / "000.png").write_bytes(mask_png(np.ones((48, 48), np.uint8)))
    assert dataset_fingerprint(source(root).load().samples) != before


def test_a_list_names_masks_that_exist(root):
    rows = [("train/000.png", "masks/train/000.png"), ("train/001.png", "masks/none.png"), ("train/002.png", "")]
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(root / "list.csv", index=False)
    with pytest.raises(DataError) as caught:
        Source(manifest=root / "list.csv", options=ListOptions(task="segmentation", masks=MASKS)).load()
    assert saying("list.csv:3  a mask does not exist", "masks/none.png", "list.csv:4  a label is empty") == str(
        caught.value
    )


def test_two_masks_of_one_name_are_refused_and_none_is_chosen(root):
    masks = root / "masks" / "train"
    (masks / "000.PNG").write_bytes((masks / "001.png").read_bytes())
    (masks / "002.png").rename(masks / "002.PNG")
    with pytest.raises(DataError) as caught:
        source(root).load()
    (problem,) = caught.value.problems
    assert saying("1 images", "train/000.PNG and train/000.png") == problem and "002" not in problem
    (masks / "000.png").unlink()
    assert source(root).load().samples.split_sizes()["train"] == 24


def test_images_and_masks_in_one_folder_are_refused(root):
    with pytest.raises(DataError) as caught:
        source(root, folder=str(root)).load()
    assert str(caught.value) == saying("data.root and data.masks are one folder", "masks")


PAIRED = st.tuples(
    st.sampled_from(("", "a/", "train/")), st.sampled_from(("1", "2")), st.sampled_from(("png", "PNG", "jpg", "heic"))
)
OTHERS = st.sampled_from(("notes.txt", "Thumbs.db", ".x.png", "a/1.seg.png", "link.png"))


@pytest.mark.parametrize("place", ["inside", "beside", "around"])
@settings(max_examples=50)
@given(images=st.sets(PAIRED, max_size=8), masks=st.sets(PAIRED, max_size=8), more=st.sets(OTHERS, max_size=3))
def test_every_file_among_images_and_masks_is_counted(place, images, masks, more):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "masks", "images") if place == "around" else Path(name, "images")
        folder = root / "masks" if place == "inside" else Path(name, "masks")
        for where, files in ((root, images), (folder, masks)):
            where.mkdir(parents=True, exist_ok=True)
            for below, stem, ending in files:
                (where / below).mkdir(exist_ok=True)
                (where / below / f"{stem}.{ending}").write_bytes(b"x")
        for file in more:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).symlink_to("gone") if "link" in file else (folder / file).write_bytes(b"x")
        options = ListOptions(task="segmentation", masks=MASKS, mask_folder=str(folder))
        survey = survey_mask_folders([root], options)
        assert survey.entries.found == len(images) + len(masks) + len(more)
        assert survey.entries.read == len(survey.samples)
        entries = {(root / entry.name).resolve() for entry in survey.entries.skipped}
        pairs = survey.samples.table[["path", "label"]].to_numpy().ravel().tolist()
        assert entries.isdisjoint((root / path).resolve() for path in pairs)
