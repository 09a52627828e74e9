"""Groups the members of a tar shard into images and what belongs to them.

WebDataset's key ends at the first dot of a file's name (webdataset/webdataset, `tariterators.base_plus_ext`), so that
`scan_6.5x.png` would be a part "5x.png" of the sample "scan_6", and be lost. Here every member whose ending is that of
an image is an image, as in a folder, and its key is everything up to the last dot. A shard of plain names has the same
samples by both rules. What states a class (`.cls`, `.json`, `.txt`) is looked up by the image's own key, then by
WebDataset's. An image that has no class of its own, in a sample that has another image of the sample's exact key, such
as the mask `1.seg.png` beside `1.jpg` and `1.cls`, is a part of that sample and skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tlkit.data.decode.formats import format_by_name
from tlkit.data.sources.entries import Entry
from tlkit.data.sources.tar_files import TarMember, read_start
from tlkit.data.sources.walk import FIRST_BYTES, has_unknown_ending, is_junk, named_by_content, skip_by_name

LABEL_TYPES = ("cls", "json", "txt")


@dataclass(frozen=True)
class TarImage:
    """An image in a shard, and the members that state its class, by type: cls, json, txt."""

    member: TarMember
    labels: Mapping[str, TarMember]


@dataclass(frozen=True)
class TarContent:
    """The members of a shard: images, the number of those that belong to an image, and those that are skipped."""

    images: tuple[TarImage, ...]
    companions: int
    skipped: tuple[Entry, ...]


def group_members(members: Iterable[TarMember], shard: Path) -> TarContent:
    """Return the images among the members of a shard, in order.

    Several images of one key are all images here; training refuses them, because one of them may be a mask. A member
    whose ending says nothing is read for its first bytes: an image that is left out is named as one.
    """
    images: dict[str, list[TarMember]] = {}
    labels: dict[str, dict[str, TarMember]] = {}
    others: list[TarMember] = []
    skipped: list[Entry] = []
    for member in members:
        key, ending = _split_last(member.name)
        *folders, base = member.name.split("/")
        if is_junk(base, folder=False) or any(is_junk(folder, folder=True) for folder in folders):
            skipped.append(Entry("junk", member.name))
        elif format_by_name(base) is not None:
            images.setdefault(key, []).append(member)
        elif ending in LABEL_TYPES and ending not in labels.get(key, {}):
            labels.setdefault(key, {})[ending] = member
        else:
            others.append(member)
    kept: list[TarImage] = []
    for key, found in images.items():
        sample = sample_key(key)
        own = labels.get(key) or {}
        if not own and sample != key and sample in labels and sample in images:
            reason = f"a part of the sample {sample}, whose image is {images[sample][0].name}"
            skipped += [Entry("sample-part", member.name, reason) for member in found]
        else:
            kept += [TarImage(member, own or labels.get(sample) or {}) for member in found]
    stated = [member for by_type in labels.values() for member in by_type.values()]
    companions, unused = _companions([*stated, *others], {key_of(image.member) for image in kept}, shard)
    return TarContent(tuple(kept), companions, (*skipped, *unused))


def _companions(members: Iterable[TarMember], keys: set[str], shard: Path) -> tuple[int, list[Entry]]:
    """Return how many members belong to an image of these keys, and the others with the reason."""
    samples = keys | {sample_key(key) for key in keys}
    count, unused = 0, []
    for member in members:
        entry = skip_by_name(member.name)
        is_label = _split_last(member.name)[1] in LABEL_TYPES
        own = {key_of(member)} if is_label else {key_of(member), sample_key(member.name)}
        if entry is not None and entry.kind == "unread-format":
            unused.append(entry)
        elif own & samples:
            count += 1
        elif entry is not None and entry.kind == "archive":
            unused.append(entry)
        elif is_label or not has_unknown_ending(member.name):
            unused.append(Entry("not-by-name", member.name, "no image has its key" if is_label else ""))
        else:
            unused.append(named_by_content(Entry("not-by-name", member.name), read_start(shard, member, FIRST_BYTES)))
    return count, unused


def key_of(member: TarMember) -> str:
    """Return a member's key: its name up to the last dot."""
    return _split_last(member.name)[0]


def sample_key(name: str) -> str:
    """Return WebDataset's key of a member or key: up to the first dot of the file's name.

    Example:
        >>> sample_key("a.b/scan_6.5x.png")
        'a.b/scan_6'
    """
    folder, slash, base = name.rpartition("/")
    return f"{folder}{slash}{base.split('.', 1)[0]}"


def _split_last(name: str) -> tuple[str, str]:
    """Return key and type of a member; a name without a dot has the type ""."""
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.rpartition(".")
    return (f"{folder}{slash}{stem}", ending.lower()) if dot else (name, "")
