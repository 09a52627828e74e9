"""Headers of tar files are those that tarfile reads, whichever of them are read without it; damage is no end."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest

from tlkit.data.sources.tar_files import list_members
from tlkit.errors import DataError

NAMES = ["a.png", "cat/b.png", "é/ü.png", "x" * 99, "y" * 100, "z" * 101, "long/" * 60 + "c.png", "dots..png", "-1.png"]
NAMES.insert(2, "d" * 60 + "/" + "e" * 60 + ".png")  # ustar keeps its folder in the prefix


def write(path, *, form):
    with tarfile.open(path, "w", format=form, pax_headers={"comment": "of all"}) as tar:
        for number, name in enumerate(NAMES):
            if form == tarfile.USTAR_FORMAT and number in (6, 7):  # too long for it
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
        for name in ("folder/last.png", "folder/"):  # a folder that states a size has no content
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name == "folder/" else tarfile.REGTYPE
            info.size = 700
            tar.addfile(info, io.BytesIO(bytes(700)) if info.isreg() else None)
        tar.addfile(tarfile.TarInfo("after.png"))
    return path


def members_of_tarfile(path):
    with tarfile.open(path, "r:", errors="surrogateescape") as tar:
        return [(info.name, info.offset_data, info.size) for info in tar if info.isreg()]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_of_tarfile(tmp_path, form):
    path = write(tmp_path / "a.tar", form=form)
    expected = members_of_tarfile(path)
    members, skipped = list_members(path)
    assert [tuple(member) for member in members] == expected and len(expected) >= 7
    assert [entry.name for entry in skipped] == ["link.png"]


@pytest.mark.parametrize("first", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_header_of_another_form_leaves_the_rest_to_tarfile(tmp_path, form, first):
    """The plain ones before it keep their places, and so do those after it."""
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
        for number in range(20):
            info = tarfile.TarInfo(f"{number}.png")
            info.type = first if number % 7 == 3 else tarfile.REGTYPE
            info.size = 300 if info.isreg() else 0
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    assert [tuple(member) for member in list_members(tmp_path / "a.tar")[0]] == members_of_tarfile(tmp_path / "a.tar")


def test_fields_that_nothing_needs_are_not_judged(tmp_path):
    """Tarfile refuses a mode that is no number; the docstring of the reader names those fields."""
    content = bytearray(write(tmp_path / "a.tar", form=tarfile.USTAR_FORMAT).read_bytes())
    expected = members_of_tarfile(tmp_path / "a.tar")
    content[100:108] = b"no mode\0"
    total = sum(content[:148]) + 8 * ord(" ") + sum(content[156:512])
    content[148:156] = b"%06o\0 " % total
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(tarfile.ReadError):
        members_of_tarfile(tmp_path / "a.tar")
    assert [tuple(member) for member in list_members(tmp_path / "a.tar")[0]] == expected


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_damaged_header_between_others_is_not_taken_for_the_end(tmp_path, form):
    path = write(tmp_path / "a.tar", form=form)
    content = path.read_bytes()
    starts = [offset - 512 for _, offset, _ in members_of_tarfile(path)]
    for start in starts:
        changed = bytearray(content)
        changed[start + 5] ^= 1
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"a\.tar"):
            list_members(path)
        path.write_bytes(content[: start + 300])  # cut within the header
        with pytest.raises(DataError, match=r"a\.tar"):
            list_members(path)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_may_end_without_blocks_of_zeros_and_be_followed_by_anything(tmp_path, form):
    path = write(tmp_path / "a.tar", form=form)
    expected = members_of_tarfile(path)
    content = path.read_bytes()
    path.write_bytes(content.rstrip(b"\0") + bytes(-len(content.rstrip(b"\0")) % 512))
    assert [tuple(member) for member in list_members(path)[0]] == expected
    path.write_bytes(content + b"anything" * 100)
    assert [tuple(member) for member in list_members(path)[0]] == expected


def test_a_changed_byte_of_a_header_is_seen_as_tarfile_sees_it(tmp_path):
    content = write(tmp_path / "a.tar", form=tarfile.USTAR_FORMAT).read_bytes()
    path, seen = tmp_path / "b.tar", 0
    for place in np.random.default_rng(0).integers(0, 512, 200).tolist():
        changed = bytearray(content)
        changed[place] ^= 5  # of the first header; its checksum no longer holds
        path.write_bytes(changed)
        try:
            expected = members_of_tarfile(path)
        except tarfile.TarError:
            with pytest.raises(DataError):
                list_members(path)
            seen += 1
        else:
            assert [tuple(member) for member in list_members(path)[0]] == expected
    assert seen > 100
