"""Atomic writing of files, and the location of the cache folder."""

from __future__ import annotations

import errno
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from tlkit.disk import atomic_file, cache_folder, failed_path, write_text


def test_a_failed_write_keeps_the_earlier_file_and_no_other(tmp_path):
    file = tmp_path / "notes.txt"
    write_text(file, "before\n")
    with pytest.raises(OSError, match="disk is full"), atomic_file(file) as partial:
        partial.write_text("half of")
        raise OSError("the disk is full")
    assert file.read_text() == "before\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    file, synced = tmp_path / "notes.txt", []
    sync = os.fsync

    def note(descriptor):
        synced.append((Path(f"/proc/self/fd/{descriptor}").is_dir(), file.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_text(file, "text")
    assert synced == [(False, False), (True, True)]  # the content, then, with its name, the folder


def test_threads_that_write_one_file_do_not_mix_their_content(tmp_path):
    file = tmp_path / "notes.txt"
    texts = [f"{number}" * 10_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_text(file, text), texts * 20))
    assert file.read_text() in texts
    assert list(tmp_path.iterdir()) == [file]


def test_cache_folder_is_from_the_environment_or_the_users_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TLKIT_CACHE", "~/here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("TLKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / "caches" / "tlkit"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "tlkit"


def test_every_file_has_the_permissions_of_the_umask(tmp_path):
    def by_safetensors(path):
        with atomic_file(path) as partial:
            save_file({"a": torch.zeros(1)}, partial)

    for umask, mode in ((0o022, 0o644), (0o027, 0o640), (0o002, 0o664)):
        before = os.umask(umask)
        try:
            by_safetensors(tmp_path / f"{umask}.safetensors")
            write_text(tmp_path / f"{umask}.txt", "text")
        finally:
            os.umask(before)
        assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob(f"{umask}.*")} == {mode}


def test_an_error_without_a_path_names_the_file_that_is_written(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left") as caught, atomic_file(tmp_path / "a.txt"):
        raise full
    assert failed_path(caught.value) == str(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError) as caught, atomic_file(tmp_path / "a.txt"):
        (tmp_path / "other").read_text()
    assert failed_path(caught.value) == str(tmp_path / "other")
    copy = OSError(errno.ENOSPC, "No space left on device", "from", None, "to")
    assert failed_path(copy) == "to"


def test_errors_name_the_final_path(tmp_path):
    path = tmp_path / "nowhere" / "notes.txt"
    with pytest.raises(FileNotFoundError) as caught:
        write_text(path, "words")
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="No such file") as caught, atomic_file(path) as partial:
        pq.write_table(pa.table({"a": [1]}), partial)
    assert (caught.value.filename, caught.value.errno) == (str(path), errno.ENOENT)


def test_a_pipe_or_a_device_is_written_to_and_not_replaced(tmp_path):
    pipe, link = tmp_path / "pipe.csv", tmp_path / "link.csv"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for place in (pipe, link):
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit(pipe.read_text)
            write_text(place, "a,b\n")
            assert read.result(timeout=20) == "a,b\n"
        assert pipe.is_fifo() and link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "pipe.csv"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no full device")
def test_a_full_device_behind_a_link_stays_a_device(tmp_path):
    link = tmp_path / "full.csv"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_text(link, "a" * 100_000)
    assert link.is_symlink() and Path("/dev/full").is_char_device()
