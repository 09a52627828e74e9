from __future__ import annotations

import hashlib
import shutil
import warnings

import numpy as np
import pytest
from messages import saying, says
from PIL import Image

from tlkit.data.checks.image_check import check_images
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.folder import scan_folder
from tlkit.errors import DataError


def test_readable_images_are_kept_with_the_digest_of_their_file(photos):
    samples = scan_folder(photos)
    checked = check_images(samples)
    assert checked.excluded == ()
    assert checked.samples.paths.tolist() == samples.paths.tolist()
    assert checked.samples.table["digest"].tolist() == [
        hashlib.sha256((photos / path).read_bytes()).hexdigest() for path in samples.paths
    ]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_unreadable_images_are_excluded_named_and_counted(photos, lines, workers):
    whole = (photos / "ant" / "0.png").read_bytes()
    (photos / "ant" / "1.png").write_bytes(b"")
    (photos / "ant" / "2.png").write_bytes(whole[: len(whole) // 2])
    (photos / "bee" / "3.png").write_bytes(b"<html>404</html>")
    samples = scan_folder(photos)
    (photos / "bee" / "4.png").unlink()
    checked = check_images(samples, workers=workers)
    assert checked.excluded == (
        ("ant/1.png", saying("0", "empty", "bytes")),
        ("ant/2.png", saying("PNG", "file", "truncated")),
        ("bee/3.png", saying("HTML", "page", "image")),
        ("bee/4.png", saying("file", "directory")),
    )
    assert len(checked.samples) == 16
    assert set(checked.samples.paths).isdisjoint(path for path, _ in checked.excluded)
    assert checked.samples.table.index.tolist() == list(range(16))
    assert lines()[-2:] == [
        saying("20", "16", "Checked", "images"),
        saying("4", "20", "ant/1.png", "0", "ant/2.png", "PNG", "bee/3.png", "HTML", "bee/4.png"),
    ]


def test_unusual_images_are_kept_and_named(photos, lines):
    image = Image.open(photos / "ant" / "0.png")
    image.save(photos / "ant" / "00.gif")
    image.convert("L").save(photos / "ant" / "01.png")
    image.save(photos / "ant" / "02.webp", save_all=True, append_images=[image.rotate(90)])
    image.save(photos / "ant" / "03.jpg", format="PNG")
    exif = Image.Exif()
    exif[274] = 6
    image.save(photos / "bee" / "04.jpg", exif=exif)
    checked = check_images(scan_folder(photos))
    assert list(checked.oddities.items()) == [
        ("GIF", ("ant/00.gif",)),
        (saying("PNG", "ending"), ("ant/03.jpg",)),
        (saying("animated"), ("ant/02.webp",)),
        ("grayscale", ("ant/01.png",)),
        (saying("rotated", "EXIF"), ("bee/04.jpg",)),
    ]
    assert says(lines(), "GIF", "1", "25", "ant/00.gif")


@pytest.mark.parametrize("action", ["error", "always", "ignore"])
def test_damaged_metadata_is_attributed_to_its_file_whatever_the_warning_filter(photos, action):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03"
    Image.open(photos / "ant" / "0.png").save(photos / "ant" / "00.jpg", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        before = list(warnings.filters)
        checked = check_images(scan_folder(photos))
        assert warnings.filters == before
    assert list(checked.oddities.items()) == [(saying("damaged metadata"), ("ant/00.jpg",))]


def test_a_class_without_readable_training_images_is_an_error(tmp_path, make_image):
    for name in ("train/ant/1", "train/bee/1", "val/ant/1"):
        make_image(f"{name}.png")
    (tmp_path / "train" / "ant" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=saying("'ant'", "train/ant/1.png", "0").pattern):
        check_images(scan_folder(tmp_path))


def test_images_above_the_pixel_limit_are_excluded(photos, make_image):
    make_image("ant/large.png", size=(200, 100))
    checked = check_images(scan_folder(photos), decode_options=DecodeOptions(max_pixels=5000))
    assert checked.excluded == (("ant/large.png", saying("200", "100", "20,000", "max_pixels", "5,000")),)


def test_progress_reaches_the_end(tmp_path, make_image):
    for number in range(70):
        make_image(f"{'ant' if number % 2 else 'bee'}/{number}.png", size=(4, 4))
    seen = []
    check_images(scan_folder(tmp_path), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(32, 70), (64, 70), (70, 70)]


def test_the_placeholder_among_the_ants_is_named(shared_data, lines):
    checked = check_images(scan_folder(shared_data / "ants_bees"))
    assert checked.excluded == ()
    gray = ("train/ants/154124431_65460430f2.jpg", "train/ants/imageNotFound.gif", "val/bees/290082189_f66cb80bfc.jpg")
    assert checked.oddities == {"GIF": ("train/ants/imageNotFound.gif",), "grayscale": gray}
    assert says(lines(), "GIF", "1", "398", "train/ants/imageNotFound.gif")
    assert len(np.unique(checked.samples.table["digest"])) == 398


def test_a_split_without_readable_images_is_an_error(tmp_path_factory, photos):
    root = tmp_path_factory.mktemp("split")
    for split in ("train", "val"):
        shutil.copytree(photos, root / split)
    for path in (root / "val").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=saying("val split", "val/ant/0.png", "0 bytes", "15 more", "Replace").pattern):
        check_images(scan_folder(root))


def test_gray_pictures_count_as_gray_whether_or_not_they_are_stored_in_color(tmp_path):
    noise = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        gray = np.clip(128 + 60 * noise.standard_normal((12, 12)), 0, 255).astype(np.uint8)
        picture = Image.fromarray(gray).resize((200, 160), Image.Resampling.BICUBIC)
        picture.save(tmp_path / label / "gray.jpg")
        pixels = np.asarray(picture.convert("RGB")) + noise.normal(0, 2, (160, 200, 3))
        noisy = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        noisy.save(tmp_path / label / "noisy.jpg", quality=75)
        Image.merge("RGB", (picture, picture, picture.point(lambda v: v // 2))).save(tmp_path / label / "yellow.jpg")
    wanted = ("ant/gray.jpg", "ant/noisy.jpg", "bee/gray.jpg", "bee/noisy.jpg")
    assert check_images(scan_folder(tmp_path)).oddities["grayscale"] == wanted
