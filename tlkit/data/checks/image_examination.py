"""Examination of one image file: damage, unusual properties, image quality, personal metadata, fingerprint."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlkit.data.checks.fingerprints import Fingerprint, fingerprint
from tlkit.data.checks.gray_thumbnails import Gray, gray_thumbnail
from tlkit.data.checks.image_quality import is_nearly_gray, quality_issues
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.exif import read_exif
from tlkit.data.decode.formats import NOT_READ_HERE, OPENERS, Format, detect_format, format_by_name
from tlkit.data.decode.jpeg_markers import scan_damage
from tlkit.data.decode.unsupported import NOT_READ, RAW
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
"""Kinds of finding by the texts of `ImageFacts.oddities`."""

GPS_IFD, EXIF_IFD = 0x8825, 0x8769
PERSONAL_TAGS = {
    315: "artist",
    316: "host computer",
    40093: "author",
    42032: "camera's owner",
    42033: "camera's serial number",
    42037: "lens's serial number",
}
"""EXIF 2.32 tags (and Windows' author) that can identify a person."""

_local = threading.local()


@dataclass(frozen=True, slots=True)
class ImageExamination:
    """The findings in one file.

    Attributes:
        digest: sha256 of the file, hex; "" where it could not be opened.
        reason: why it cannot be decoded; "" where it can.
        kinds: kinds of finding, with details or "" (see `tlkit.data.checks.finding_kinds.KINDS`).
        fingerprint: its fingerprint; None where it cannot be decoded.
        gray_thumbnail: its gray thumbnail; None where not requested, or where it cannot be decoded.
    """

    digest: str
    reason: str
    kinds: Mapping[str, str]
    fingerprint: Fingerprint | None = None
    gray_thumbnail: Gray | None = None


def examine_file(
    root: Path,
    path: str,
    pillow_warnings: list[str],
    *,
    real_root: str,
    decode_options: DecodeOptions,
    faces: bool,
    gray_thumbnails: bool,
) -> ImageExamination:
    """Return the findings in one file.

    Args:
        root: folder that `path` is relative to.
        path: the file.
        pillow_warnings: receives Pillow's warnings while the file is decoded (see `map_files`).
        real_root: `root` without symbolic links, to recognize paths that leave it.
        decode_options: pixel limit and background color of decoding.
        faces: detect faces with OpenCV's frontal cascade.
        gray_thumbnails: keep the gray thumbnail.
    """
    file = root / path
    kinds: dict[str, str] = {}
    real = os.path.realpath(file)
    if not real.startswith(real_root + os.sep):
        kinds["outside"] = f"leads to {real}"
    try:
        data = read_bytes(file)
    except (OSError, DataError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return ImageExamination("", reason, {**kinds, "cannot-open": reason})
    digest = hashlib.sha256(data).hexdigest()
    kind = detect_format(data)
    try:
        image, facts = open_rgb(data, decode_options, name=path)
    except UnreadableImageError as error:
        return ImageExamination(
            digest, error.reason, {**kinds, _kind_of_damage(data, kind, error.reason): error.reason}
        )
    assert kind is not None
    kinds |= {ODDITIES[oddity]: "" for oddity in facts.oddities}
    if "grayscale" not in kinds and is_nearly_gray(image):
        kinds["grayscale"] = "stored in color"
    if pillow_warnings:
        kinds["damaged-metadata"] = ""
    if (format_by_name(path) or facts.format) != facts.format:
        kinds["wrong-ending"] = f"is {facts.format}"
    if kind == "JPEG" and (damage := scan_damage(data)):
        kinds["damaged-scan"] = damage
    kinds |= _personal_metadata(data, kind) | dict.fromkeys(quality_issues(image), "")
    if faces and (count := _count_faces(image)):
        kinds["faces"] = str(count)
    gray = gray_thumbnail(image) if gray_thumbnails else None
    return ImageExamination(digest, "", kinds, fingerprint(image), gray)


def _kind_of_damage(data: bytes, kind: Format | None, reason: str) -> str:
    if kind is None:
        if NOT_READ_HERE in reason:
            return "unsupported"
        return "zero-byte" if not data else "html" if "HTML" in reason else "not-an-image"
    signs = {
        NOT_READ: "unsupported",
        RAW: "unsupported",
        "truncated": "truncated",
        "more than max_pixels": "bomb",
        "far more pixels": "bomb",
        "no agreed": "no-agreed-meaning",
        "agreed meaning": "no-agreed-meaning",
        "is not supported; save it as RGB": "no-agreed-meaning",
    }
    return next((name for sign, name in signs.items() if sign in reason), "damaged")


def _personal_metadata(data: bytes, kind: Format) -> dict[str, str]:
    """Return the findings "gps", "personal" and "burned-in" where metadata state a place or can identify a person."""
    try:
        if kind == "DICOM":
            return _of_a_patient(OPENERS[kind](io.BytesIO(data), ""))
        exif = read_exif(data, kind)
        gps = {"gps": ""} if any(tag in exif.get_ifd(GPS_IFD) for tag in (2, 4)) else {}
        tags = {**dict(exif), **exif.get_ifd(EXIF_IFD)}
        personal = [name for tag, name in PERSONAL_TAGS.items() if str(tags.get(tag, "")).strip("\0 ")]
        return {**gps, "personal": ", ".join(personal)} if personal else gps
    except Exception:  # Pillow raises various errors on damaged EXIF; the decoder reports the damage
        return {}


def _of_a_patient(file: Any) -> dict[str, str]:
    """Return the findings "personal" and "burned-in" of a DICOM header."""
    found = {"personal": ", ".join(file.personal)} if file.personal else {}
    return {**found, "burned-in": ""} if file.is_burned_in else found


def _count_faces(image: Image.Image) -> int:
    import cv2
    import cv2.data

    if not hasattr(_local, "cascade"):
        _local.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    image.thumbnail((640, 640))
    return len(_local.cascade.detectMultiScale(np.asarray(image.convert("L")), scaleFactor=1.1, minNeighbors=6))
