"""Folders of masks of any tool, judged on the command line without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from messages import saying

from tlkit.evaluation import evaluate_masks
from tlkit.mask_files import MaskClasses, mask_png
from tlkit.predictions import read_mask_folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where, rng, rows = tmp_path_factory.mktemp("masks"), np.random.default_rng(0), []
    for number in range(40):
        true = rng.integers(0, 2, (10, 12)).astype(np.uint8) * 255
        right = 0.9 if number % 2 else 0.5
        called = np.where(rng.random(true.shape) < right, true, 255 - true)
        for name, mask in (("true", true), ("called", called)):
            (where / name).mkdir(exist_ok=True)
            (where / name / f"{number}.png").write_bytes(mask_png(mask))
        rows.append((f"{number}.jpg", "day" if number % 2 else "night"))
    pd.DataFrame(rows, columns=["path", "light"]).assign(path=lambda t: t["path"].str.replace("jpg", "png")).to_csv(
        where / "groups.csv", index=False
    )
    return where


GIVEN = ("--task", "segmentation", "--classes", "back=0,front=255")


def test_folders_are_evaluated_and_audited(folder, run):
    words = (folder / "called", *GIVEN, "--truth", folder / "true")
    found = read_mask_folders(folder / "called", folder / "true", MaskClasses.of({"back": 0, "front": 255}))
    values = json.loads(run("evaluate", *words, "--json").stdout)
    assert values["task"] == "segmentation"
    assert values["mean_iou"]["value"] == pytest.approx(evaluate_masks(found).mean_iou.value)
    assert saying("mIoU", "pixel accuracy", "front") == run("evaluate", *words, "--details").stdout
    done = run("audit", *words, "--groups", folder / "groups.csv", "--by", "light")
    assert (done.returncode, saying("FAIL", "IoU of front", "night")) == (0, done.stdout)


def test_options_that_do_not_apply_or_are_missing_are_named(folder, run):
    done = run("evaluate", folder / "called", "--task", "segmentation")
    assert (done.returncode, saying("--truth FOLDER --classes NAMES")) == (2, done.stderr)
    words = (folder / "called", *GIVEN, "--truth", folder / "true", "--grades", "a,b", "--val", folder / "true")
    done = run("evaluate", *words)
    assert (done.returncode, saying("--grades", "--val", "does not apply")) == (2, done.stderr)
    done = run(
        "evaluate", folder / "called", "--task", "segmentation", "--truth", folder / "true", "--classes", "a=0,b"
    )
    assert (done.returncode, saying("--classes", "a=0,b")) == (2, done.stderr)
    done = run("evaluate", folder / "called", "--task", "segmentation", "--truth", folder / "true", "--classes", "a,b")
    assert (done.returncode, saying("80 masks", "255", "--void")) == (2, done.stderr)
    done = run("audit", folder / "called", *GIVEN, "--truth", folder / "true", "--by", "light")
    assert (done.returncode, saying("--groups")) == (2, done.stderr)


def test_judging_masks_loads_no_torch():
    code = (
        "import sys; from tlkit.predictions import read_mask_folders; from tlkit.evaluation import evaluate_masks; "
        "from tlkit.audit import audit_masks; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
