"""Reads a file of gates: conditions on an audit that a build must pass, as YAML, validated like a recipe."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from tlkit.choices import ALPHA, CONFIDENCE, MIN_GROUP_SIZE
from tlkit.errors import RecipeError, did_you_mean
from tlkit.recipe import value_types as v
from tlkit.recipe.dumping import schema_of
from tlkit.recipe.loading import read_text
from tlkit.recipe.sections.section import Section
from tlkit.recipe.validation_messages import report_errors
from tlkit.recipe.value_types import Expected
from tlkit.recipe.yaml_nodes import Document, KeyPath, read_yaml


def _as_columns(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


Columns = Annotated[
    v.Text | v.Names,
    AfterValidator(_as_columns),
    Expected("the name of a group column, or a list of columns to cross, such as [age, sex]", text=True),
    Field(
        description="Group column, with missing values as one more group; or a list of columns to cross, without "
        "images that have a missing value.",
        examples=["skin_tone"],
    ),
]
RateName = Annotated[
    v.Text,
    Expected("the name of a rate, such as accuracy or recall", text=True),
    Field(description="The rate: any that `tlkit audit` knows."),
]
ClassName = Annotated[
    v.OptionalText,
    Expected("the name of a class, or null for all", text=True),
    Field(description="The class of the rate; null = every class."),
]
MOST_BOUND = 1e15
Bound = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MOST_BOUND, le=MOST_BOUND)]
Size = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False, ge=0, le=MOST_BOUND),
    Expected("a number from 0 to below 1, or of mean errors one of at least 0 in their unit"),
]


class Tolerance(Section):
    """Every group of a column must lie within a tolerance of its complement."""

    by: Columns
    metric: RateName = "accuracy"
    class_name: ClassName = None
    tolerance: Size = Field(
        description="Largest difference between a group and its complement: from 0 to below 1, or of mean errors in "
        "their unit.",
        examples=[0.05],
    )


class Limit(Section):
    """The rate of every group must be at least, or at most, a number."""

    by: Columns
    metric: RateName = "accuracy"
    class_name: ClassName = None
    at_least: Annotated[Bound | None, Expected("a number from 0 to 1, or a mean error in its unit")] = Field(
        None, description="Floor that every group's rate must reach, 0–1; of mean errors in their unit.", examples=[0.8]
    )
    at_most: Annotated[Bound | None, Expected("a number from 0 to 1, or a mean error in its unit")] = Field(
        None, description="Ceiling that no group's rate may exceed, 0–1; of mean errors in their unit.", examples=[0.1]
    )


class NoWorseThan(Section):
    """The model must not be worse than another one on the same images, overall and in each group."""

    baseline: Annotated[
        v.Text, Expected("the path of a run, or of a CSV or Parquet file of predictions", text=True)
    ] = Field(
        description="The other run, or CSV or Parquet file of its predictions, relative to the working directory; of "
        "boxes also JSON in COCO's format.",
        examples=["runs/in_use"],
    )
    truth: Annotated[v.OptionalText, Expected("the path of a JSON file in COCO's format, or null", text=True)] = Field(
        None,
        description="True boxes of a baseline in COCO's format, JSON; null = those that judge the model itself.",
        examples=["instances.json"],
    )
    by: Annotated[v.Names, Expected("a list of group columns, such as [age, sex]")] = Field(
        (), description="Group columns; all images together are always compared."
    )
    metric: Annotated[v.OptionalText, Expected("the name of a figure of `tlkit compare`, or null", text=True)] = Field(
        None,
        description="Figure of labels, grades, numbers, masks or boxes that is compared; null = accuracy, mAP, the "
        "mean absolute error, mIoU or AP, by the task.",
    )
    margin: Size = Field(
        0.0, description="Tolerated loss, from 0 to below 1, or of errors in their unit; with 0, only a gain passes."
    )


class Gates(Section):
    """The gates, and the options of the audit that decides them."""

    gates_version: Annotated[Literal[1], v.ExactInt, Expected("1")] = Field(
        description="Version of the gates format: 1.", examples=[1]
    )
    confidence: Annotated[v.Level | None, Expected("a number from 0.0001 to 0.9999, or null")] = Field(
        None,
        description=f"Level of every interval, from 0.0001 to 0.9999; null = the audited run's, else {CONFIDENCE}.",
    )
    alpha: Annotated[v.Level | None, Expected("a number from 0.0001 to 0.9999, or null")] = Field(
        None,
        description="Chance of any false alarm among the gates of one kind, from 0.0001 to 0.9999; null = the "
        f"audited run's, else {ALPHA}.",
    )
    min_group_size: Annotated[v.Count | None, Expected(f"a whole number of at least 1, up to {v.MOST:,}, or null")] = (
        Field(
            None,
            description=f"Smaller groups get no verdict, at least 1; null = the audited run's, else {MIN_GROUP_SIZE}.",
        )
    )
    weights: v.OptionalColumn = Field(None, description="Column of weights; null = those of the audited run, if any.")
    cluster_by: v.OptionalColumn = Field(
        None, description="Column of clusters, such as the subject; null = the audited run's, if any."
    )
    pair_by: v.OptionalColumn = Field(
        None,
        description="Column of matched sets, such as the scene, within which tolerances compare groups; null = the "
        "audited run's, if any.",
    )
    tolerances: Annotated[
        tuple[Tolerance, ...], Expected("a list of gates such as {by: skin_tone, tolerance: 0.05}")
    ] = Field((), description="Comparisons of groups with their complements.")
    limits: Annotated[tuple[Limit, ...], Expected("a list of gates such as {by: skin_tone, at_least: 0.8}")] = Field(
        (), description="Floors and ceilings for every group."
    )
    no_worse_than: Annotated[
        NoWorseThan | None, Expected("a section with baseline, the path of a run or of predictions")
    ] = Field(None, description="Comparison with another model on the same images.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The group columns of tolerances and limits, each once."""
        gates: tuple[Tolerance | Limit, ...] = (*self.tolerances, *self.limits)
        return tuple(dict.fromkeys(column for gate in gates for column in gate.by))


@dataclass(frozen=True)
class GatesFile:
    """Gates and their places in the file, for messages about data that do not fit them.

    Attributes:
        source: name of the file.
        gates: its content.
        document: the file as read, with the place of each value.
    """

    source: str
    gates: Gates
    document: Document

    def where(self, *path: str | int) -> str:
        """Return the place of a path, such as "gates.yaml:7", or of its nearest enclosing key."""
        return self.document.spot(path).where


def load_gates(
    path: str | os.PathLike[str], *, metrics: Sequence[str], means: Sequence[str] = (), unit_margin: bool = False
) -> GatesFile:
    """Return the gates of a file, checked as a whole.

    Args:
        path: the YAML file.
        metrics: the rates and means that an audit of the task knows.
        means: those of them that are in the unit of numbers, whose bounds may lie above 1.
        unit_margin: whether the margin of `no_worse_than` may, too.

    Raises:
        RecipeError: all problems of the file, each with its place and its remedy.
    """
    name = os.fspath(path)
    document = read_yaml(read_text(Path(name), name, kind="file of gates"), source=name)
    if not isinstance(document.value, dict) and not document.problems:
        raise RecipeError(
            f"{name}  holds no gates. Begin with gates_version: 1, and add tolerances, limits or no_worse_than; "
            "recipes/gates.yaml shows how."
        )
    gates = None
    try:
        gates = Gates.model_validate(document.value)
    except ValidationError as error:
        report_errors(error, document, root=Gates)
    for where, text in _contradictions(document.value, metrics, means, unit_margin=unit_margin):
        if where not in document.faulty:
            document.report(where, text)
    if gates is None or document.problems:
        raise RecipeError(*document.messages())
    return GatesFile(name, gates, document)


def gates_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a file of gates, for editors and other tools."""
    return schema_of(
        Gates, title="tlkit gates, version 1", description="Conditions on an audit that a build must pass."
    )


def _contradictions(
    values: Any, metrics: Sequence[str], means: Sequence[str], *, unit_margin: bool
) -> Iterator[tuple[KeyPath, str]]:
    """Yield path and message of each contradiction and each unknown metric, also where other keys are wrong."""
    if not isinstance(values, dict):
        return
    if not any(values.get(kind) for kind in ("tolerances", "limits", "no_worse_than")):
        yield (), "the file holds no gate. Add tolerances, limits or no_worse_than."
    for kind in ("tolerances", "limits"):
        gates = values.get(kind)
        for index, gate in enumerate(gates if isinstance(gates, list) else []):
            if not isinstance(gate, dict):
                continue
            here = f"{kind}[{index}]"
            metric = gate.get("metric", "accuracy")
            if isinstance(metric, str) and metric not in metrics:
                hint = did_you_mean(metric, metrics) or f" Use one of: {', '.join(metrics)}."
                yield (kind, index, "metric"), f"{here}.metric is {metric!r}, which is no rate of an audit.{hint}"
            if metric in ("accuracy", "coverage", "mean_iou", *means) and gate.get("class_name") is not None:
                yield (
                    (kind, index, "class_name"),
                    f"{here} names a class, but {metric} covers all images. Use metric: "
                    f"{'iou' if metric == 'mean_iou' else 'recall'}, or remove class_name.",
                )
            if kind == "limits":
                yield from _limit_contradictions(gate, index)
            if metric not in means:
                yield from _shares(gate, (kind, index), here)
    worse = values.get("no_worse_than")
    if isinstance(worse, dict):
        baseline = worse.get("baseline")
        if worse.get("truth") is not None and isinstance(baseline, str) and not baseline.lower().endswith(".json"):
            yield (
                ("no_worse_than", "truth"),
                f"no_worse_than.truth is for a baseline of boxes in COCO's format, and the baseline is {baseline}. "
                "Leave it out.",
            )
        if not unit_margin:
            yield from _shares(worse, ("no_worse_than",), "no_worse_than")


def _shares(gate: Mapping[str, Any], where: KeyPath, here: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield the bounds of a rate that are no share."""
    for key in ("tolerance", "margin", "at_least", "at_most"):
        value = gate.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        limit = key in ("at_least", "at_most")
        if not (0 <= value < 1 or (limit and value == 1)):
            wanted = "a number from 0 to 1" if limit else "a number from 0 to below 1"
            yield (*where, key), f"{here}.{key} is {value:g}. Use {wanted}."


def _limit_contradictions(gate: Mapping[str, Any], index: int) -> Iterator[tuple[KeyPath, str]]:
    given = [key for key in ("at_least", "at_most") if gate.get(key) is not None]
    if not given and gate.keys() <= Limit.model_fields.keys():  # else a misspelled limit is reported already
        yield ("limits", index), f"limits[{index}] sets no limit. Add at_least: 0.8, or at_most."
    numbers = [gate[key] for key in given if isinstance(gate[key], int | float)]
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        yield (
            ("limits", index, "at_most"),
            f"limits[{index}] requires at least {numbers[0]:g} and at most {numbers[1]:g}. Swap them.",
        )
