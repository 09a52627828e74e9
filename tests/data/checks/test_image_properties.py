"""Image properties against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tlkit.data.checks.duplicates import find_duplicates
from tlkit.data.checks.image_properties import COLUMNS, PROPERTIES, fingerprints_of, measure_images, measure_picture


def noise(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_colorfulness_equals_the_formula_of_hasler_and_susstrunk():
    image = noise(0)
    red, green, blue = np.moveaxis(np.asarray(image, float), 2, 0)
    rg, yb = red - green, 0.5 * (red + green) - blue
    expected = np.sqrt(rg.std() ** 2 + yb.std() ** 2) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    assert measure_picture(image)["colorfulness"] == pytest.approx(expected, abs=1e-3)
    assert measure_picture(image.convert("L").convert("RGB"))["colorfulness"] == 0


def test_brightness_and_contrast_are_mean_and_spread_on_a_scale_of_255():
    half = Image.new("RGB", (40, 20))
    half.paste((255, 255, 255), (0, 0, 20, 20))
    found = measure_picture(half)
    assert found["brightness"] == pytest.approx(127.5, abs=0.01)
    assert found["contrast"] == pytest.approx(127.5, abs=0.01)
    assert found["aspect"] == 2
    assert found["megapixels"] == pytest.approx(0.0008)


def test_a_blurred_picture_is_less_sharp():
    image = noise(1, (300, 300)).resize((60, 60))
    assert measure_picture(image.filter(ImageFilter.GaussianBlur(4)))["sharpness"] < measure_picture(image)["sharpness"]


def test_each_readable_image_has_a_row_with_type_camera_and_digest(tmp_path):
    exif = Image.Exif()
    exif[271], exif[272] = "Acme", "Acme X1"
    noise(2).save(tmp_path / "a.jpg", exif=exif, quality=95)
    noise(3).save(tmp_path / "b.png")
    noise(2).save(tmp_path / "c.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    calls = []
    table = measure_images(
        tmp_path, ["a.jpg", "b.png", "broken.jpg", "c.png"], progress=lambda done, of: calls.append((done, of))
    )
    assert table.index.tolist() == ["a.jpg", "b.png", "c.png"]
    assert tuple(table.columns) == COLUMNS
    assert set(PROPERTIES) <= set(COLUMNS)
    assert table["file_type"].tolist() == ["JPEG", "PNG", "PNG"]
    assert table.loc["a.jpg", "camera"] == "Acme X1"
    assert table["camera"].isna().tolist() == [False, True, True]
    assert calls == [(4, 4)]
    assert find_duplicates(fingerprints_of(table)).alike == ((0, 2),)
