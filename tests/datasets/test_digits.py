from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest
from messages import saying
from PIL import Image
from sklearn.datasets import load_digits

from tlkit.datasets import make_digits
from tlkit.errors import DataError


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return make_digits(tmp_path_factory.mktemp("digits") / "made")


def test_digits_are_split_in_fifths_of_each_class(digits):
    assert digits.classes == tuple("0123456789")
    assert sum(digits.counts.values()) == 1797
    target = Counter(load_digits().target.tolist())
    for label, count in target.items():
        for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
            found = len(list((digits.root / split / str(label)).glob("*.png")))
            assert abs(found - share * count) <= 1


def test_digits_keep_their_pixels_dark_on_white(digits):
    source = load_digits()
    paths = sorted(digits.root.rglob("*.png"))
    assert sorted(int(path.stem) for path in paths) == list(range(1797))
    for path in paths[::50]:
        row = int(path.stem)
        with Image.open(path) as image:
            pixels = np.asarray(image)
        assert pixels.shape == (12, 12)
        assert int(path.parent.name) == source.target[row]
        grey = np.round((255 - pixels.astype(float)) * 16 / 255)
        np.testing.assert_array_equal(grey, np.pad(source.images[row], 2))


def test_digits_metadata_and_attribution_lie_beside_the_images(digits):
    with digits.metadata.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1797
    assert list(rows[0]) == ["path", "row"]
    attribution = (digits.root / "ATTRIBUTION.txt").read_text(encoding="utf-8")
    assert "E. Alpaydin and C. Kaynak" in attribution
    assert "CC BY 4.0" in attribution


def test_digits_follow_the_seed(digits, tmp_path):
    def membership(root):
        return {path.relative_to(root).as_posix() for path in root.rglob("*.png")}

    assert membership(make_digits(tmp_path / "same").root) == membership(digits.root)
    assert membership(make_digits(tmp_path / "other", seed=1).root) != membership(digits.root)
    assert make_digits(digits.root) == digits


def test_digits_refuse_a_negative_seed(tmp_path):
    with pytest.raises(DataError, match=saying("seed", "-1", "0").pattern):
        make_digits(tmp_path / "out", seed=-1)
