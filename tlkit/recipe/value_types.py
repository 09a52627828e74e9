"""Annotated types of single recipe values, each with its range for pydantic and a description for messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tlkit.preprocess import MAX_INPUT_PIXELS, MAX_SIDE, MIN_CROP_PCT


@dataclass(frozen=True)
class Expected:
    """Description of the values that a field takes.

    Attributes:
        phrase: completes the sentence "Use …" with the range and the meaning of null.
        text: the field takes any text, so that an override of it needs no quotes.
    """

    phrase: str
    text: bool = False


def value_error(text: str) -> PydanticCustomError:
    """Return an error whose text follows the name of the field: "names 'sex' twice. Keep one."."""
    return PydanticCustomError("explained", "{text}", {"text": text})


def require_different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values, or raise where one occurs twice."""
    for position, value in enumerate(values):
        if value in values[:position]:
            raise value_error(f"names {getattr(value, 'column', value)!r} twice. Keep one of them.")
    return values


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(set(values)):
        raise value_error("must be different numbers in rising order.")
    return values


def _not_the_word_none(value: str | None) -> str | None:
    if value is not None and value.lower() == "none":
        raise value_error(f"is the text {value!r}. Use null for none.")
    return value


def _input_size(size: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
    sides = (size, size) if isinstance(size, int) else size
    if sides is not None and sides[0] * sides[1] > MAX_INPUT_PIXELS:
        raise value_error(f"has {sides[0] * sides[1]:,} pixels. Use at most {MAX_INPUT_PIXELS:,}.")
    return size


def _own_columns(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if value in OWN_COLUMNS or value.startswith("proba_"):
            raise value_error(
                f"names {value!r}, a column that tlkit itself writes. Rename that column in the metadata."
            )
    return values


def _whole(value: object) -> object:
    """Reject `true` and `32.0`, which equal the numbers 1 and 32 in Python."""
    if isinstance(value, bool | float):
        raise PydanticCustomError("literal_error", "not one of the choices")
    return value


def _known_version(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value > 1:
        raise value_error(f"is {value}, but this tlkit reads version 1. Use recipe_version: 1, or a newer tlkit.")
    return value


MOST = 1_000_000_000
"""Largest count in a recipe."""
MOST_EDGE = 1e20
"""Largest size of a bin edge: above nanoseconds since 1970."""
OWN_COLUMNS = ("path", "label", "split", "digest", "y_true", "y_pred")
NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"
WEIGHTS_PATTERN = r"^(hub|none|pip:[^\s:]+|file:.+|hf-hub:[^\s/:]+/[^\s/:]+|run:.+)$"

ExactInt = BeforeValidator(_whole)
KnownVersion = BeforeValidator(_known_version)

Text = Annotated[str, Field(strict=True, min_length=1), Expected("a text", text=True)]
OptionalText = Annotated[Text | None, AfterValidator(_not_the_word_none)]
OptionalCsv = Annotated[OptionalText, Expected("the path of a CSV file, or null for none", text=True)]
OptionalColumn = Annotated[OptionalText, Expected("the name of a column, or null for none", text=True)]
Name = Annotated[
    str,
    Field(strict=True, max_length=100, pattern=NAME_PATTERN),
    Expected("up to 100 letters, digits, '.', '_' and '-', beginning with a letter, a digit or '_'", text=True),
]
WeightsText = Annotated[
    str,
    Field(strict=True, pattern=WEIGHTS_PATTERN),
    Expected("hub, none, pip:PACKAGE, file:PATH, hf-hub:ORG/REPO or run:PATH", text=True),
]
Names = Annotated[
    tuple[Text, ...],
    AfterValidator(require_different),
    Field(json_schema_extra={"uniqueItems": True}),
    Expected("a list of names, such as [age, sex]"),
]
Folders = Annotated[tuple[Text, ...], Expected("a list of folders of images, such as [data/a, data/b]")]
CsvFiles = Annotated[tuple[Text, ...], Expected("a list of CSV files, such as [labels.csv, more.csv]")]
Shards = Annotated[tuple[Text, ...], Expected("a list of tar files or patterns of them, such as [data/a-{0..9}.tar]")]
GroupColumns = Annotated[Names, AfterValidator(_own_columns)]

Switch = Annotated[bool, Field(strict=True), Expected("true or false")]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1), Expected("a whole number from 0 to 4294967295")]
Whole = Annotated[int, Field(strict=True, ge=0, le=MOST), Expected(f"a whole number of at least 0, up to {MOST:,}")]
Count = Annotated[int, Field(strict=True, ge=1, le=MOST), Expected(f"a whole number of at least 1, up to {MOST:,}")]
AtLeastTwo = Annotated[int, Field(strict=True, ge=2, le=1000), Expected("a whole number of at least 2, up to 1,000")]
Epochs = Annotated[
    int, Field(strict=True, ge=1, le=1_000_000), Expected("a whole number of at least 1, up to 1,000,000")
]
PerStep = Annotated[int, Field(strict=True, ge=1, le=65_536), Expected("a whole number of at least 1, up to 65,536")]
Views = Annotated[int, Field(strict=True, ge=0, le=10_000), Expected("a whole number of at least 0, up to 10,000")]
Workers = Annotated[int, Field(strict=True, ge=0, le=1024)]
Processes = Annotated[int, Field(strict=True, ge=1, le=1024), Expected("a whole number of at least 1, up to 1,024")]
Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE)]
InputSize = Annotated[
    Side | tuple[Side, Side] | None,
    AfterValidator(_input_size),
    Expected(
        f"a whole number of pixels such as 224, [height, width] of up to {MAX_SIDE:,} each, or null for the backbone's "
        "own"
    ),
]
Parts = Annotated[int, Field(strict=True, ge=2, le=50), Expected("a whole number from 2 to 50")]
Byte = Annotated[int, Field(strict=True, ge=0, le=255)]
Ranks = Annotated[
    tuple[Count, ...],
    AfterValidator(require_different),
    Field(json_schema_extra={"uniqueItems": True}),
    Expected("a list of whole numbers of at least 1, such as [1, 5]"),
]

_finite = Field(strict=True, allow_inf_nan=False)
Positive = Annotated[float, _finite, Field(gt=0, le=1e6), Expected("a number above 0, up to 1,000,000")]
NotNegative = Annotated[float, _finite, Field(ge=0, le=1e6), Expected("a number of at least 0, up to 1,000,000")]
Rate = Annotated[float, _finite, Field(gt=0, le=1000), Expected("a number above 0, up to 1,000")]
Strength = Annotated[float, _finite, Field(ge=0, le=100), Expected("a number of at least 0, up to 100")]
HeldOut = Annotated[float, _finite, Field(ge=0, le=0.9), Expected("a share from 0 to 0.9")]
Edges = Annotated[tuple[Annotated[float, _finite, Field(ge=-MOST_EDGE, le=MOST_EDGE)], ...], AfterValidator(_rising)]
BelowOne = Annotated[float, _finite, Field(ge=0, lt=1), Expected("a number from 0 to below 1")]
UpToOne = Annotated[float, _finite, Field(gt=0, le=1), Expected("a number above 0 and up to 1")]
CropShare = Annotated[float, _finite, Field(ge=MIN_CROP_PCT, le=1)]
Inside = Annotated[float, _finite, Field(gt=0, lt=1), Expected("a number between 0 and 1, such as 0.95")]
Level = Annotated[
    float,
    _finite,
    Field(ge=0.0001, le=0.9999),  # far beyond, quantiles are infinite
    Expected("a number from 0.0001 to 0.9999, such as 0.95"),
]


def slug(text: str) -> str:
    """Return the nearest text that is valid as the name of a run.

    Example:
        >>> slug("my first run!")
        'my-first-run'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:100] or "my-run"
