"""Class folders of several labels: a file that lies in several folders is one image with all their names."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
from command import invoke
from messages import saying
from PIL import Image

from tlkit.data.checks.doctor import diagnose
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import read_judged, read_samples, survey_images
from tlkit.errors import DataError

SEVERAL = ListOptions(task="multilabel")


def put(root, *paths, seed):
    """Write one picture to several places."""
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / path)


@pytest.fixture
def folders(tmp_path):
    root = tmp_path / "photos"
    put(root, "cat/a.png", "dog/a.png", "dog/more/a.png", seed=0)
    put(root, "cat/b.png", seed=1)
    put(root, "dog/b.png", seed=2)  # another picture of the same name
    put(root, "dog/c.png", "ox/c.png", seed=3)
    put(root, "ox/d.png", seed=4)
    return root


def labels_of(samples):
    return dict(zip(samples.table["path"], samples.table["label"], strict=True))


EXPECTED = {"cat/a.png": "cat;dog", "cat/b.png": "cat", "dog/b.png": "dog", "dog/c.png": "dog;ox", "ox/d.png": "ox"}


def test_a_file_in_several_folders_is_one_image_with_their_names(folders):
    samples = read_samples(folders, options=SEVERAL)
    assert (samples.task, samples.classes) == ("multilabel", ("cat", "dog", "ox"))
    assert labels_of(samples) == EXPECTED
    assert samples.label_matrix.sum(axis=0).tolist() == [2, 3, 2]


def test_links_are_files_of_their_folders(folders):
    for name in ("dog/a.png", "ox/c.png"):
        (folders / name).unlink()
    os.link(folders / "cat/a.png", folders / "dog/a.png")
    (folders / "ox/c.png").symlink_to(folders / "dog/c.png")
    assert labels_of(read_samples(folders, options=SEVERAL)) == EXPECTED


def test_splits_and_several_roots_keep_their_images(tmp_path):
    for seed, split in enumerate(("train", "test")):
        put(tmp_path / "one", f"{split}/cat/a.png", f"{split}/dog/a.png", seed=seed)
        put(tmp_path / "one", f"{split}/cat/b.png", seed=5 + seed)
    put(tmp_path / "two", "dog/b.png", "ox/z.png", seed=5)
    samples = read_samples(tmp_path / "one", options=SEVERAL)
    assert samples.split_sizes() == {"train": 2, "val": 0, "test": 2}
    assert labels_of(read_judged(tmp_path / "one", split="test", options=SEVERAL)) == {
        "test/cat/a.png": "cat;dog",
        "test/cat/b.png": "cat",
    }
    merged = labels_of(read_samples([tmp_path / "one", tmp_path / "two"], options=SEVERAL))
    assert merged["one/train/cat/b.png"] == "cat;dog"
    assert merged["two/ox/z.png"] == "ox"


def test_every_file_is_accounted_for(folders):
    put(folders, "loose.png", seed=9)
    survey = survey_images(folders, options=SEVERAL)
    assert survey.problems == ()
    assert (survey.entries.read, survey.entries.companions, len(survey.entries.skipped)) == (5, 3, 1)
    diagnosis, _ = diagnose(folders, options=SEVERAL)
    assert "across-labels" not in {finding.kind for finding in diagnosis.findings}


def test_folders_that_share_no_file_are_warned_of(tmp_path, caplog):
    put(tmp_path, "cat/x.png", seed=0)
    put(tmp_path, "dog/y.png", seed=1)
    assert labels_of(read_samples(tmp_path, options=SEVERAL)) == {"cat/x.png": "cat", "dog/y.png": "dog"}
    assert [saying("several class folders", "2", "multilabel")] == [
        one.getMessage() for one in caplog.records if one.levelname == "WARNING"
    ]


def test_names_with_the_separator_are_refused(tmp_path):
    put(tmp_path, "a;b/x.png", "c/y.png", seed=0)
    with pytest.raises(DataError) as error:
        read_samples(tmp_path, options=SEVERAL)
    assert str(error.value) == saying("a;b", "Rename")


def test_the_commands_of_data_take_folders(folders, tmp_path):
    done = invoke(["data", "summary", str(folders), "--task", "multilabel", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["counts"]["dog"]["train"]) == (0, 3), done.output
    for option in (("--separator", "|"), ("--label-column", "cat"), ("--root", str(tmp_path))):
        done = invoke(["data", "summary", str(folders), "--task", "multilabel", *option])
        assert (done.exit_code != 0, saying(option[0], "list of images")) == (True, str(done.exception))
    out = tmp_path / "split.csv"
    for seed in range(20, 60):
        put(folders, f"cat/{seed}.png", *[f"dog/{seed}.png"] * (seed % 2), f"ox/{seed}.png", seed=seed)
    words = ["data", "split", str(folders), "--task", "multilabel", "--out", str(out), "--val", "0.25", "--test", "0"]
    done = invoke(words)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out, keep_default_na=False)
    assert len(table) == 45
    held = table[table["split"] == "val"]
    assert held["label"].str.contains("dog").mean() == pytest.approx(
        table["label"].str.contains("dog").mean(), abs=2 / len(held)
    )
