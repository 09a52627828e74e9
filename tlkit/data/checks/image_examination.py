"""One file is looked at once: is it sound, what is odd about it, what does it look like, whom does it give away."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from tlkit.data.checks.duplicates import Fingerprint, fingerprint
from tlkit.data.checks.gray_thumbnails import Gray, gray_thumbnail
from tlkit.data.checks.image_quality import judge_picture
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.formats import EXTENSIONS, OPENERS, Format, detect_format
from tlkit.data.decode.jpeg_markers import scan_damage
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import DataError

ODDITIES = {
    "animated (first frame used)": "animated",
    "several pages (first used)": "several-pages",
    "GIF": "gif",
    "more than 8 bits a channel": "deep",
    "CMYK": "cmyk",
    "grayscale": "grayscale",
    "palette": "palette",
    "transparent": "transparent",
    "rotated by EXIF": "exif-rotated",
    "damaged EXIF (taken as upright)": "damaged-metadata",
    "nearly black (uses less than 1/16 of its range)": "nearly-black",
}
"""Kinds of finding by the words of `ImageFacts.oddities`."""

GPS_IFD, EXIF_IFD = 0x8825, 0x8769
PERSONAL_TAGS = {
    315: "artist",
    316: "host computer",
    40093: "author",
    42032: "camera's owner",
    42033: "camera's serial number",
    42037: "lens's serial number",
}
"""EXIF 2.32 tags (and Windows' author) that can point to a person."""

_local = threading.local()


@dataclass(frozen=True, slots=True)
class ImageExamination:
    """What one file turned out to be.

    Attributes:
        digest: sha256 of the file, hex; "" where it could not be opened.
        reason: why it cannot be decoded, in words; "" where it can.
        kinds: kinds of finding that hold for it; see `tlkit.data.checks.finding_kinds.KINDS`.
        details: words to a kind, where there are any.
        size: height and width, upright; (0, 0) where it cannot be decoded.
        mode: Pillow's name of the pixels in the file, such as "RGB" or "L"; "" where unknown.
        print: what it looks like; None where it cannot be decoded.
        look: its look, as edited copies are told by; None where it was not asked for, or it cannot be decoded.
    """

    digest: str
    reason: str
    kinds: tuple[str, ...]
    details: tuple[tuple[str, str], ...] = ()
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    print: Fingerprint | None = None
    look: Gray | None = None


def examine_file(
    root: Path, path: str, *, real_root: str, max_pixels: int, faces: bool, look: bool = False, noted: list[str]
) -> ImageExamination:
    """Look at one file.

    Args:
        root: folder that `path` is relative to.
        path: the file.
        real_root: `root` without links, to tell paths that leave it.
        max_pixels: larger images count as bombs.
        faces: whether to look for faces, with OpenCV's frontal cascade.
        look: whether to take its look, as edited copies are told by.
        noted: takes up Pillow's warnings while the file is decoded.
    """
    file = root / path
    kinds: list[str] = []
    details: list[tuple[str, str]] = []
    real = os.path.realpath(file)
    if not real.startswith(real_root + os.sep):
        kinds.append("outside")
        details.append(("outside", f"leads to {real}"))
    try:
        data = read_bytes(file)
    except (OSError, DataError) as error:
        return ImageExamination("", getattr(error, "strerror", None) or str(error), (*kinds, "cannot-open"))
    digest = hashlib.sha256(data).hexdigest()
    kind = detect_format(data)
    try:
        image, facts = open_rgb(data, max_pixels=max_pixels)
    except UnreadableImageError as error:
        kinds.append(_unreadable(data, kind, error.reason))
        return ImageExamination(digest, error.reason, tuple(kinds), tuple(details))
    assert kind is not None
    kinds += [ODDITIES[oddity] for oddity in facts.oddities]
    if noted:
        kinds.append("damaged-metadata")
    promised = EXTENSIONS.get(PurePosixPath(path).suffix.lower())
    if promised is not None and promised != facts.format:
        kinds.append("wrong-ending")
        details.append(("wrong-ending", f"is {facts.format}"))
    if kind == "JPEG" and (damage := scan_damage(data)):
        kinds.append("damaged-scan")
        details.append(("damaged-scan", damage))
    mode, giveaways = _metadata(data, kind)
    kinds += ["gps"] if "gps" in giveaways else []
    if personal := [name for name in giveaways if name != "gps"]:
        kinds.append("personal")
        details.append(("personal", ", ".join(personal)))
    kinds += judge_picture(image)
    if faces and (count := _count_faces(image)):
        kinds.append("faces")
        details.append(("faces", str(count)))
    kinds = list(dict.fromkeys(kinds))
    taken = gray_thumbnail(image) if look else None
    return ImageExamination(digest, "", tuple(kinds), tuple(details), facts.size, mode, fingerprint(image), taken)


def _unreadable(data: bytes, kind: Format | None, reason: str) -> str:
    if kind is None:
        return "zero-byte" if not data else "html" if "HTML" in reason else "not-an-image"
    signs = {
        "truncated": "truncated",
        "more than max_pixels": "bomb",
        "far more pixels": "bomb",
        "no agreed": "no-agreed-meaning",
        "agreed meaning": "no-agreed-meaning",
        "is not supported; save it as RGB": "no-agreed-meaning",
    }
    return next((name for words, name in signs.items() if words in reason), "damaged")


def _metadata(data: bytes, kind: Format) -> tuple[str, list[str]]:
    """Return the mode of the pixels in the file, and what in its EXIF can point to a person or a place."""
    try:
        file = OPENERS[kind](io.BytesIO(data), "")
        exif = file.getexif()
        found = ["gps"] if any(tag in exif.get_ifd(GPS_IFD) for tag in (2, 4)) else []
        tags = {**dict(exif), **exif.get_ifd(EXIF_IFD)}
        return file.mode, found + [name for tag, name in PERSONAL_TAGS.items() if str(tags.get(tag, "")).strip("\0 ")]
    except Exception:  # Pillow raises a dozen kinds on damaged EXIF; the decoder has noted the damage
        return "", []


def _count_faces(image: Image.Image) -> int:
    import cv2
    import cv2.data

    if not hasattr(_local, "cascade"):
        _local.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    image.thumbnail((640, 640))
    return len(_local.cascade.detectMultiScale(np.asarray(image.convert("L")), scaleFactor=1.1, minNeighbors=6))
