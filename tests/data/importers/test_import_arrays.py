"""Parquet of the Hugging Face hub, CIFAR-10 and MNIST in their original files, against torchvision and pyarrow."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
from pathlib import Path
from typing import ClassVar

import tlkit.torchvision_cure  # noqa: F401  before torchvision

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from messages import saying, says
from PIL import Image
from torchvision.datasets import CIFAR10, MNIST

from tlkit.array_pickles import read_arrays
from tlkit.data import import_images
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError
from tlkit.idx_files import read_idx

RNG = np.random.default_rng(0)


def problem(*arguments, **options) -> str:
    with pytest.raises(DataError) as caught:
        import_images(*arguments, **options)
    return str(caught.value)


def encoded(kind: str) -> bytes:
    target = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8)).save(target, format=kind)
    return target.getvalue()


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# ------------------------------------------------------------------------------------------------- Parquet


def hub_table(images, labels, feature, **more) -> pa.Table:
    """Return a table as `datasets` writes it: the features as JSON in the metadata."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, type=kind), "label": pa.array(labels), **more})
    features = {"image": {"_type": "Image"}, "label": feature}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


CLASSES = {"names": ["cat", "dog"], "_type": "ClassLabel"}


def test_images_of_the_hub_keep_their_bytes_names_and_columns(tmp_path):
    kinds = ["JPEG", "PNG", "WEBP", "GIF"] * 3
    images = [{"bytes": encoded(kind), "path": f"{number}.x"} for number, kind in enumerate(kinds)]
    labels = [number % 2 for number in range(12)]
    ages = pa.array([*range(11), None])
    (tmp_path / "data").mkdir()
    for split, part in (("train", slice(0, 8)), ("test", slice(8, 12))):
        table = hub_table(images[part], labels[part], CLASSES, age=ages[part], path=pa.array(["p"] * len(labels[part])))
        pq.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    imported = import_images("parquet", tmp_path / "data", tmp_path / "made")
    assert imported.counts == {"train": 8, "test": 4} and imported.classes == ("cat", "dog") and not imported.skipped
    table = pd.read_csv(imported.manifest, keep_default_na=False, dtype=str)
    for row in table.itertuples():
        number = int(row.source.removesuffix(".x"))
        assert (imported.root / row.path).read_bytes() == images[number]["bytes"]
        assert row.label == CLASSES["names"][labels[number]] and row.age == ("" if number == 11 else str(number))
        assert row.original_path == "p"
        assert Path(row.path).suffix == {"JPEG": ".jpg"}.get(kinds[number], f".{kinds[number].lower()}")
    samples = read_samples(manifest=imported.manifest, columns=("age",))
    assert samples.counts().sum().to_dict() == {"train": 8, "val": 0, "test": 4}


@pytest.mark.parametrize("kind", ["Sequence", "List"])
def test_a_list_of_class_numbers_is_several_labels(tmp_path, kind):
    images = [{"bytes": encoded("PNG"), "path": None} for _ in range(3)]
    table = hub_table(images, [[0, 1], [1], []], {"feature": CLASSES, "_type": kind})
    pq.write_table(table, tmp_path / "a.parquet")
    imported = import_images("parquet", tmp_path / "a.parquet", tmp_path / "made")
    assert pd.read_csv(imported.manifest)["label"].tolist() == ["cat;dog", "dog"]
    assert imported.task == "multilabel" and dict(imported.skipped) == {"a.parquet, row 2": saying("no label")}


def test_rows_without_image_or_label_are_named(tmp_path):
    images = [
        {"bytes": encoded("PNG"), "path": "a"},
        {"bytes": None, "path": "/b.png"},
        None,
        *({"bytes": content, "path": None} for content in (b"text", encoded("PNG"), encoded("PNG"), encoded("PNG"))),
    ]
    pq.write_table(hub_table(images, [0, 0, 0, 0, -1, 2, None], CLASSES), tmp_path / "a.parquet")
    imported = import_images("parquet", tmp_path / "a.parquet", tmp_path / "made")
    assert imported.images == 1
    reasons = [
        saying("elsewhere"),
        saying("no image"),
        saying("no format"),
        saying("no label"),
        saying("no name"),
        saying("no label"),
    ]
    assert dict(imported.skipped) == {f"a.parquet, row {row}": why for row, why in enumerate(reasons, start=1)}


def test_rows_that_are_skipped_of_files_of_one_name_say_which_file(tmp_path):
    images = [{"bytes": encoded("PNG"), "path": None}, None]
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        pq.write_table(hub_table(images, [0, 1], CLASSES), tmp_path / "data" / split / "0000.parquet")
    imported = import_images("parquet", tmp_path / "data", tmp_path / "made")
    assert sorted(name for name, _ in imported.skipped) == ["test/0000.parquet, row 1", "train/0000.parquet, row 1"]


def test_columns_can_be_named_where_the_metadata_say_nothing(tmp_path):
    pictures, words = [encoded("PNG") for _ in range(4)], ["ant", "bee", "ant", "bee"]
    pq.write_table(pa.table({"png": pictures, "kind": words, "other": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    file = tmp_path / "a.parquet"
    assert problem("parquet", file, tmp_path / "made") == saying(file, "label", "kind", "--column label=NAME")
    assert problem("parquet", file, tmp_path / "made", columns={"label": "kinds"}) == saying("'kinds'", "'kind'")
    imported = import_images("parquet", file, tmp_path / "made", columns={"label": "kind"})
    table = pd.read_csv(imported.manifest)
    assert table["label"].tolist() == words and table["other"].tolist() == [1, 2, 3, 4]
    assert [(imported.root / path).read_bytes() for path in table["path"]] == pictures


def test_folders_of_parquet_state_the_split(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        folder = tmp_path / "hub" / "default" / split
        folder.mkdir(parents=True)
        table = hub_table([{"bytes": encoded("PNG"), "path": None}] * count, [0] * (count - 1) + [1], CLASSES)
        pq.write_table(table, folder / "0000.parquet")
    assert import_images("parquet", tmp_path / "hub", tmp_path / "made").counts == {"train": 3, "test": 2}
    files = sorted((tmp_path / "hub").rglob("*.parquet"))
    assert import_images("parquet", files, tmp_path / "other").counts == {"train": 3, "test": 2}


def test_columns_whose_names_collide_lose_nothing(tmp_path):
    images = [{"bytes": encoded("PNG"), "path": None}] * 2
    more = {"path": pa.array(["a", "b"]), "original_path": pa.array(["c", "d"])}
    pq.write_table(hub_table(images, [0, 1], CLASSES, **more), tmp_path / "a.parquet")
    found = pd.read_csv(import_images("parquet", tmp_path / "a.parquet", tmp_path / "made").manifest)
    assert found["original_path"].tolist() == ["c", "d"] and found["original_original_path"].tolist() == ["a", "b"]
    table = hub_table(images, [0, 1], CLASSES, age=pa.array([1, 2]))
    pq.write_table(table.rename_columns(["image", "label", "label"]), tmp_path / "b.parquet")
    assert problem("parquet", tmp_path / "b.parquet", tmp_path / "other") == saying("b.parquet", "'label'", "Rename")


@pytest.mark.parametrize("kind", ["coco", "yolo", "parquet"])
def test_a_pipe_is_refused_before_it_is_opened(tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    assert problem(kind, tmp_path / "pipe", tmp_path / "made") == saying("pipe", "device")


def test_damaged_parquet_is_refused(tmp_path):
    file = tmp_path / "a.parquet"
    file.write_bytes(b"PAR1 nothing PAR1")
    assert problem("parquet", file, tmp_path / "made") == saying(file, "no Parquet file")
    assert problem("parquet", tmp_path / "b.parquet", tmp_path / "made") == saying("b.parquet", "does not exist")
    (tmp_path / "empty").mkdir()
    assert problem("parquet", tmp_path / "empty", tmp_path / "made") == saying("empty", "no Parquet file")
    assert not (tmp_path / "made").exists()


# ------------------------------------------------------------------------------------------------- CIFAR-10

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


class MadeCIFAR10(CIFAR10):
    """Torchvision's reader without the digests of the original files."""

    train_list: ClassVar = [[name, None] for name in BATCHES[:5]]
    test_list: ClassVar = [["test_batch", None]]
    meta: ClassVar = {"filename": "batches.meta", "key": "label_names", "md5": None}


@pytest.fixture
def cifar(tmp_path) -> Path:
    """Write the Python version, 4 images a batch, pickled with text as Python 2's bytes are."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in BATCHES:
        data = RNG.integers(0, 256, (4, 3072), dtype=np.uint8)
        files = [f"{name}_{row}.png".encode() for row in range(4)]
        values = {b"data": data, b"labels": RNG.integers(0, 10, 4).tolist(), b"filenames": files, b"batch_label": b"b"}
        (folder / name).write_bytes(pickle.dumps(values, protocol=2))
    meta = {b"label_names": [name.encode() for name in NAMES], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(
        pickle.dumps({key.decode(): value for key, value in meta.items()}, protocol=2)
    )
    return folder


def test_cifar10_is_what_torchvision_reads(tmp_path, cifar):
    meta = {"label_names": NAMES}
    (cifar / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    for name in BATCHES:  # torchvision reads the keys as text
        values = pickle.loads((cifar / name).read_bytes())
        (cifar / name).write_bytes(pickle.dumps({key.decode(): value for key, value in values.items()}, protocol=2))
    imported = import_images("cifar10", tmp_path, tmp_path / "made")
    assert imported.counts == {"train": 20, "test": 4}
    table = pd.read_csv(imported.manifest)
    for split in ("train", "test"):
        theirs = MadeCIFAR10(tmp_path, train=split == "train")
        some = table[table["split"] == split]
        assert some["label"].tolist() == [theirs.classes[label] for label in theirs.targets]
        np.testing.assert_array_equal([opened(imported.root / path) for path in some["path"]], theirs.data)
    assert table["source"].tolist() == [f"{name}_{row}.png" for name in BATCHES for row in range(4)]


def test_the_binary_version_gives_the_same_images(tmp_path, cifar):
    binary = tmp_path / "bin" / "cifar-10-batches-bin"
    binary.mkdir(parents=True)
    (binary / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    for name in BATCHES:
        values = read_arrays((cifar / name).read_bytes())
        rows = np.concatenate([np.asarray(values[b"labels"], dtype=np.uint8)[:, None], values[b"data"]], axis=1)
        (binary / f"{name}.bin").write_bytes(rows.tobytes())
    one, other = (
        import_images("cifar10", folder, tmp_path / f"made{place}") for place, folder in enumerate((cifar, binary))
    )
    left, right = (pd.read_csv(each.manifest) for each in (one, other))
    assert left[["path", "label", "split"]].equals(right[["path", "label", "split"]])
    for path in left["path"]:
        assert (one.root / path).read_bytes() == (other.root / path).read_bytes()
    (binary / "data_batch_3.bin").write_bytes(b"12")
    assert problem("cifar10", binary, tmp_path / "third") == saying("data_batch_3.bin", "2 bytes", "3,073")


class Harm:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


def test_a_pickle_that_names_code_is_refused_and_not_run(tmp_path, cifar, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value, message in ((Harm(), "pathlib"), ({b"data": 3}, "no data"), ([1], "no dict")):
        (cifar / "data_batch_2").write_bytes(pickle.dumps(value))
        assert problem("cifar10", cifar, tmp_path / "made") == saying("data_batch_2", message)
    (cifar / "data_batch_2").unlink()
    assert problem("cifar10", cifar, tmp_path / "made") == saying("data_batch_2")
    assert not (tmp_path / "harmed").exists() and not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02]r\xff\xff\xff\xff.",  # LONG_BINPUT: the list of places is made twice as long as the place says
        b"(lp4000000000\n.",  # PUT, in the text form
        b"\x80\x02]q\xffr\x00\x00\x00\x10.",
    ],
)
def test_a_pickle_that_states_a_far_place_is_refused_before_it_takes_memory(content):
    with pytest.raises(ValueError, match="place"):
        read_arrays(content)


def test_a_pickle_changes_nothing_of_the_reader():
    """BUILD sets attributes of what is below it: here the default of the function that stands for _codecs.encode."""
    call = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00a\x85R."
    assert read_arrays(call) == b"a"
    name = b"X\x0c\x00\x00\x00__defaults__"
    for state in (b"(N}" + name + b"NstbK\x01.", b"}" + name + b"NsbK\x01."):
        with pytest.raises(ValueError):
            read_arrays(b"\x80\x02c_codecs\nencode\n" + state)
        assert read_arrays(call) == b"a"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol_come_back_and_objects_do_not(protocol):
    arrays = [np.arange(12, dtype=np.uint8).reshape(3, 4), np.arange(6.0).reshape(2, 3, order="F"), np.array([1, 2])]
    for expected, found in zip(arrays, read_arrays(pickle.dumps(arrays, protocol)), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    for wrong in (Harm(), np.array([{"a": 1}], dtype=object), {1, 2}, 1j, np.array(["a"])):
        with pytest.raises(ValueError, match="it "):
            read_arrays(pickle.dumps(wrong, protocol))
    many: list[object] = [0]
    for _ in range(7):
        many = [many] * 1000  # 10^21 numbers, where each reference counts
    assert len(read_arrays(pickle.dumps(many, protocol))) == 1000
    whole = pickle.dumps(arrays, protocol)
    for cut in range(0, len(whole) - 1, 7):
        with pytest.raises(ValueError, match="it "):
            read_arrays(whole[:cut])


# ------------------------------------------------------------------------------------------------- MNIST


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, dtype=">u4").tobytes() + array.tobytes()


@pytest.fixture
def mnist(tmp_path) -> Path:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 12), ("t10k", 5)):
        pixels = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(pixels))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(RNG.integers(0, 10, count, dtype=np.uint8)))
    return folder


@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_is_what_torchvision_reads(tmp_path, mnist, compressed):
    theirs = {split: MNIST(tmp_path, train=split == "train") for split in ("train", "test")}
    if compressed:
        for path in list(mnist.iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    imported = import_images("mnist", mnist, tmp_path / "made")
    assert imported.counts == {"train": 12, "test": 5}
    table = pd.read_csv(imported.manifest)
    for split, dataset in theirs.items():
        some = table[table["split"] == split]
        assert some["label"].tolist() == dataset.targets.tolist()
        np.testing.assert_array_equal([opened(imported.root / path) for path in some["path"]], dataset.data.numpy())


def test_wrong_idx_files_are_refused(tmp_path, mnist):
    file = mnist / "t10k-labels-idx1-ubyte"
    good = file.read_bytes()
    huge = bytes([0, 0, 8, 1, 255, 255, 255, 255])
    cases = [
        (good[:-1], "holds 4"),
        (good + b"x", "more"),
        (b"", "header"),
        (b"\x1f" + good[1:], "header"),
        (good[:2] + b"\x0d" + good[3:], "unsigned bytes"),
        (good[:3] + b"\x03" + good[4:], "3 dimensions"),
        (huge, "at most"),
        (idx(np.zeros(4, dtype=np.uint8)), "5 images"),
    ]
    for content, message in cases:
        file.write_bytes(content)
        assert says(problem("mnist", mnist, tmp_path / "made"), file, message)
    file.unlink()
    assert problem("mnist", mnist, tmp_path / "made") == saying(mnist, "t10k-labels-idx1-ubyte")
    (mnist / f"{file.name}.gz").write_bytes(gzip.compress(good)[:-9])
    assert problem("mnist", mnist, tmp_path / "made") == saying(f"{file.name}.gz", "damaged")
    assert problem("mnist", [mnist, mnist], tmp_path / "made") == saying("mnist", "2")
    assert problem("mnist", mnist, tmp_path / "made.csv") != ""


def test_mnist_without_a_pixel_is_refused(tmp_path, mnist):
    (mnist / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((12, 0, 28), dtype=np.uint8)))
    assert problem("mnist", mnist, tmp_path / "made") == saying("train-images", "no pixel", "(12, 0, 28)")


def test_a_compressed_idx_file_is_read_no_further_than_its_header_states(tmp_path):
    array = np.zeros((1, 2, 2), dtype=np.uint8)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(idx(array) + bytes(10**7)))
    with pytest.raises(DataError, match=saying("bomb.gz", "4 bytes", "more").pattern):
        read_idx(tmp_path / "bomb.gz", dimensions=3)
