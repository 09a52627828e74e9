"""Tar shards are read like folders; hostile members are skipped."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_modules import data_module
from decoded import decode_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import saying, says
from tars import write_tar

from tlkit.data.sources import tar_files
from tlkit.data.sources.read_bytes import file_exists, read_bytes
from tlkit.data.sources.read_samples import read_samples
from tlkit.data.sources.tar_files import list_members
from tlkit.data.sources.tar_shards import expand_shards, read_shards
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.data.splits.split_file import make_split
from tlkit.errors import DataError, TlkitError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def shards(photos, tmp_path):
    """The photos in three shards, labelled in three ways, and the folder they came from."""
    files = sorted(photos.rglob("*.png"))
    ways = {
        "train-000": lambda label: {"cls": label.encode()},
        "train-001": lambda label: {"json": json.dumps({"label": label, "age": 7}).encode()},
        "val-000": lambda label: {"txt": f"{label}\n".encode()},
    }
    for number, (name, way) in enumerate(ways.items()):
        members = {}
        for file in files[number::3]:
            key = f"{file.parent.name}_{file.stem}"
            members[f"{key}.png"] = file.read_bytes()
            members |= {f"{key}.{extension}": content for extension, content in way(file.parent.name).items()}
        write_tar(tmp_path / "shards" / f"{name}.tar", members)
    return str(tmp_path / "shards" / "{train-000,train-001,val-000}.tar")


def test_a_shard_is_read_like_a_folder(shards, photos):
    samples = read_shards(shards, columns=["age"])
    assert samples.classes == ("ant", "bee")
    assert samples.counts().sum().tolist() == [14, 6, 0]
    assert samples.groups["age"].dropna().unique().tolist() == ["7"]
    assert samples.table["path"].iloc[0] == "train-000.tar/ant_0.png"
    for path, label in zip(samples.table["path"], samples.table["label"], strict=True):
        original = photos / label / f"{Path(path).stem.split('_')[1]}.png"
        assert read_bytes(samples.root / path) == original.read_bytes()
        assert np.array_equal(decode_image(samples.root / path), decode_image(original))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_shards_do_not_depend_on_workers(shards, workers):
    data = data_module(shards=shards, batch_size=4, num_workers=workers, seed=3)
    order = [batch.index.tolist() for batch in data.train_dataloader()]
    again = data_module(shards=shards, batch_size=4, num_workers=0, seed=3)
    assert order == [batch.index.tolist() for batch in again.train_dataloader()]
    assert sorted(index for batch in order for index in batch) == list(range(14))
    assert data.dataset.excluded == ()


def test_images_are_held_out_of_shards_by_rank_like_files(shards):
    only = shards.replace(",val-000", "")
    samples = data_module(shards=only, val=0.3, num_workers=0).samples
    assert samples.counts()["val"].tolist() == [2, 2]


def test_the_folder_is_the_class_in_shards_without_labels(tmp_path, make_image, lines):
    image = make_image("x.png").read_bytes()
    write_tar(tmp_path / "all.tar", {f"./data/{label}/{k}.png": image for label in ("ant", "bee") for k in range(3)})
    samples = read_shards(str(tmp_path / "all.tar"))
    assert samples.classes == ("ant", "bee")
    assert samples.table["path"].iloc[0] == "all.tar/data/ant/0.png"
    assert says(lines(), "sample", "shards", "states")


def test_class_numbers_are_names_and_keys_end_at_the_first_dot(tmp_path, make_image):
    image = make_image("x.png").read_bytes()
    members = {"a/b.c/1.PNG": image, "a/b.c/1.cls": b"10", "2.png": image, "2.json": b'{"cls": 2}', "README": b"hello"}
    samples = read_shards(str(write_tar(tmp_path / "t.tar", members)))
    assert samples.table[["path", "label"]].to_numpy().tolist() == [["t.tar/2.png", "2"], ["t.tar/a/b.c/1.PNG", "10"]]


def test_all_problems_of_shards_are_reported_at_once(tmp_path, make_image):
    image = make_image("x.png").read_bytes()
    members = dict.fromkeys(["1.png", "1.jpg", "2.png", "3.png", "4.png", "5.png"], image)
    members |= {"1.cls": b"a", "2.json": b"[1]", "3.json": b'{"label": null}', "4.cls": b"a"}
    write_tar(tmp_path / "a.tar", members)
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(DataError) as caught:
        read_shards([str(tmp_path / name) for name in ("a.tar", "b.tar")])
    assert list(caught.value.problems) == [
        saying(f"{tmp_path}/a.tar", "1", "1.png"),
        saying(f"{tmp_path}/a.tar", "1", "2.png"),
        saying(f"{tmp_path}/b.tar", "invalid", "header"),
        saying("2", "3", "a.tar/3.png", "a.tar/5.png", "'label'"),
    ]


def test_compressed_and_truncated_tars_are_refused(tmp_path, make_image):
    image = make_image("x.png").read_bytes()
    with tarfile.open(tmp_path / "z.tar", "w:gz") as tar:
        tar.add(tmp_path / "x.png")
    with pytest.raises(DataError, match=saying("z.tar", "gzip", "Decompress").pattern):
        list_members(tmp_path / "z.tar")
    whole = write_tar(tmp_path / "w.tar", {"1.png": image}).read_bytes()
    (tmp_path / "w.tar").write_bytes(whole[: 512 + len(image) // 2])
    with pytest.raises(DataError, match=r"w\.tar .*(truncated|no valid tar)"):
        list_members(tmp_path / "w.tar")


def test_hostile_members_of_a_tar_are_skipped(tmp_path, make_image, monkeypatch):
    image = make_image("x.png").read_bytes()
    (tmp_path / "secret.png").write_bytes(image)
    monkeypatch.setattr(tar_files, "MOST_BYTES", 100_000)
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (("link.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE), ("dev.png", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "../secret.png"
            tar.addfile(info)
        for name in ("../out.png", "/etc/abs.png", "a/../../up.png", "big.png", "fine.png"):
            content, info = bytes(200_000) if name == "big.png" else image, tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    members, passed = list_members(path)
    assert [member.name for member in members] == ["fine.png"]
    assert [str(entry) for entry in passed] == [
        saying("link.png", "device", "file"),
        saying("hard.png", "link", "device"),
        saying("dev.png", "link", "device"),
        saying("../out.png", "leads", "folder"),
        saying("/etc/abs.png", "leads", "folder"),
        saying("a/../../up.png", "leads", "folder"),
        "big.png (200,000 bytes)",
    ]
    for name in ("link.png", "../secret.png", "../out.png", "big.png"):
        assert not file_exists(f"{path}/{name}")
        with pytest.raises(FileNotFoundError):
            read_bytes(f"{path}/{name}")


def test_a_header_that_claims_gigabytes_is_refused(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "t.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(DataError, match=saying("t.tar", "8,589,934,592").pattern):
        list_members(tmp_path / "t.tar")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12), cut=st.integers(0, 6000))
def test_a_damaged_tar_gives_members_or_a_tlkit_error(tmp_path, damage, cut):
    path = write_tar(tmp_path / "t.tar", {f"{'long' * 40}/{k}.png": bytes([k]) * 300 for k in range(4)})
    content = bytearray(path.read_bytes())
    for at, value in damage:
        content[at] = value
    path.write_bytes(content[: len(content) - cut])
    try:
        members, _ = list_members(path)
    except TlkitError:
        return
    size = path.stat().st_size
    assert all(0 <= member.offset <= member.offset + member.size <= size for member in members)


def test_names_long_or_of_any_format_are_found(tmp_path):
    names = ["é/" + "x" * 150 + ".jpg", "a.b/c.jpg", " spaces in it.jpg"]
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = write_tar(tmp_path / f"{format}.tar", {name: name.encode() for name in names}, format=format)
        assert [read_bytes(path / name).decode() for name in names] == names
        with pytest.raises(FileNotFoundError):
            read_bytes(path / "nothing.jpg")


def test_the_index_is_cached_and_rebuilt_when_the_shard_changes(tmp_path):
    path = write_tar(tmp_path / "t.tar", {"1.jpg": b"one"})
    assert read_bytes(path / "1.jpg") == b"one"
    (index,) = (tmp_path / "cache" / "tars").glob("*.npy")
    tar_files._index.cache_clear()
    index.write_bytes(b"junk")
    assert read_bytes(path / "1.jpg") == b"one"
    tar_files._index.cache_clear()
    write_tar(path, {"0.jpg": b"other", "1.jpg": b"another"})
    os.utime(path, ns=(1, 1))
    assert read_bytes(path / "1.jpg") == b"another"


def test_patterns_expand_in_order_and_errors_are_named(tmp_path):
    assert expand_shards("a-{8..10}.tar") == ["a-8.tar", "a-9.tar", "a-10.tar"]
    for name in ("b.tar", "a.tar"):
        write_tar(tmp_path / name, {})
    assert expand_shards(f"{tmp_path}/*.tar") == [f"{tmp_path}/a.tar", f"{tmp_path}/b.tar"]
    with pytest.raises(DataError) as caught:
        expand_shards(["x{0..1}.tar", "x0.tar", "gone/*.tar"])
    assert list(caught.value.problems) == [saying("file", "matches", "gone"), saying("x0.tar", "Shards", "named")]
    for wrong in ("x{3..1}.tar", "x{}.tar", "x{a}.tar"):
        with pytest.raises(DataError):
            expand_shards(wrong)


def test_metadata_joins_by_the_path_in_the_shard(shards, tmp_path):
    paths = read_samples(shards=shards).table["path"]
    pd.DataFrame({"path": paths, "site": "north"}).to_csv(tmp_path / "shards" / "m.csv", index=False)
    data = data_module(shards=shards, metadata="m.csv", groups=["site"], num_workers=0)
    assert (data.samples.groups["site"] == "north").all()


def test_shards_can_be_split(shards, tmp_path):
    made = make_split(shards.replace(",val-000", ""), tmp_path / "s.csv", plan=SplitPlan(val=0.3, group_by="age"))
    assert (made.table["digest"].str.len() == 64).all()
    data = data_module(shards.replace(",val-000", ""), split=tmp_path / "s.csv", num_workers=0)
    pd.testing.assert_frame_equal(data.samples.table, made.table.drop(columns="age"))


def test_missing_shards_are_counted_and_named_before_any_is_read(shards, tmp_path):
    folder = tmp_path / "shards"
    with pytest.raises(DataError) as caught:
        read_samples(shards=f"{folder}/train-{{000..007}}.tar")
    gone = ", ".join(f"{folder}/train-00{number}.tar" for number in range(2, 7))
    assert str(caught.value) == saying("6", "8", gone, "1")
    with pytest.raises(DataError, match=saying("1 of 1", "train-02.tar", "'train-000.tar'").pattern):
        read_samples(folder / "train-02.tar")
    with pytest.raises(DataError, match=saying("1", f"{tmp_path}/disk/a.tar", f"{tmp_path}/disk").pattern):
        read_samples(tmp_path / "disk" / "a.tar")


@pytest.mark.parametrize("remote", ["s3://bucket/train-{0..1}.tar", "https://host/a.tar", "pipe:cat a.tar"])
def test_a_url_is_refused_with_a_remedy(remote):
    with pytest.raises(DataError, match=saying("paths", "mount").pattern):
        read_samples(shards=remote)


def test_shards_of_several_disks_are_one_dataset(shards, tmp_path):
    """The same name on two disks stays two shards, and paths lead to both."""
    other = tmp_path / "second" / "disk"
    shutil.copytree(tmp_path / "shards", other)
    samples = read_samples(shards=[f"{tmp_path}/shards/train-{{000..001}}.tar", f"{other}/train-{{000..001}}.tar"])
    assert len(samples) == 28
    assert samples.root == tmp_path
    assert {path.rsplit("/", 2)[0] for path in samples.table["path"]} == {"shards", "second/disk"}
    assert all(file_exists(f"{samples.root}/{path}") for path in samples.table["path"])
    assert data_module(samples, num_workers=0).dataset.excluded == ()


def test_lists_in_json_members_are_several_values_and_equal_numbers_one(photos, tmp_path):
    image = (photos / "ant" / "0.png").read_bytes()
    facts = [{"label": "a", "tags": ["x", "y"], "age": 7}, {"label": "b ", "tags": [], "age": "7.0"}]
    members = {}
    for number, fact in enumerate(facts):
        members |= {f"{number}.png": image, f"{number}.json": json.dumps(fact).encode()}
    write_tar(tmp_path / "train.tar", members)
    samples = read_samples(tmp_path / "train.tar", columns=["tags", "age"])
    assert samples.classes == ("a", "b")
    assert samples.table["tags"].fillna("missing").tolist() == ["x;y", "missing"]
    assert samples.table["age"].tolist() == ["7", "7"]


def test_a_column_that_no_sample_has_is_refused(photos, tmp_path):
    image = (photos / "ant" / "0.png").read_bytes()
    members = {}
    for k in range(4):
        values = {"label": "ab"[k % 2], **({"patient": "p1"} if k == 0 else {"patient": float("nan")})}
        members |= {f"{k}.png": image, f"{k}.json": json.dumps(values).encode()}
    shard = write_tar(tmp_path / "train.tar", members)
    assert read_shards([str(shard)], columns=["patient"]).table["patient"].isna().tolist() == [False, True, True, True]
    with pytest.raises(DataError) as error:
        read_shards([str(shard)], columns=["patiant"])
    assert says(str(error.value), "'patiant'", "Did you mean 'patient'")


def test_samples_that_state_two_classes_are_named(photos, tmp_path, lines):
    image = (photos / "ant" / "0.png").read_bytes()
    members = {}
    for k, stated in enumerate(["a", "b", "a ", "a"]):
        members |= {f"{k}.png": image, f"{k}.cls": b"ab"[k % 2 : k % 2 + 1]}
        members[f"{k}.json"] = json.dumps({"label": stated}).encode()
    assert read_shards([str(write_tar(tmp_path / "train.tar", members))]).table["label"].tolist() == ["a", "b"] * 2
    assert says(lines(), "different classes (1)", "train.tar/3.png", ".cls is taken")
