from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections import Counter
from typing import get_args

import numpy as np
import pytest
from messages import saying
from PIL import Image

from tlkit.data.augment.transform_list import available_transforms, build_list
from tlkit.data.augment.transforms import PRESETS, build_transform, sample_id_of
from tlkit.data.decode.resizing import resize_image
from tlkit.errors import DataError
from tlkit.preprocess import Preprocess
from tlkit.recipe.sections.augment_section import Preset, most_of

SMALL = Preprocess(image_size=(32, 32))
SIZED = {"height": 60, "width": 60}
NEEDED = {  # arguments without a default
    "AtLeastOneBBoxRandomCrop": SIZED,
    "CenterCrop": SIZED,
    "Crop": {"x_max": 60, "y_max": 60},  # its default box is larger than the picture
    "CropAndPad": {"px": 5},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 10},
    "LongestMaxSize": {"max_size": 60},
    "RandomCrop": SIZED,
    "RandomResizedCrop": {"size": [60, 60]},
    "RandomSizedCrop": {"min_max_height": [40, 60], "size": [60, 60]},
    "Resize": SIZED,
    "SmallestMaxSize": {"max_size": 60},
}
USELESS = """BBoxSafeRandomCrop ConstrainedCoarseDropout CropNonEmptyMaskIfExists FDA HistogramMatching MaskDropout
    Mosaic OverlayElements PixelDistributionAdaptation RandomCropNearBBox RandomSizedBBoxSafeCrop TextImage ToRGB"""
"""They need boxes, masks, fonts or other images, or do nothing to RGB."""


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((160, 120), Image.Resampling.BICUBIC))


def problems(*steps) -> list[str]:
    with pytest.raises(DataError) as caught:
        build_list(steps)
    return list(caught.value.problems)


@pytest.mark.parametrize("resize", ["crop", "letterbox", "squash"])
@pytest.mark.parametrize("augment", [None, "none"])
def test_without_augmentation_the_evaluation_geometry_is_used(picture, augment, resize):
    preprocess = Preprocess(image_size=(32, 48), resize=resize)
    transform = build_transform(preprocess, augment=augment)
    assert not transform.is_random
    expected = np.asarray(resize_image(Image.fromarray(picture), preprocess))
    np.testing.assert_array_equal(transform(picture, epoch=3, sample_id=5), expected)
    np.testing.assert_array_equal(transform(Image.fromarray(picture)), expected)


@pytest.mark.parametrize("resize", ["crop", "letterbox", "squash"])
@pytest.mark.parametrize("augment", ["light", "medium", "heavy", [{"name": "Rotate"}, {"name": "GaussNoise", "p": 1}]])
def test_augmentation_depends_on_seed_epoch_and_sample_alone(picture, augment, resize):
    transform = build_transform(SMALL.replace(resize=resize), augment=augment)
    keys = [(seed, epoch, sample) for seed in (0, 1) for epoch in (0, 1) for sample in (5, 2**64 - 1)]
    first = [transform(picture, seed=s, epoch=e, sample_id=i) for s, e, i in keys]
    sent = pickle.loads(pickle.dumps(transform))  # to another process
    again = [sent(picture, seed=s, epoch=e, sample_id=i) for s, e, i in reversed(keys)][::-1]
    for one, two in zip(first, again, strict=True):
        assert (one.shape, one.dtype) == ((32, 32, 3), np.uint8)
        np.testing.assert_array_equal(one, two)
    assert len({image.tobytes() for image in first}) == len(keys)


def test_two_flips_do_not_fire_together():
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16, :16] = 255
    steps = [{"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5}]
    transform = build_transform(SMALL.replace(crop_pct=1.0), augment=steps)
    corners = Counter()
    for sample in range(400):
        pixels = transform(image, sample_id=sample)
        corners[int(pixels[0, 0, 0]), int(pixels[0, -1, 0]), int(pixels[-1, 0, 0])] += 1
    assert len(corners) == 4
    assert all(70 < count < 130 for count in corners.values())


def test_the_recipe_knows_the_same_presets():
    assert get_args(Preset) == tuple(PRESETS)
    with pytest.raises(DataError, match=saying("'lihgt'", "'light'").pattern):
        build_transform(SMALL, augment="lihgt")


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "none"])
def test_presets_flip_half_of_the_time(name):
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 255
    transform = build_transform(SMALL, augment=name)
    right = sum(
        float(pixels[:, 16:].mean()) > float(pixels[:, :16].mean())
        for pixels in (transform(image, sample_id=sample) for sample in range(300))
    )
    assert 120 < right < 180


def test_the_image_itself_is_never_changed(picture):
    before = picture.copy()
    for augment in ("heavy", [{"name": "PixelDropout", "p": 1}, {"name": "CoarseDropout", "p": 1}]):
        build_transform(SMALL, augment=augment)(picture)
    np.testing.assert_array_equal(picture, before)


def test_a_list_that_frames_the_image_is_only_scaled_afterwards(picture):
    framed = build_transform(SMALL, augment=[{"name": "CenterCrop", "height": 64, "width": 64}])
    expected = Image.fromarray(picture[28:92, 48:112]).resize((32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(framed(picture), np.asarray(expected))
    unframed = build_transform(SMALL, augment=[{"name": "NoOp"}])
    np.testing.assert_array_equal(unframed(picture), build_transform(SMALL)(picture))


RESIZE = {"name": "Resize", "height": 64, "width": 64, "p": 1}


@pytest.mark.parametrize(
    "step",
    [
        RESIZE,
        {"name": "Sequential", "p": 1, "transforms": [RESIZE]},
        {"name": "OneOf", "p": 1, "transforms": [{"name": "Sequential", "p": 1, "transforms": [RESIZE]}]},
        {"name": "RandomOrder", "n": 1, "transforms": [{"name": "SomeOf", "n": 1, "transforms": [RESIZE]}]},
        {"name": "LongestMaxSize", "max_size": 64, "p": 1},
        {"name": "SmallestMaxSize", "max_size": 600, "p": 1},
        {"name": "PadIfNeeded", "min_height": 256, "min_width": 256, "border_mode": 1, "p": 1},
        {"name": "Pad", "padding": 16, "border_mode": 1, "p": 1},
        {"name": "RandomScale", "p": 1},
        {"name": "CropAndPad", "px": [16, 16, 16, 16], "keep_size": False, "border_mode": 1, "p": 1},
        {"name": "AtLeastOneBBoxRandomCrop", "height": 256, "width": 256, "p": 1},
        {"name": "RandomResizedCrop", "size": [64, 64], "scale": [1, 1], "ratio": [1, 1], "p": 1},
    ],
    ids=lambda step: step["name"],
)
def test_what_sets_the_size_in_any_container_is_not_cropped_a_second_time(step):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    framed = build_transform(SMALL, augment=[{"name": "NoOp"}, step])(ramp)
    assert framed.min() <= 6 and framed.max() >= 249  # a crop of .875 leaves 16 to 239
    plain = build_transform(SMALL)(ramp)
    for turn in ("HorizontalFlip", "Transpose", "RandomRotate90", "Affine"):
        untouched = build_transform(SMALL, augment=[{"name": "Sequential", "transforms": [{"name": turn, "p": 0}]}])
        np.testing.assert_array_equal(untouched(ramp), plain)


def test_containers_take_lists(picture):
    inner = [{"name": "GaussianBlur", "p": 1}, {"name": "ColorJitter", "p": 1}]
    steps = [{"name": "OneOf", "transforms": inner, "p": 1}, {"name": "SomeOf", "n": 1, "transforms": inner, "p": 1}]
    transform = build_transform(SMALL, augment=steps)
    assert len({transform(picture, sample_id=sample).tobytes() for sample in range(4)}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(available_transforms()))
@pytest.mark.filterwarnings("ignore::UserWarning")  # advice about slow or special-case transforms, logged by build_list
def test_every_transform_is_either_refused_or_deterministic(name, picture):
    if name in USELESS.split():
        needs_a_size = ("CropNonEmptyMaskIfExists", "RandomSizedBBoxSafeCrop")
        assert len(problems({"name": name, "p": 1.0, **(SIZED if name in needs_a_size else {})})) == 1
        return
    transform = build_transform(SMALL, augment=[{"name": name, "p": 1.0, **NEEDED.get(name, {})}])
    first = transform(picture, sample_id=1)
    transform(picture, sample_id=2)
    np.testing.assert_array_equal(transform(picture, sample_id=1), first)


def test_the_bounds_of_arguments_admit_every_default_of_albumentations():
    def numbers(value):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield value
        for inner in value if isinstance(value, tuple | list) else ():
            yield from numbers(inner)

    defaults = [
        (name, argument, number)
        for name, cls in available_transforms().items()
        for argument, parameter in inspect.signature(cls.__init__).parameters.items()
        for number in numbers(parameter.default)
    ]
    assert len(defaults) > 100
    assert [one for one in defaults if abs(one[2]) > most_of(one[1])] == []


def test_all_mistakes_in_a_list_are_reported_at_once():
    found = problems(
        {"name": "HorizontalFlp"},
        {"name": "GaussianBlur", "blurlimit": 3},
        {"name": "HorizontalFlip", "p": 2},
        {"p": 0.5},
        {"name": "RandomCrop"},
        {"name": "Normalize"},
        {"name": "OneOf", "transforms": [{"name": "Blurr"}]},
        {"name": "SomeOf"},
        {"name": "ToGray", "num_output_channels": 1},
        {"name": "FDA"},
    )
    assert found == [
        saying("1", "'HorizontalFlip'"),
        saying("augment", "2", "'blurlimit'", "'blur_limit'", "blur_limit", "sigma_limit"),
        saying("3", "1", "transform", "HorizontalFlip"),
        saying("4", "0.5", "transform", "HorizontalFlip"),
        saying("augment", "5", "'height'", "'width'", "pad_if_needed", "pad_position", "border_mode", "fill_mask"),
        saying("6", "transform", "normalises"),
        saying("7", "1", "'Blur'", "'ZoomBlur'"),
        saying("8", "'transforms'"),
        saying("9", "8-bit", "RGB"),
        saying("10", "FDA", "'fda_metadata'"),
    ]


def test_advice_of_albumentations_is_logged_not_raised(lines):
    build_list([{"name": "ShiftScaleRotate"}])
    assert lines() == [saying("augment", "1")]


def test_a_crop_larger_than_an_image_is_an_error(picture):
    transform = build_transform(SMALL, augment=[{"name": "RandomCrop", "height": 500, "width": 500}])
    with pytest.raises(DataError, match=saying("160", "120", "augmentation", "Change").pattern):
        transform(picture)


def test_sample_ids_are_64_bits_of_the_path():
    assert sample_id_of("train/ants/1.jpg") == 8376925913144028323
    assert len({sample_id_of(f"{number}.jpg") for number in range(1000)}) == 1000


def test_albumentations_does_not_check_for_updates():
    name = "NO_ALBUMENTATIONS_UPDATE"
    code = f"import os; os.environ.pop('{name}', 0); import tlkit.data; print(os.environ['{name}'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
