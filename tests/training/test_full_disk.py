"""A full disk: the message names the path that could not be written."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from messages import saying
from run_fixtures import write_recipe

from tlkit.disk import cache_folder
from tlkit.errors import RunError
from tlkit.models.model_files import ModelFacts, save_artifact
from tlkit.models.weights.weight_files import WeightsFacts
from tlkit.preprocess import Preprocess
from tlkit.training.checkpoint_files import DurableCheckpointIO, FrozenWeights
from tlkit.training.fit import fit
from tlkit.training.hashed_file import HashedFile


@pytest.fixture
def small_files():
    """Limit the size of a file to 100 kB; the kernel enforces it as it does a full disk."""
    import resource
    import signal

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_of_the_cache_is_not_blamed_on_the_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    recipe = write_recipe(tmp_path)
    original = Path.write_bytes

    def write_bytes(self, data):
        if cache_folder() in self.parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, data)

    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "small-disk"))
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    said = saying(str(tmp_path / "small-disk"), "No space left on device", "TLKIT_CACHE", "--resume")
    with pytest.raises(RunError, match=said.pattern) as caught:
        fit(recipe, {"strategy": {"kind": "frozen"}, "augment.preset": "none"})
    assert "runs/tiny" not in str(caught.value)


def test_a_model_that_a_full_disk_refuses_is_an_error_of_the_disk(tmp_path, small_files):
    card = ModelFacts("test_resnet", ("a", "b"), Preprocess(), drop_rate=0.0, weights=WeightsFacts("none", "", "", ""))
    with pytest.raises(OSError, match="File too large") as caught:
        save_artifact(tmp_path, {"head.weight": torch.zeros(1_000_000)}, card)
    assert caught.value.filename == str(tmp_path / "model.safetensors")


def test_a_disk_that_fills_within_a_write_is_named(tmp_path, small_files):
    with pytest.raises(RunError, match=saying("epoch-0001.ckpt", "File too large").pattern):
        files = DurableCheckpointIO(FrozenWeights())
        files.save_checkpoint({"weights": torch.zeros(1_000_000)}, tmp_path / "epoch-0001.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_cuts_a_checkpoint_short_ends_the_process_with_that_error(tmp_path):
    """torch's archive writer ends its archive when it is freed, after the file is closed; it must not abort."""
    code = textwrap.dedent(
        """
        import sys
        import torch
        from tlkit.training.hashed_file import HashedFile

        def dies(*_):
            raise RuntimeError("DataLoader worker is killed")

        torch.serialization._open_zipfile_writer_buffer.__exit__ = dies  # where a handler of SIGCHLD may raise
        with open(sys.argv[1], "wb") as file:
            torch.save({"weights": torch.zeros(1000)}, HashedFile(file))
        """
    )
    file = tmp_path / "epoch-0001.ckpt"
    ended = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.rstrip().endswith("RuntimeError: DataLoader worker is killed")


def test_an_error_within_a_write_keeps_its_own_words():
    class Interrupted(io.BytesIO):
        def write(self, data):
            if self.tell() > 1000:
                raise RuntimeError("DataLoader worker is killed")
            return super().write(data)

    hashed = HashedFile(Interrupted())
    torch.save({"weights": torch.zeros(1000)}, hashed)
    with pytest.raises(RuntimeError, match="DataLoader worker is killed"):
        hashed.finish()
