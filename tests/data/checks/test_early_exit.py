from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scenes import scene

from tlkit.data.checks.pixel_comparison import pixel_difference, surely_apart


def variants(seed: int):
    """Yield a picture and others of its size: saved again, brighter, noisy, with a spot, another one."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(scene(seed).resize((90, 70)), np.float32)
    for quality in (30, 60, 90):
        target = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(target, format="JPEG", quality=quality)
        with Image.open(target) as image:
            yield pixels, np.asarray(image, np.float32)
    for step in (1, 3, 6, 12, 20):
        yield pixels, np.clip(pixels + step, 0, 255)
        yield pixels, np.clip(pixels + rng.normal(0, step, pixels.shape), 0, 255).astype(np.float32)
        spot = pixels.copy()
        spot[20:26, 30:36] = np.clip(spot[20:26, 30:36] + 2 * step, 0, 255)
        yield pixels, spot
    yield pixels, np.asarray(scene(seed + 1).resize((90, 70)), np.float32)


def test_the_early_exit_never_drops_a_copy_and_drops_most_other_pictures():
    pairs = [pair for seed in range(12) for pair in variants(seed)]
    apart = [surely_apart(first, second) for first, second in pairs]
    copies = [pixel_difference(first, second).is_copy for first, second in pairs]
    assert not any(early and copy for early, copy in zip(apart, copies, strict=True))
    assert sum(copies) > 20 and sum(apart) > 0.6 * (len(pairs) - sum(copies))
