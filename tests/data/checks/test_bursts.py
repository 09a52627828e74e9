"""Bursts: images of one camera, within seconds, that look alike, share a fold; time or likeness alone does not do."""

from __future__ import annotations

import io
import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tlkit.data.checks.bursts import Moment, moment_of
from tlkit.data.dataset_source import Source
from tlkit.features.folds import assign_folds, bound_images

SCENES, FRAMES = 16, 3
TAKEN, FRACTION = 36867, 37521


def picture(rng, *, like=None):
    """Return a smooth picture (64, 64, 3), or another one of the same scene: moved, with another subject."""
    field = rng.uniform(0, 255, (5, 5, 3)) if like is None else like
    smooth = Image.fromarray(field.astype(np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
    x, y = rng.integers(0, 14, 2)
    pixels = np.array(smooth.crop((x, y, x + 64, y + 64)))
    top, left = rng.integers(0, 44, 2)
    pixels[top : top + 20, left : left + 20] = rng.integers(0, 255, 3)
    return pixels, field


def save(pixels, path, *, camera="Canon R5", taken="2026:05:01 10:00:00", fraction=""):
    exif = Image.Exif()
    exif[272] = camera
    stated = {TAKEN: taken, FRACTION: fraction} if fraction else {TAKEN: taken}
    exif.get_ifd(0x8769).update(stated)
    if path.suffix == ".tif":  # which Pillow writes from the tag itself
        exif[0x8769] = stated
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif, quality=90)


def test_a_moment_is_read_with_its_fraction_and_only_where_it_is_stated(tmp_path):
    rng = np.random.default_rng(0)
    save(picture(rng)[0], tmp_path / "a.jpg", fraction="25")
    save(picture(rng)[0], tmp_path / "b.jpg", taken="no time")
    Image.fromarray(picture(rng)[0]).save(tmp_path / "c.png")
    first = moment_of((tmp_path / "a.jpg").read_bytes(), "JPEG")
    assert first == Moment("Canon R5", pytest.approx(1777629600.25))
    assert moment_of((tmp_path / "b.jpg").read_bytes(), "JPEG") is None
    assert moment_of((tmp_path / "c.png").read_bytes(), "PNG") is None
    assert moment_of((tmp_path / "a.jpg").read_bytes()[:150], "JPEG") is None  # damaged


STATED = Moment("Canon R5", 1777629600.25)
FORMATS = {".png": "PNG", ".webp": "WebP", ".tif": "TIFF", ".avif": "AVIF", ".jpg": "JPEG"}


@pytest.mark.parametrize("ending", FORMATS)
def test_a_moment_is_read_from_every_format_that_states_one(ending, tmp_path):
    save(picture(np.random.default_rng(0))[0], tmp_path / f"a{ending}", fraction="25")
    assert moment_of((tmp_path / f"a{ending}").read_bytes(), FORMATS[ending]) == STATED


def test_a_moment_is_read_from_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    pixels = picture(np.random.default_rng(0))[0]
    save(pixels, tmp_path / "a.jpg", fraction="25")
    with Image.open(tmp_path / "a.jpg") as opened:
        exif = opened.info["exif"]
    heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / "a.heic", exif=exif)
    assert moment_of((tmp_path / "a.heic").read_bytes(), "HEIC") == STATED


def png_with(chunk: bytes, *, before_pixels: bool) -> bytes:
    """Return a PNG with a chunk before or behind its pixels."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    data = file.getvalue()
    at = (data.index(b"IDAT") if before_pixels else data.index(b"IEND")) - 4
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:at] + whole + data[at:]


def test_exif_behind_a_pngs_pixels_as_text_and_in_boxes_is_read(tmp_path):
    """Where ImageMagick, exiftool and libjxl write it."""
    save(picture(np.random.default_rng(0))[0], tmp_path / "a.jpg", fraction="25")
    with Image.open(tmp_path / "a.jpg") as opened:
        tiff = opened.info["exif"].removeprefix(b"Exif\0\0")
    text = f"\nexif\n{len(tiff) + 6:8}\n{(b'Exif' + bytes(2) + tiff).hex()}\n".encode()
    raw = b"Raw profile type exif\0\0" + zlib.compress(text)
    assert moment_of(png_with(b"eXIf" + tiff, before_pixels=False), "PNG") == STATED
    assert moment_of(png_with(b"zTXt" + raw, before_pixels=True), "PNG") == STATED
    assert moment_of(png_with(b"eXIf" + tiff[:40], before_pixels=True), "PNG") is None  # damaged
    box = struct.pack(">I4sI", len(tiff) + 12, b"Exif", 0) + tiff
    signature = b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"
    assert moment_of(signature + box, "JPEG XL") == STATED
    assert moment_of(signature + box[:8], "JPEG XL") is None
    assert moment_of(b"\xff\x0a" + bytes(20), "JPEG XL") is None


@pytest.fixture
def album(tmp_path):
    """Sixteen scenes of three images each, a second apart, an hour between scenes, two classes."""
    rng, scenes = np.random.default_rng(1), {}
    for scene in range(SCENES):
        field = None
        for frame in range(FRAMES):
            pixels, field = picture(rng, like=field)
            path = f"train/{'ab'[scene % 2]}/{scene:02d}-{frame}.jpg"
            save(pixels, tmp_path / path, taken=f"2026:05:01 {scene:02d}:00:0{frame}")
            scenes[path] = scene
    return tmp_path, scenes, rng


def bursts_of(loaded):
    table = loaded.alike[loaded.alike["how"] == "burst"]
    return {frozenset(pair) for pair in zip(table["path"], table["other"], strict=True)}


def load(root):
    return Source(root=root).load()


def test_images_of_a_burst_share_a_fold_and_the_log_says_so(album, caplog):
    root, scenes, _ = album
    caplog.set_level(logging.INFO)
    loaded = load(root)
    alike = {frozenset(pair) for pair in zip(loaded.alike["path"], loaded.alike["other"], strict=True)}
    assert alike and all(len({scenes[path] for path in pair}) == 1 for pair in alike)
    assert len(bursts_of(loaded)) >= SCENES  # of 48 pairs; some frames have little in common
    assert any(message.startswith("Bursts: ") for message in caplog.messages)
    paths, y = loaded.samples.table["path"].tolist(), loaded.samples.targets
    bound = bound_images(paths, alike=loaded.alike)
    folds = assign_folds(paths, y, folds=4, groups=bound).assignments[0]
    fold_of = dict(zip(paths, folds.tolist(), strict=True))
    assert all(len({fold_of[path] for path in pair}) == 1 for pair in alike)


def test_time_alone_likeness_alone_and_another_camera_do_not_bind(album):
    root, _, rng = album
    other, field = picture(rng)
    save(other, root / "train/a/16-0.jpg", taken="2026:05:01 00:00:01")  # as scene 0, another picture
    save(picture(rng, like=field)[0], root / "train/a/16-1.jpg", taken="2026:05:02 10:00:00")  # alike, a day later
    save(picture(rng, like=field)[0], root / "train/b/16-2.jpg", camera="Nikon Z6", taken="2026:05:01 00:00:01")
    assert not any("/16-" in path for pair in bursts_of(load(root)) for path in pair)


def test_a_camera_whose_clock_stands_still_binds_only_what_looks_alike(album):
    root, scenes, _ = album
    for path in scenes:
        pixels = np.array(Image.open(root / path))
        save(pixels, root / path, taken="2000:01:01 00:00:00")
    found = bursts_of(load(root))
    within = sum(len({scenes[path] for path in pair}) == 1 for pair in found)
    assert within >= 0.9 * len(found)


def test_bursts_that_join_more_than_a_tenth_of_the_images_do_not_bind(tmp_path, caplog):
    rng = np.random.default_rng(2)
    _, field = picture(rng)
    for number in range(8):  # a film of one scene among other pictures
        save(picture(rng, like=field)[0], tmp_path / f"train/a/{number}.jpg", taken=f"2026:05:01 10:00:{number:02d}")
    for number in range(40):
        save(picture(rng)[0], tmp_path / f"train/b/{number:02d}.jpg", taken=f"2026:05:02 {number % 24:02d}:00:00")
    loaded = load(tmp_path)
    assert bursts_of(loaded)
    paths = loaded.samples.table["path"].tolist()
    assert len(set(bound_images(paths, alike=loaded.alike))) == len(paths)
    assert any("more than a tenth" in message for message in caplog.messages)
