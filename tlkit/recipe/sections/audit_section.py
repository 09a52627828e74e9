"""The section `audit` of a recipe: which groups are compared, and how."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field

from tlkit.choices import MAX_INTERSECTION_ORDER, MIN_GROUP_SIZE, TOLERANCE, Criterion
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class AuditColumn(Section):
    """A group column with the way to cut it into groups; one of bins, quantiles, order and separator."""

    column: Annotated[v.Text, Expected("the name of a column of data.groups, such as age", text=True)] = Field(
        description="Column of data.groups.", examples=["age"]
    )
    bins: Annotated[v.Edges, Expected("a list of rising numbers, such as [18, 65]")] = Field(
        (), description="Inner edges of the bins of a number."
    )
    quantiles: Annotated[v.Parts | None, Expected("a whole number from 2 to 50, or null")] = Field(
        None, description="Groups of about equal size to cut a number into, 2 to 50; null = not cut."
    )
    order: Annotated[v.Names, Expected("a list of values, lowest first, such as [small, large]")] = Field(
        (), description="The values in their order, lowest first."
    )
    separator: Annotated[v.OptionalText, Expected("a text such as ';', or null", text=True)] = Field(
        None, description="What separates the values where an image has several; null = an image has one."
    )


class AuditSection(Section):
    """Which subgroups are compared."""

    by: Annotated[
        tuple[v.Text | AuditColumn, ...],
        AfterValidator(v.each_once),
        Expected("a list of columns of data.groups, such as [sex, {column: age, quantiles: 4}]"),
    ] = Field(
        (),
        description="Columns of data.groups by which the predictions are compared, each a name or a mapping that says "
        "how to cut it; empty = no audit.",
        examples=[["sex", {"column": "age", "quantiles": 4}]],
    )
    criteria: Annotated[
        tuple[Criterion, ...],
        AfterValidator(v.each_once),
        Expected(f"a list of criteria, such as [equal_opportunity]; there are {', '.join(get_args(Criterion))}"),
    ] = Field(
        (), description="Criteria whose rates are compared, too: what they ask and leave out stands in the audit."
    )
    positive: Annotated[v.OptionalText, Expected("the name of a class, or null", text=True)] = Field(
        None, description="The class that the criteria are about; null = the second of two classes, or each of more."
    )
    tolerance: v.Tolerance = Field(
        TOLERANCE, description="Largest difference from the rest that is tolerated, at least 0 and below 1."
    )
    cluster_by: Annotated[v.OptionalText, Expected("a column of data.groups, or null", text=True)] = Field(
        None, description="Column of what belongs together, such as the subject; null = independent images."
    )
    pair_by: Annotated[v.OptionalText, Expected("a column of data.groups, or null", text=True)] = Field(
        None, description="Column of matched sets, within which groups are compared; null = not matched."
    )
    weights: Annotated[v.OptionalText, Expected("a column of data.groups, or null", text=True)] = Field(
        None, description="Column of numbers of at least 0 that weight the images; null = all alike."
    )
    max_intersection_order: v.Count = Field(
        MAX_INTERSECTION_ORDER, description="Most columns that are crossed with each other, at least 1."
    )
    min_group_size: v.Count = Field(
        MIN_GROUP_SIZE,
        description="Groups with fewer images than this are shown with their size instead of a rate, at least 1.",
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in `by`."""
        return tuple(one if isinstance(one, str) else one.column for one in self.by)

    @property
    def plain(self) -> list[str | dict[str, Any]]:
        """The entries of `by` as names and plain mappings."""
        return [one if isinstance(one, str) else one.model_dump() for one in self.by]
