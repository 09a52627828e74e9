"""Every source counts its entries: read + companions + set aside + skipped equals what lies there."""

from __future__ import annotations

import os
import socket
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says
from tars import write_tar

import tlkit
from tlkit.data.checks.dataset_summary import summarize_data
from tlkit.data.checks.doctor import diagnose
from tlkit.data.sources.entries import Entries
from tlkit.data.sources.folder import survey_folder
from tlkit.data.sources.image_files import find_and_count_images, find_images
from tlkit.data.sources.image_stream import stream_images
from tlkit.data.sources.manifest import survey_list
from tlkit.data.sources.metadata import join_metadata
from tlkit.data.sources.read_samples import read_samples, survey_images
from tlkit.data.sources.shard_splits import split_of
from tlkit.data.sources.tar_shards import read_shards, survey_shards
from tlkit.errors import DataError

FILES = (
    "1.png",
    "2.JPG",
    "scan_6.5x.png",
    "scan_6.png",
    "notes.txt",
    "x.heic",
    "x.svg",
    ".hidden.png",
    "Thumbs.db",
    "x",
)
FOLDERS = ("ant", "bee", "train", "val", "__MACOSX", ".cache", "deep")
TREES = st.lists(
    st.tuples(st.lists(st.sampled_from(FOLDERS), max_size=3), st.sampled_from(FILES)), max_size=14, unique_by=str
)
PARTS = ("1", "2", "1.5x", "1.seg", "a/1", "a/scan_6.5x", "a/scan_7.5x", "._1")
TYPES = ("png", "jpg", "cls", "json", "txt", "npy", "heic", "PNG")
MEMBERS = st.sets(st.tuples(st.sampled_from(PARTS), st.sampled_from(TYPES)), max_size=14)


def kinds(entries: Entries) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in (*entries.excluded, *entries.skipped):
        found.setdefault(entry.kind, []).append(entry.name)
    return found


def leaves(root: Path) -> int:
    """The files below a folder; a hidden or system folder counts as one."""
    count = 0
    for _, folders, files in os.walk(root):
        junk = [name for name in folders if name.startswith(".") or name == "__MACOSX"]
        folders[:] = [name for name in folders if name not in junk]
        count += len(files) + len(junk)
    return count


def write_rows(file: Path, names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Path:
    """Write a table; an empty field is null in Parquet."""
    table = pd.DataFrame(rows, columns=[*names], dtype="str")
    if file.suffix == ".csv":
        table.to_csv(file, index=False)
    else:
        table.mask(table == "").to_parquet(file)
    return file


@settings(max_examples=60)
@given(tree=TREES)
def test_a_folder_and_prediction_count_every_file(tree):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folders, file in tree:
            root.joinpath(*folders).mkdir(parents=True, exist_ok=True)
            root.joinpath(*folders, file).write_bytes(b"")
        survey = survey_folder(root)
        assert survey.entries.found == leaves(root)
        assert survey.entries.read == len(survey.samples)
        assert set(survey.samples.table["path"]).isdisjoint(entry.name for entry in survey.entries.skipped)
        try:
            files, entries = find_and_count_images([root])
        except DataError:
            assert not len(survey.samples)
            return
        assert entries.found == leaves(root)
        loose = {root / entry.name for entry in survey.entries.skipped if entry.kind == "loose"}
        assert set(files) == {root / path for path in survey.samples.table["path"]} | loose


@settings(max_examples=100)
@given(members=MEMBERS, label=st.sampled_from([b"ant", b"", b"a\nb"]))
def test_a_shard_counts_every_member_and_prediction_finds_the_same(members, label):
    content = {f"{part}.{kind}": label for part, kind in members}
    content |= {name: b'{"label": 1}' for name in content if name.endswith("json")}
    with tempfile.TemporaryDirectory() as name:
        shard = write_tar(Path(name) / "t.tar", content)
        survey = survey_shards(str(shard))
        assert survey.entries.found == len(content)
        assert survey.entries.read == len(survey.samples)
        try:
            files, entries = find_and_count_images([shard])
        except DataError:
            assert not len(survey.samples)
            return
        assert entries.found == len(content)
        refused = {
            Path(name) / entry.name for entry in survey.entries.skipped if entry.kind in ("no-class", "several-images")
        }
        assert set(files) == {Path(name) / path for path in survey.samples.table["path"]} | refused


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["1.png", "2.png", "gone.png", "../out.png", ""]),
            st.sampled_from(["ant", "bee", " ", ""]),
            st.sampled_from(["", "train", "nonsense"]),
            st.sampled_from(["", "", "", "blurred"]),
        ),
        max_size=10,
    )
)
def test_a_list_and_its_join_count_every_row(ending, rows):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for file in ("1.png", "2.png"):
            (root / file).write_bytes(b"")
        survey = survey_list(write_rows(root / f"list.{ending}", ("path", "label", "split", "quarantine"), rows))
        assert survey.entries.found == len(rows)
        assert survey.entries.read == len(survey.samples) == len(set(survey.samples.table["path"]))
        assert len(survey.entries.excluded) == sum(row[3] != "" for row in rows)
        assert len(kinds(survey.entries).get("blank-row", [])) == sum(row == ("", "", "", "") for row in rows)
        if not len(survey.samples):
            return
        sites = {"1.png": "x", "2.png": "y"}  # a path that is empty has several, which contradict nothing
        listed = [(path, sites.get(path, label if path == "" else "x")) for path, label, *_ in rows]
        listed += [("1.png", "x"), ("none.png", "x"), ("", "")]
        write_rows(root / f"meta.{ending}", ("path", "site"), listed)
        joined, entries = join_metadata(survey.samples, f"meta.{ending}", groups=["site"])
        assert entries.found == len(listed)
        assert entries.read == joined.groups["site"].notna().sum()
        nameless = [entry for entry in entries.skipped if entry.kind in ("blank-row", "wrong-row")]
        assert len(nameless) == sum(path == "" for path, _ in listed)


def test_dots_within_names_lose_no_image(tmp_path, make_image, lines):
    image = make_image("x.png").read_bytes()
    members = {}
    for label in ("ant", "bee"):
        for number, key in enumerate(("scan_6.5x", "scan_7", "scan_7.5x", "v1.2.scan")):
            members |= {f"{label}/{key}.png": image, f"{label}/{key}.cls": f"{label}{number}".encode()}
    shard = write_tar(tmp_path / "t.tar", members)
    samples = read_shards(str(shard))
    assert len(samples) == 8 == len(find_images([shard]))
    assert samples.table.set_index("path")["label"]["t.tar/bee/scan_7.5x.png"] == "bee2"
    by_folder = write_tar(tmp_path / "f.tar", {name: image for name in members if name.endswith("png")})
    assert len(read_shards(str(by_folder))) == 8 == len(find_images([by_folder]))


def test_a_mask_is_a_part_of_its_sample_and_two_views_are_two_images(tmp_path, make_image, lines):
    image = make_image("x.png").read_bytes()
    members = {"1.jpg": image, "1.seg.png": image, "1.cls": b"ant", "2.left.png": image, "2.right.png": image}
    shard = write_tar(tmp_path / "t.tar", members | {"2.cls": b"bee", "3.cls": b"ant", "2.depth.npy": b"x"})
    survey = survey_shards(str(shard))
    assert survey.samples.table["path"].tolist() == ["t.tar/1.jpg", "t.tar/2.left.png", "t.tar/2.right.png"]
    assert survey.samples.table["label"].tolist() == ["ant", "bee", "bee"]
    assert kinds(survey.entries) == {"sample-part": ["t.tar/1.seg.png"], "not-by-name": ["t.tar/3.cls"]}
    assert survey.entries.companions == 3
    read_shards(str(shard))
    assert says(lines(), "t.tar/1.seg.png", "sample 1", "1.jpg") and says(lines(), "t.tar/3.cls", "key")
    assert len(find_images([shard])) == 3


def test_an_archive_in_a_shard_is_named_as_in_a_folder(tmp_path, make_image):
    inner = write_tar(tmp_path / "inner.TAR", {"a.png": make_image("x.png").read_bytes()}).read_bytes()
    members = {
        "1.png": make_image("x.png").read_bytes(),
        "1.cls": b"ant",
        "more.tar": inner,
        "B.ZIP": b"PK",
        "c.txz": b"x",
    }
    assert kinds(survey_shards(str(write_tar(tmp_path / "t.tar", members))).entries) == {
        "archive": ["t.tar/more.tar", "t.tar/B.ZIP", "t.tar/c.txz"]
    }
    (tmp_path / "folder" / "ant").mkdir(parents=True)
    for name, content in members.items():
        (tmp_path / "folder" / "ant" / name).write_bytes(content)
    found = kinds(survey_folder(tmp_path / "folder").entries)
    assert sorted(found["archive"]) == ["ant/B.ZIP", "ant/c.txz", "ant/more.tar"]


def test_an_image_in_a_shard_whose_ending_says_nothing_is_named(tmp_path, make_image):
    image = make_image("x.png").read_bytes()
    members = {"1.png": image, "1.cls": b"ant", "IM7": image, "IM7.cls": b"ant", "LICENSE": b"Free.", "scan.5x": image}
    shard = write_tar(tmp_path / "t.tar", members)
    survey = survey_shards(str(shard))
    assert kinds(survey.entries) == {
        "unread-format": ["t.tar/IM7", "t.tar/scan.5x"],
        "not-by-name": ["t.tar/IM7.cls", "t.tar/LICENSE"],
    }
    assert len(survey.samples) == 1 and survey.entries.found == len(members)
    left_out: list = []
    assert len(find_images([shard], left_out=left_out)) == 1
    assert [Path(entry.name).name for entry in left_out] == ["IM7", "scan.5x"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.tar", "train"),
        ("Val-000.tar", "val"),
        ("test_00001-of-00008.tar", "test"),
        ("train2017.tar", "train"),
        ("imagenet1k-validation-0001.tar", "val"),
        ("train-part1-0.tar", "train"),
        ("val/000.tar", "val"),
        ("a/testing/b/000.tar", "test"),
        ("test_tube-000.tar", None),
        ("training-grounds-000.tar", None),
        ("val-thorens-000.tar", None),
        ("contest-000.tar", None),
        ("validated-000.tar", None),
        ("tests/000.tar", None),
        ("test_tubes/000.tar", None),
    ],
)
def test_only_a_whole_word_before_the_number_decides_a_split(name, split):
    assert split_of(name) == split


def test_a_word_that_decides_nothing_is_said(tmp_path, make_image, lines):
    image = make_image("x.png").read_bytes()
    shard = write_tar(tmp_path / "test_tube-000.tar", {"ant/1.png": image, "bee/1.png": image})
    assert read_shards(str(shard)).counts().sum().tolist() == [2, 0, 0]
    assert says(lines(), "test_tube-000.tar", "train", "data.split")


def test_links_to_themselves_pipes_and_sockets_are_findings(photos, lines):
    (photos / "ant" / "self.png").symlink_to("self.png")
    (photos / "round").symlink_to("round")
    (photos / "ant" / "broken.png").symlink_to("gone.png")
    os.mkfifo(photos / "ant" / "pipe.png")
    (photos / "ant" / "device.png").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as opened:
        before = Path.cwd()
        os.chdir(photos / "ant")  # a socket's path is short
        opened.bind("socket.png")
        os.chdir(before)
    wanted = {
        "loop": ["ant/self.png", "round"],
        "broken-link": ["ant/broken.png"],
        "special-file": ["ant/device.png", "ant/pipe.png", "ant/socket.png"],
    }
    assert len(read_samples(photos)) == 20
    assert {kind: sorted(names) for kind, names in kinds(survey_images(photos).entries).items()} == wanted
    found = {finding.kind: finding.items for finding in tlkit.data_doctor(photos).findings}
    assert {kind: list(found[kind]) for kind in wanted} == wanted
    assert summarize_data(photos)[0].entries["skipped"] == 6
    assert len(find_images([photos])) == 20
    assert says(lines(), "pipe.png", "3", "devices")


def test_a_folder_that_cannot_be_read_is_found_by_the_doctor_and_refused_by_training(photos, monkeypatch):
    listed = os.scandir

    def scandir(folder):
        if str(folder).endswith("bee/deep"):
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    (photos / "bee" / "deep").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    found = {finding.kind: finding.items for finding in tlkit.data_doctor(photos).findings}
    assert found["cannot-open"] == (saying("bee/deep/", "Permission denied"),)
    with pytest.raises(DataError, match=saying(photos, "bee/deep/", "Permission denied").pattern):
        read_samples(photos)


def test_every_name_of_a_file_is_predicted_and_a_repeated_name_once(photos, lines):
    folder = photos / "links"
    folder.mkdir()
    for name in ("one.png", "two.png"):
        (folder / name).symlink_to(photos / "ant" / "0.png")
    (folder / "below").symlink_to(photos / "bee")
    assert [file.name for file in find_images([folder])] == [*(f"{n}.png" for n in range(10)), "one.png", "two.png"]
    assert lines() == []
    assert find_images([folder / "one.png", folder / ".." / "links" / "one.png"]) == [folder / "one.png"]
    assert says(lines(), "one.png", "1", "repeat")


def test_every_name_of_an_image_that_cannot_be_read_is_left_out_by_name_in_files_and_streams(photos):
    folder = photos / "links"
    folder.mkdir()
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "self.JPG").symlink_to("self.JPG")
    (folder / "notes.txt").symlink_to("nowhere.txt")
    (folder / "empty").symlink_to("nowhere")
    (folder / "again").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    with tarfile.open(photos / "t.tar", "w") as tar:
        tar.add(photos / "ant" / "0.png", "0.png")
        for name in ("link.png", "link.txt"):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "0.png"
            tar.addfile(info)
    (folder / "1.png").write_bytes((photos / "ant" / "0.png").read_bytes())
    sources, left_out = [folder, photos / "t.tar"], []
    assert len(find_images(sources, left_out=left_out)) == 2
    named = {Path(entry.name).name: entry.reason for entry in left_out}
    assert set(named) == {"gone.png", "self.JPG", "pipe.png", "link.png"}
    assert named["gone.png"] == saying("link", "nowhere") and named["link.png"] == saying("link")
    streamed = {Path(image.path).name: image.error for image in stream_images(sources) if image.error}
    assert streamed == named
    (folder / "1.png").unlink()
    with pytest.raises(DataError, match=saying("gone.png", "no image").pattern):
        find_images([folder])


def test_the_doctor_and_the_summary_survive_lists_that_training_refuses(photos):
    rows = ["ant/0.png,ant,train", "ant/0.png,bee,train", "bee/0.png,bee,train", "bee/0.png,bee,train"]
    rows += ["gone.png,ant,train", "bee/1.png,bee,nonsense", "ant/1.png,crow,test"]
    file = photos / "list.csv"
    file.write_text("path,label,split\n" + "\n".join(rows) + "\n")
    diagnosis, samples = diagnose(file)
    found = {finding.kind: finding.items for finding in diagnosis.findings}
    assert found["listed-again"] == (saying("ant/0.png", "label 'ant' and 'bee'"),)
    assert found["missing-file"] == ("gone.png",)
    assert found["wrong-row"] == (saying("row 7", "split"),)
    assert found["repeated"] == (saying("row 5", "bee/0.png"),)
    assert says(found["layout"], "ant/0.png", "listed again")
    assert dict(diagnosis.quarantine)["ant/0.png"] == saying("label 'ant' and 'bee'")
    assert diagnosis.entries == {"found": 7, "read": 3, "companions": 0, "excluded": 0, "skipped": 4}
    summary, counted = summarize_data(file)
    assert len(counted) == len(samples) == 3
    assert summary.counts["crow"] == {"train": 0, "val": 0, "test": 1}
    assert says(summary.tables()[0].notes, "4", "skipped", "7") and says(summary.problems, "gone.png")
    with pytest.raises(DataError):
        read_samples(file)


def test_a_test_class_that_train_lacks_is_summarized(photos, make_image):
    for name in ("train/ant/1.png", "train/bee/1.png", "test/ant/1.png", "test/crow/1.png"):
        make_image(f"set/{name}")
    summary, _ = summarize_data(photos / "set")
    assert summary.counts["crow"] == {"train": 0, "val": 0, "test": 1}
    assert says(summary.tables()[0].notes, "crow", "training")


def test_the_doctor_survives_damaged_and_unlabelled_shards(tmp_path, make_image):
    image = make_image("x.png").read_bytes()
    write_tar(tmp_path / "a.tar", {"1.png": image, "1.cls": b"ant", "2.png": image, "3.png": image, "3.jpg": image})
    (tmp_path / "b.tar").write_bytes(b"no tar" * 1000)
    diagnosis, _ = diagnose([tmp_path / "a.tar", tmp_path / "b.tar"])
    found = {finding.kind: finding.items for finding in diagnosis.findings}
    assert found["no-class"] == ("a.tar/2.png",)
    assert found["several-images"] == (saying("a.tar/3.jpg", "3"), saying("a.tar/3.png", "3"))
    assert found["cannot-open"] == (saying("b.tar", "tar file"),)
    assert diagnosis.images == 1
