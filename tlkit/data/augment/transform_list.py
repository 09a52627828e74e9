"""A recipe's own list of Albumentations transforms, checked name by name and argument by argument."""

from __future__ import annotations

import inspect
import logging
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import albumentations as A
import numpy as np
from albumentations.core.transforms_interface import BasicTransform
from pydantic import ValidationError

from tlkit.data.decode.resizing import PADDING
from tlkit.errors import DataError, did_you_mean, reason_of

logger = logging.getLogger(__name__)

CHOICES = ("OneOf", "SomeOf", "Sequential", "RandomOrder")
"""Containers, whose argument `transforms` is a list of the same kind."""

SMALL_SIDES = (21, 34)
"""Height and width of the image on which padding and enlarging are seen."""

REFUSED = {
    "Normalize": "tlkit normalises with the backbone's own mean and std, on the device. Leave it out.",
    "ToFloat": "pixels stay 8-bit until they are on the device. Leave it out.",
    "FromFloat": "pixels are 8-bit already. Leave it out.",
    "ToTensorV2": "tlkit makes the tensors. Leave it out.",
    "ToTensor3D": "it is for volumes.",
    "Lambda": "a recipe cannot carry code.",
}


@dataclass(frozen=True)
class TransformList:
    """The transforms of a list.

    Attributes:
        compose: the transforms, in order.
        frames: whether any of them, in whatever container, changes the size of an image: it crops, pads or scales it.
            Turns by 90° do not count.
    """

    compose: A.Compose
    frames: bool


def build_list(steps: Sequence[Mapping[str, Any]], *, log_advice: bool = True) -> TransformList:
    """Return the composed transforms of a list, each tested on random noise.

    Args:
        steps: mappings with `name` and the transform's own arguments.
        log_advice: log what Albumentations warns of.

    Raises:
        DataError: all problems of the list at once.
    """
    problems: list[str] = []
    advice: list[str] = []
    built = [_build(step, f"augment transform {at + 1}", problems, advice) for at, step in enumerate(steps)]
    if problems:
        raise DataError(*problems)
    for warning in advice if log_advice else ():
        logger.warning("%s", warning)
    return TransformList(A.Compose(built), any(_frames(transform) for transform in built))


def available_transforms() -> dict[str, type[BasicTransform]]:
    """Return the transforms that a list may name: not those for volumes, nor abstract ones."""
    return {
        name: cls
        for name, cls in inspect.getmembers(A, inspect.isclass)
        if issubclass(cls, A.ImageOnlyTransform | A.DualTransform)
        and not issubclass(cls, A.Transform3D)
        and cls not in {A.ImageOnlyTransform, A.DualTransform}
        and name not in REFUSED
    }


def _build(step: Mapping[str, Any], where: str, problems: list[str], advice: list[str]) -> BasicTransform | None:
    name = step.get("name")
    if not isinstance(name, str):
        problems.append(f"{where} has no name. Write it as {{name: HorizontalFlip, p: 0.5}}.")
        return None
    where = f"{where} ({name})"
    arguments = {key: value for key, value in step.items() if key != "name"}
    before = len(problems)
    if name in CHOICES:
        children = arguments.pop("transforms", None)
        if not isinstance(children, Sequence) or isinstance(children, str) or not children:
            problems.append(f"{where} needs 'transforms', a list.")
            return None
        arguments["transforms"] = [
            _build(child, f"{where}, its transform {at + 1}", problems, advice) for at, child in enumerate(children)
        ]
        cls = getattr(A, name)
    else:
        known = available_transforms()
        if name in REFUSED:
            problems.append(f"{where} cannot be used: {REFUSED[name]}")
            return None
        if name not in known:
            problems.append(f"{where}: Albumentations has no transform of that name.{did_you_mean(name, known)}")
            return None
        cls = known[name]
    problems += _argument_problems(cls, arguments, where)
    if len(problems) > before:
        return None
    return _construct(cls, arguments, where, problems, advice)


def _argument_problems(cls: type[Any], arguments: Mapping[str, Any], where: str) -> Iterator[str]:
    parameters = {name: p for name, p in inspect.signature(cls.__init__).parameters.items() if name != "self"}
    valid = [name for name, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    for name in arguments:
        if name not in valid:
            hint = did_you_mean(name, valid)
            yield f"{where} has no argument {name!r}.{hint} It takes {', '.join(valid)}."
    missing = [n for n in valid if parameters[n].default is inspect.Parameter.empty and n not in arguments]
    if missing:
        yield f"{where} lacks {', '.join(map(repr, missing))}. It takes {', '.join(valid)}."


def _construct(
    cls: type[Any], arguments: Mapping[str, Any], where: str, problems: list[str], advice: list[str]
) -> BasicTransform | None:
    values = {
        key: tuple(value) if isinstance(value, list) and key != "transforms" else value
        for key, value in arguments.items()
    }
    fill = inspect.signature(cls.__init__).parameters.get("fill_mask")
    if fill is not None and fill.default is not None:  # what pads an image belongs to no class of its mask
        values.setdefault("fill_mask", PADDING)
    owner = next(ancestor for ancestor in cls.__mro__ if "__init__" in vars(ancestor))
    strict = {"strict": True} if "InitSchema" in vars(owner) else {}  # else bad values only warn and become defaults
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            transform: BasicTransform = cls(**values, **strict)
    except Exception as error:  # pydantic's errors, or the transform's own
        problems.append(f"{where}: {_reword(error)}")
        return None
    advice += [f"{where}: {warning.message}" for warning in caught]
    if cls.__name__ not in CHOICES and (problem := _try(transform)):
        problems.append(f"{where} {problem}")
        return None
    return transform


def _reword(error: Exception) -> str:
    """Return pydantic's report as one line: "blur_limit: Input should be …"."""
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return reason_of(error)
    parts = []
    for item in cause.errors():
        place = ".".join(str(part) for part in item["loc"] if not str(part).startswith(("function-", "tuple[")))
        text = item["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}" if place else text)
    return "; ".join(part.rstrip(".") for part in dict.fromkeys(parts)) + "."


def _try(transform: BasicTransform) -> str:
    """Return the problem of a transform that is applied to noise; "" where it works."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = _apply_to_noise(transform, _large_sides(transform))
    except Warning as warning:
        return f"warns when it is applied: {warning}"
    except Exception as error:  # for example: it needs masks, boxes or other images
        return f"cannot be applied to an image alone: {reason_of(error)}"
    if not isinstance(result, np.ndarray) or result.dtype != np.uint8 or result.shape[2:] != (3,):
        return "does not return an 8-bit RGB image."
    return ""


def _frames(transform: Any) -> bool:
    """Return whether a transform, or one in a container, gives an image another size, in a large or in a small one."""
    if isinstance(transform, A.BaseCompose):
        return any(_frames(child) for child in transform.transforms)
    return any(_changes_size(transform, sides) for sides in (_large_sides(transform), SMALL_SIDES))


def _changes_size(transform: BasicTransform, sides: tuple[int, int]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = _apply_to_noise(transform, sides)
    except Exception:  # a crop that is larger than the small image
        return False
    return sorted(result.shape[:2]) != sorted(sides)


def _apply_to_noise(transform: BasicTransform, sides: tuple[int, int]) -> Any:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (*sides, 3), dtype=np.uint8)
    transform.set_random_state(generator, random.Random(0))  # noqa: S311
    return transform(image=noise, force_apply=True)["image"]


def _large_sides(transform: BasicTransform) -> tuple[int, int]:
    """Return the height and width of an image that is larger than every size in the transform's arguments."""
    numbers = [256]
    for key in ("height", "width", "size", "x_max", "y_max", "min_max_height", "max_size", "max_size_hw"):
        value = getattr(transform, key, None)
        numbers += [int(v) for v in (value if isinstance(value, tuple | list) else (value,)) if isinstance(v, int)]
    return max(numbers), max(numbers) + 50
