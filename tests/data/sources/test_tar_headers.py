"""Headers of tar files are those that tarfile reads, whichever of them are read without it."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest

from tlkit.data.sources.tar_files import list_members
from tlkit.errors import DataError

NAMES = ["a.png", "cat/b.png", "é/ü.png", "x" * 99, "y" * 100, "z" * 101, "long/" * 60 + "c.png", "dots..png", "-1.png"]


def write(path, *, form):
    with tarfile.open(path, "w", format=form) as tar:
        for number, name in enumerate(NAMES):
            if form == tarfile.USTAR_FORMAT and number in (5, 6):  # too long for it
                continue
            info = tarfile.TarInfo(name)
            info.size = number * 517
            tar.addfile(info, io.BytesIO(bytes(info.size)))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "a.png"
        tar.addfile(link)
    return path


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_of_tarfile(tmp_path, form):
    path = write(tmp_path / "a.tar", form=form)
    with tarfile.open(path) as tar:
        expected = [(info.name, info.offset_data, info.size) for info in tar if info.isreg()]
    members, skipped = list_members(path)
    assert [tuple(member) for member in members] == expected and len(expected) >= 7
    assert [entry.name for entry in skipped] == ["link.png"]


def test_a_changed_byte_of_a_header_is_seen_as_tarfile_sees_it(tmp_path):
    content = write(tmp_path / "a.tar", form=tarfile.USTAR_FORMAT).read_bytes()
    path, seen = tmp_path / "b.tar", 0
    for place in np.random.default_rng(0).integers(0, 512, 200).tolist():
        changed = bytearray(content)
        changed[place] ^= 5  # of the first header; its checksum no longer holds
        path.write_bytes(changed)
        try:
            with tarfile.open(path, "r:", errors="surrogateescape") as tar:
                expected = [(info.name, info.offset_data, info.size) for info in tar if info.isreg()]
        except tarfile.TarError:
            with pytest.raises(DataError):
                list_members(path)
            seen += 1
        else:
            assert [tuple(member) for member in list_members(path)[0]] == expected
    assert seen > 100
