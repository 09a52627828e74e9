"""The script that makes a small folder of CIFAR-10, on made-up records in its binary format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cifar10_mini.py"


def test_the_folder_holds_the_first_images_of_each_class_with_their_colours(tmp_path):
    source = tmp_path / "cifar-10-batches-bin"
    source.mkdir()
    (source / "batches.meta.txt").write_text("cat\ndog\n\n")
    for name, count in (("data_batch_1.bin", 202), ("test_batch.bin", 3)):
        records = np.zeros((2 * count, 3073), dtype=np.uint8)
        records[1::2, 0] = 1
        records[0::2, 1:1025] = 255  # cats are red
        records[1::2, 2049:] = 255  # dogs are blue
        (source / name).write_bytes(records.tobytes())
    command = [sys.executable, SCRIPT, source, tmp_path / "mini"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "406 images" in done.stdout
    for split, count in (("train", 200), ("test", 3)):
        for label, colour in (("cat", (255, 0, 0)), ("dog", (0, 0, 255))):
            files = sorted((tmp_path / "mini" / split / label).iterdir())
            assert len(files) == count
            with Image.open(files[0]) as image:
                assert image.size == (32, 32)
                assert np.allclose(image.getpixel((5, 5)), colour, atol=4)
