"""Ray Data as the engine: the rows of `--shard`, on a local cluster of two workers."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from tlkit.errors import MissingExtraError
from tlkit.inference.batch.predict_shard import batch_settings, model_files_digest, predict_shard
from tlkit.inference.batch.ray_engine import predict_on_ray
from tlkit.inference.predictor import load_predictor

CLASSES = ("blue", "red")


@pytest.mark.series
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_two_workers_of_ray_write_the_parts_of_a_shard(stored_model, image_folder, tmp_path):
    model, folder = stored_model(), image_folder("photos", **{"": 40})
    settings = batch_settings(model_files_digest(model), CLASSES, part_images=32)
    load = partial(load_predictor, model, device="cpu")
    (folder / "red" / "004.png").write_bytes(b"")
    predict_shard(load, [folder], tmp_path / "plain", settings=settings, classes=CLASSES)
    command = [sys.executable, "-m", "tlkit", "predict", "model", str(folder), "--part-size", "32", "--out", "parts"]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    for _ in range(2):  # the second time all is done
        done = subprocess.run(
            [*command, "--ray", "local"], check=False, cwd=tmp_path, env=here, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    for part in range(3):
        name = f"part-{part:06d}.parquet"
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "parts" / name), pd.read_parquet(tmp_path / "plain" / name)
        )


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_extra_is_named(tmp_path):
    settings = batch_settings("0", CLASSES)
    with pytest.raises(MissingExtraError, match=r"tlkit\[ray\]"):
        predict_on_ray(lambda: None, [tmp_path], tmp_path / "out", address="local", settings=settings, classes=CLASSES)
