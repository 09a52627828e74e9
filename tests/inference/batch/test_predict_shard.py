"""Prediction in parts: the rows of one plain prediction, whatever is shared, killed or damaged."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from tlkit.errors import DataError
from tlkit.inference.batch.batch_manifest import MANIFEST, read_batch_manifest
from tlkit.inference.batch.batch_result import BatchResult
from tlkit.inference.batch.predict_shard import batch_settings, model_files_digest, parse_shard, predict_shard
from tlkit.inference.predictor import load_predictor
from tlkit.predictions import Unreadable, read_predictions

CLASSES = ("blue", "red")


@pytest.fixture
def shard(stored_model, tmp_path, monkeypatch):
    """Return a function that predicts a shard with a tiny model, in parts of five images."""
    monkeypatch.chdir(tmp_path)
    model = stored_model()

    def predict(*sources, out="parts", place=(0, 1), size=5, tta="none", model=model, load=None) -> BatchResult:
        settings = batch_settings(model_files_digest(model), CLASSES, tta=tta, part_images=size)
        load = load or partial(load_predictor, model, device="cpu")
        return predict_shard(load, sources, Path(out), settings=settings, classes=CLASSES, shard=place)

    return predict


def plain(*sources) -> pd.DataFrame:
    """Return the table of one plain prediction."""
    unreadable: list[Unreadable] = []
    predictions = load_predictor("model", device="cpu").predict(list(sources), on_unreadable=unreadable.append)
    return predictions.table(unreadable=unreadable)


def rows_of(folder="parts") -> pd.DataFrame:
    """Return the rows of all parts, in order of the parts."""
    return pd.concat([pd.read_parquet(file) for file in sorted(Path(folder).glob("part-*.parquet"))], ignore_index=True)


def assert_equal_rows(left: pd.DataFrame, right: pd.DataFrame, *, atol: float = 1e-6) -> None:
    """Compare rows; the last bits of a probability depend on how many images are in its batch."""
    pd.testing.assert_frame_equal(left, right, check_dtype=False, rtol=0, atol=atol)


def test_shards_together_hold_the_rows_of_one_plain_prediction(shard, image_folder):
    folder = image_folder("photos", **{"": 9})
    (folder / "red" / "004.png").write_bytes(b"<html>gone</html>")
    results = [shard("photos", place=(place, 3)) for place in range(3)]
    assert [result.parts for result in results] == [2, 1, 1] and results[-1].all_done == 4
    assert sum(result.images for result in results) == 18 and sum(result.unreadable for result in results) == 1
    assert_equal_rows(rows_of(), plain("photos"))
    assert len(read_predictions("parts")) == 17  # the folder is one table of predictions
    assert BatchResult.from_dict(results[0].to_dict()) == results[0]


def test_parts_of_whole_batches_are_equal_to_a_plain_prediction_to_the_last_bit(shard, image_folder):
    image_folder("photos", **{"": 35})
    shard("photos", size=32)
    assert_equal_rows(rows_of(), plain("photos"), atol=0)


def test_parts_that_are_done_are_verified_and_not_predicted_again(shard, image_folder):
    image_folder("photos", **{"": 9})
    assert shard("photos").written == 4
    before = {file: file.stat().st_mtime_ns for file in Path("parts").iterdir()}

    def never() -> None:
        raise AssertionError("the model is not needed")

    again = shard("photos", load=never)
    assert (again.written, again.parts, again.images) == (0, 4, 18)
    assert {file: file.stat().st_mtime_ns for file in Path("parts").iterdir()} == before


@pytest.mark.parametrize("damage", ["cut", "emptied", "other part", "edited", "removed"])
def test_a_part_that_is_damaged_is_predicted_again(shard, image_folder, damage):
    image_folder("photos", **{"": 9})
    shard("photos")
    whole = rows_of()
    file = Path("parts/part-000001.parquet")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif damage == "emptied":
        file.write_bytes(b"")
    elif damage == "other part":
        file.write_bytes(Path("parts/part-000002.parquet").read_bytes())
    elif damage == "edited":
        pd.read_parquet(file).head(4).to_parquet(file)
    else:
        file.unlink()
    assert shard("photos").written == 1
    assert_equal_rows(rows_of(), whole)


@pytest.mark.parametrize("change", ["another image", "one image fewer", "another model", "other views", "another size"])
def test_a_folder_of_other_images_or_another_model_is_refused(shard, stored_model, image_folder, change):
    folder = image_folder("photos", **{"": 9})
    shard("photos")
    before = rows_of()
    more = {}
    if change == "another image":
        (folder / "red" / "000b.png").write_bytes((folder / "red" / "000.png").read_bytes())
    elif change == "one image fewer":
        (folder / "red" / "008.png").unlink()
    elif change == "another model":
        more = {"model": stored_model("other", seed=1)}
    elif change == "other views":
        more = {"tta": "flip"}
    else:
        more = {"size": 6}
    with pytest.raises(DataError, match="parts was begun with"):
        shard("photos", **more)
    assert_equal_rows(rows_of(), before)


def test_folders_lists_and_tar_shards_are_one_stream(shard, image_folder):
    folder = image_folder("photos", **{"": 3})
    files = sorted(folder.rglob("*.png"))
    with tarfile.open("shard-000.tar", "w") as tar:
        for file in files:
            tar.add(file, f"a/{file.parent.name}-{file.name}")
    with Path("list.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "camera"), *((f"photos/{f.parent.name}/{f.name}", 1) for f in files)])
    pd.DataFrame({"path": ["other/x.png", "photos/../photos/red/000.png"]}).to_parquet("list.parquet")
    Path("list.txt").write_text("photos/blue/../blue/001.png\n")
    result = shard("shard-000.tar", "list.csv", "list.parquet", "list.txt")
    rows = rows_of()
    assert result.images == len(rows) == 15 and rows["path"].is_unique
    assert rows.loc[rows["error"].notna(), "path"].tolist() == ["other/x.png"]
    tarred, listed = rows["proba_red"].to_numpy()[:6], rows["proba_red"].to_numpy()[6:12]
    assert (tarred == listed).all()


def test_a_part_without_a_readable_image_is_a_part(shard, tmp_path):
    Path("list.txt").write_text("".join(f"gone/{number}.png\n" for number in range(7)))
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "3.png").write_bytes(b"")
    result = shard("list.txt")
    assert (result.images, result.unreadable, shard("list.txt").written) == (7, 7, 0)
    assert rows_of()["error"].notna().all()


def test_a_name_that_comes_twice_is_refused(shard, image_folder):
    image_folder("photos", **{"": 3})
    with pytest.raises(DataError, match="6 images are named twice"):
        shard("photos", "photos")
    assert not (Path("parts") / MANIFEST).exists()


def test_a_folder_with_other_files_is_left_alone(shard, image_folder):
    image_folder("photos", **{"": 3})
    Path("parts").mkdir()
    Path("parts/notes.md").write_text("mine")
    with pytest.raises(DataError, match=r"notes\.md"):
        shard("photos")
    assert [file.name for file in Path("parts").iterdir()] == ["notes.md"]


@pytest.mark.parametrize("text", ["3/3", "-1/3", "1", "a/b", "1/0", "", "²/3"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(DataError, match="0/8 to 7/8"):
        parse_shard(text)


@pytest.mark.series
def test_processes_that_are_killed_lose_and_double_no_row(stored_model, image_folder, tmp_path, monkeypatch):
    """Processes are killed at random moments until one ends by itself."""
    stored_model()
    image_folder("photos", **{"": 60})
    rng = random.Random(0)
    command = [sys.executable, "-m", "tlkit", "-q", "predict", "model", "photos", "--out", "parts", "--part-size", "4"]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    kills = 0
    for _ in range(20):
        before = len(list((tmp_path / "parts").glob("part-*")))
        process = subprocess.Popen([*command, "--shard", "0/1"], cwd=tmp_path, env=here, stdout=subprocess.DEVNULL)
        while process.poll() is None and kills < 2:
            if len(list((tmp_path / "parts").glob("part-*"))) >= before + 2:  # it works: kill it in the midst
                time.sleep(rng.random() * 0.05)
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        if process.wait() != -signal.SIGKILL:
            break
    assert process.returncode == 0 and kills >= 1
    monkeypatch.chdir(tmp_path)
    assert len(read_batch_manifest(Path("parts"))) == 30
    assert_equal_rows(rows_of(), plain("photos"))
