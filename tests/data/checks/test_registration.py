"""Registration equals an exhaustive search with OpenCV's matchTemplate."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import scene

from tlkit.data.checks.gray_thumbnails import gray_thumbnail
from tlkit.data.checks.pair_verification import EdgeImage
from tlkit.data.checks.registration import (
    COARSE,
    LEAST_SIDE,
    SCALES,
    CoarseImage,
    Placement,
    flipped,
    register,
    scaled_down,
)

SHAPES = [(24, 32), (32, 24), (32, 32), (22, 32), (10, 32), (32, 7), (21, 31), (8, 9)]


def one_by_one(first: np.ndarray, second: np.ndarray) -> Placement:
    """Try every place with OpenCV's matchTemplate."""
    height, width = first.shape
    best = Placement(-1.0, True, 0, (0, 0), (width, height))
    for turn in range(8):
        whole = cv2.resize(flipped(second, turn), (width, height), interpolation=cv2.INTER_LINEAR)
        score = float(cv2.matchTemplate(first, whole, cv2.TM_CCOEFF_NORMED)[0, 0])
        best = max(best, Placement(score, True, turn, (0, 0), (width, height)), key=lambda found: found.score)
    for inside, (around, part) in enumerate(((second, first), (first, second))):
        for scale in SCALES:
            for mirrored in (0, 1):
                frame = flipped(scaled_down(part, scale), mirrored)
                if any(a > b for a, b in zip(frame.shape, around.shape, strict=True)) or min(frame.shape) < LEAST_SIDE:
                    continue
                _, score, _, corner = cv2.minMaxLoc(cv2.matchTemplate(around, frame, cv2.TM_CCOEFF_NORMED))
                found = Placement(float(score), bool(inside), mirrored, tuple(corner), frame.shape[::-1])
                best = max(best, found, key=lambda found: found.score)
    return best


def registered(first: np.ndarray, second: np.ndarray) -> Placement:
    return register(CoarseImage(first), CoarseImage(second))


def smooth(shape: tuple[int, int], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 1.5) * 4


def assert_same(found: Placement, expected: Placement) -> None:
    assert found.score == pytest.approx(expected.score, abs=1e-5)
    assert found[1:] == expected[1:]


@pytest.mark.parametrize("first", SHAPES)
@pytest.mark.parametrize("second", SHAPES)
def test_registration_equals_match_template_for_all_shapes(first, second):
    one, other = smooth(first, seed=1), smooth(second, seed=2)
    assert_same(registered(one, other), one_by_one(one, other))


@pytest.mark.parametrize("seed", range(12))
def test_copies_of_photos_are_registered_like_match_template(seed):
    image = scene(seed)
    width, height = image.size
    frame = image.crop((width // 8, height // 5, width, height - height // 10))
    whole, part = (EdgeImage(gray_thumbnail(picture)).coarse.pixels for picture in (image, frame))
    for first, second in ((whole, part), (part, whole)):
        found = registered(first, second)
        assert_same(found, one_by_one(first, second))
        assert found.inside == (first is whole) and found.turn == 0 and found.score > 0.5
    for turn in range(8):
        seen = flipped(whole, turn)
        assert_same(registered(whole, seen), one_by_one(whole, seen))


@given(st.integers(4, COARSE), st.integers(4, COARSE), st.integers(0, 10**6))
def test_a_picture_matches_itself_and_correlations_are_at_most_one(height, width, seed):
    one, other = smooth((height, width), seed), smooth((width, height), seed + 1)
    itself = registered(one, one)
    assert itself.score == pytest.approx(1, abs=1e-5) and itself.size == (width, height)
    assert -1 <= registered(one, other).score <= 1 + 1e-5


def test_plain_pictures_and_plain_parts_match_nothing():
    plain, half = np.full((24, 32), 3.0, np.float32), smooth((24, 32), 0)
    half[:, 12:] = 1000.0  # so that rounding leaves something of its squares
    half[:, :12] += 1000.0
    picture = smooth((24, 32), 1)
    assert registered(plain, picture).score == registered(picture, plain).score == 0
    for found in (registered(half, picture), registered(picture, half)):
        assert np.isfinite(found.score) and found.score < 0.95
