"""Random access to the members of tar files: their names, offsets and bytes, without unpacking.

A tar is hostile input. Nothing is extracted. Links, devices, sparse members, names that lead out of the folder, and
headers or members above a size limit are skipped.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from tlkit.data.sources.entries import Entry
from tlkit.disk import atomic_file, cache_folder
from tlkit.errors import DataError, first_few
from tlkit.input_files import refuse_pipe

logger = logging.getLogger(__name__)

MOST_BYTES = 512 * 2**20
"""Larger members are skipped."""
MOST_HEADER_BYTES = 2**20
"""Larger headers, which hold names and attributes, are refused."""
ENTRY = np.dtype([("name", "<u8"), ("offset", "<i8"), ("size", "<i8")])
MOST_INDICES = 4096
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")


class TarMember(NamedTuple):
    """A regular file in a tar: its name, the offset of its first byte, and its size in bytes."""

    name: str
    offset: int
    size: int


def list_members(path: str | Path) -> tuple[list[TarMember], list[Entry]]:
    """Return the regular files of a tar in order, and the skipped members, each with the reason.

    Raises:
        DataError: the file is missing, compressed, damaged, cut short, or has two members of one name.
    """
    path = Path(path)
    found: dict[str, TarMember] = {}
    skipped: list[Entry] = []
    twice: list[str] = []
    for info, offset in _members(path):
        reason = _skip_reason(info)
        if reason:
            skipped.append(Entry("tar-member", ascii(info.name)[1:-1], reason))
        elif info.isreg():
            name = str(PurePosixPath(info.name))
            if name in found:
                twice.append(name)
            found[name] = TarMember(name, offset, info.size)
    size = path.stat().st_size
    cut = [member.name for member in found.values() if member.offset + member.size > size]
    if cut:
        raise DataError(f"{path} is truncated: {first_few(cut)} would end after it. Copy it again.")
    if twice:
        raise DataError(f"{path} has {len(twice)} members twice: {first_few(twice)}. Write it again without them.")
    return list(found.values()), skipped


def read_member(path: str | Path, name: str) -> bytes:
    """Return the bytes of a member.

    Raises:
        OSError: there is no such tar or member, or the member is truncated.
    """
    with Path(path).open("rb") as file:
        place = _find(os.fspath(path), os.fstat(file.fileno()), name)
        if place is None:
            raise FileNotFoundError(errno.ENOENT, "the tar has no member of this name", f"{path}/{name}")
        data = os.pread(file.fileno(), place[1], place[0])
    if len(data) < place[1]:
        raise OSError(errno.EIO, "the tar is truncated", f"{path}/{name}")
    return data


def read_start(path: str | Path, member: TarMember, size: int) -> bytes:
    """Return the first bytes of a member, at most `size`.

    Raises:
        OSError: there is no such tar.
    """
    with Path(path).open("rb") as file:
        file.seek(member.offset)
        return file.read(min(size, member.size))


def offsets_of(path: str | Path, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the offset in bytes of the content of each member, shape (n,).

    Raises:
        DataError: the tar is missing or damaged, or has no such member.
    """
    try:
        status = Path(path).stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    index = _index(os.fspath(path), status.st_size, status.st_mtime_ns)
    keys = np.array([_key(name) for name in names], dtype=np.uint64)
    known = np.isin(keys, index["name"])
    if not known.all():
        missing = [name for name, is_known in zip(names, known, strict=True) if not is_known]
        raise DataError(f"{path} lacks members that it had ({len(missing)}): {first_few(missing)}.")
    at = np.searchsorted(index["name"], keys)
    return np.asarray(index["offset"][at], dtype=np.int64)


def has_member(path: str | Path, name: str) -> bool:
    """Return whether a tar has a member of this name."""
    return _find(os.fspath(path), Path(path).stat(), name) is not None


def split_path(path: str) -> tuple[str, str] | None:
    """Return "folder/shard.tar/cat/1.jpg" as the tar and the member's name; None where no part of it is a file."""
    tar = os.path.dirname(path)  # noqa: PTH120  called for every image
    while tar and not os.path.isdir(tar):  # noqa: PTH112
        if os.path.isfile(tar):  # noqa: PTH113
            return tar, path[len(tar) + 1 :]
        tar = os.path.dirname(tar)  # noqa: PTH120
    return None


class _Rest(io.RawIOBase):
    """A file from an offset on, which refuses to read more than `MOST_HEADER_BYTES` at once.

    Attributes:
        last: the bytes that were read last.
    """

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file, self._start, self.last = file, start, b""
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset + (self._start if whence == os.SEEK_SET else 0), whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield each header of a tar and the offset of its content; the needed memory does not depend on their number.

    Raises:
        DataError: the file is missing, compressed, damaged or cut short.
    """
    refuse_pipe(path, error=DataError)
    try:
        with path.open("rb") as file:
            start = file.read(6)
            for magic, what in (
                (b"\x1f\x8b", "gzip"),
                (b"BZh", "bzip2"),
                (b"\xfd7zXZ\x00", "xz"),
                (b"\x28\xb5\x2f\xfd", "zstd"),
            ):
                if start.startswith(magic):
                    raise DataError(
                        f"{path} is compressed with {what}, so its members have no fixed offsets. Decompress it to a "
                        "plain .tar; compression hardly shrinks images."
                    )
            yield from _headers(file)
    except (tarfile.TarError, RecursionError, EOFError, ValueError, OverflowError) as error:
        raise DataError(f"{path} is no valid tar file ({error}).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _headers(file: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield each header and the offset of its content, plain ones read here, from the first other one on by tarfile.

    Raises:
        tarfile.TarError: the tar is damaged or cut short.
    """
    size, offset = os.fstat(file.fileno()).st_size, 0
    while True:
        file.seek(offset)
        block = file.read(tarfile.BLOCKSIZE)
        info = _plain_header(block)
        if info is None:
            break
        content = offset + tarfile.BLOCKSIZE
        yield info, content
        offset = content + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE * info.isreg()
        if offset > size:
            raise tarfile.ReadError("unexpected end of data")
    if offset and not block.strip(b"\0"):  # the end: blocks of zeros, or of the file
        return
    rest = _Rest(file, offset)
    with tarfile.open(fileobj=rest, mode="r:", errors="surrogateescape") as tar:
        while (info := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # else every header stays in memory
            yield info, offset + info.offset_data
    if rest.last.strip(b"\0"):  # tarfile takes a damaged header for the end
        raise tarfile.ReadError("invalid header")


def _plain_header(block: bytes) -> tarfile.TarInfo | None:
    """Return name, size and type of a regular file or folder from its header of 512 bytes; None for another form.

    POSIX.1-1988 (ustar): name in bytes 0 to 99, size 124 to 135 and checksum 148 to 155 in octal digits, type in 156,
    prefix of the name 345 to 499. The checksum is the sum of the bytes, its own as spaces. Headers with a prefix, of
    other types or extensions, with a size in base 256 or a wrong checksum have another form, and tarfile judges them.

    Unlike tarfile, it does not read mode, owner, group, time, link and device (bytes 100 to 123, 136 to 147 and 157 to
    344, the magic and version among them): where their numbers are no numbers and the checksum holds, tarfile would
    refuse the header. Nothing here needs them.
    """
    name, _, _ = block[:100].partition(b"\0")
    kind = block[156:157]
    if len(block) < tarfile.BLOCKSIZE or kind not in (tarfile.REGTYPE, tarfile.DIRTYPE) or block[345] or not name:
        return None
    size, checksum = _OCTAL.fullmatch(block, 124, 136), _OCTAL.fullmatch(block, 148, 156)
    if size is None or checksum is None or (kind == tarfile.REGTYPE and name.endswith(b"/")):
        return None
    if int(checksum[1], 8) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        return None
    info = tarfile.TarInfo(os.fsdecode(name))
    info.size, info.type = int(size[1], 8), kind
    return info


def _skip_reason(info: tarfile.TarInfo) -> str:
    """Return why a member is skipped; "" for regular files and folders."""
    if info.isdir():
        return ""
    if not info.isreg() or info.issparse():
        return "a link or a device, not a file"
    if info.size > MOST_BYTES:
        return f"{info.size:,} bytes"
    parts = info.name.split("/")
    if info.name.startswith("/") or ".." in parts or "\\" in info.name or "\0" in info.name:
        return "its name leads out of a folder"
    try:
        info.name.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8"
    return ""


def _key(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest(), "little"))


def _find(path: str, status: os.stat_result, name: str) -> tuple[int, int] | None:
    """Return offset and size of a member; None where there is none of this name."""
    index = _index(path, status.st_size, status.st_mtime_ns)
    key = _key(name)
    at = int(np.searchsorted(index["name"], key))
    if at == len(index) or index["name"][at] != key:
        return None
    return int(index["offset"][at]), int(index["size"][at])


@lru_cache(maxsize=MOST_INDICES)
def _index(path: str, size: int, mtime_ns: int) -> npt.NDArray[np.void]:
    """Return name hash, offset and size of every member, sorted by hash, from the cache where it is up to date.

    The cached file is memory-mapped, so that worker processes share it.
    """
    about = f"{Path(path).resolve()}\n{size}\n{mtime_ns}"
    cached = cache_folder() / "tars" / f"{hashlib.sha256(about.encode()).hexdigest()}.npy"
    with suppress(OSError, ValueError):
        index = np.load(cached, mmap_mode="r", allow_pickle=False)
        if index.dtype == ENTRY and index.ndim == 1:
            return index  # type: ignore[no-any-return]
    members, _ = list_members(path)
    index = np.array([(_key(member.name), member.offset, member.size) for member in members], dtype=ENTRY)
    index.sort(order="name")
    if len(np.unique(index["name"])) < len(index):  # a chance of 1 in 10**7 for a million members
        raise DataError(f"Two members of {path} have names of one hash. Rename one of its files.")
    with suppress(OSError):  # an index that cannot be cached is computed again
        cached.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(cached) as partial, partial.open("wb") as file:
            np.save(file, index, allow_pickle=False)
    return index
