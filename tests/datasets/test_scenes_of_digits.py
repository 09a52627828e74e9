from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits

from tlkit.datasets import make_digit_scenes


def test_labels_sum_and_count_are_those_of_the_pixels_and_splits_share_no_digit(tmp_path):
    card, source = make_digit_scenes(tmp_path / "made"), load_digits()
    table = pd.read_csv(card.manifest, dtype=str)
    assert table["split"].value_counts().to_dict() == {"train": 900, "val": 300, "test": 300}
    assert card.classes == tuple("0123456789") and set(table["count"]) == set("1234")
    rows_of: dict[bytes, list[int]] = {}
    for row, image in enumerate(source.images):
        rows_of.setdefault(image.astype(np.uint8).tobytes(), []).append(row)
    seen: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for scene in table[table["pen"] == "ink"].itertuples():
        with Image.open(card.root / scene.path) as image:
            ink = np.round((255 - np.asarray(image, dtype=float)) * 16 / 255).astype(np.uint8)
        quarters = [ink[top + 2 : top + 10, left + 2 : left + 10] for top in (0, 12) for left in (0, 12)]
        found = [rows_of[quarter.tobytes()] for quarter in quarters if quarter.any()]
        values = sorted(int(source.target[rows[0]]) for rows in found)
        assert scene.label == ";".join(map(str, sorted(set(values))))
        assert (int(scene.total), int(scene.count)) == (sum(values), len(values))
        seen[scene.split].update(rows[0] for rows in found if len(rows) == 1)
    assert not seen["train"] & seen["test"] and not seen["val"] & seen["test"] and not seen["train"] & seen["val"]
