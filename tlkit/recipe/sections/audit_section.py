"""The section `audit` of a recipe: the groups to compare, and the options of the comparison."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from tlkit.choices import MAX_INTERSECTION_ORDER, MIN_GROUP_SIZE, TOLERANCE, Criterion
from tlkit.column_cuts import parse_cut
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class AuditColumn(Section):
    """A group column and how it is cut into groups: one of bins, quantiles, order and separator."""

    column: Annotated[v.Text, Expected("the name of a column of data.groups, such as age", text=True)] = Field(
        description="Column of data.groups.", examples=["age"]
    )
    bins: Annotated[v.Edges, Expected("a list of rising numbers, such as [18, 65]")] = Field(
        (), description="Inner bin edges of a numeric column."
    )
    quantiles: Annotated[v.Parts | None, Expected("a whole number from 2 to 50, or null")] = Field(
        None, description="Number of quantile groups of a numeric column, 2 to 50; null = not cut."
    )
    order: Annotated[v.Names, Expected("a list of values, lowest first, such as [small, large]")] = Field(
        (), description="The values in their order, lowest first."
    )
    separator: Annotated[v.OptionalText, Expected("a text such as ';', or null", text=True)] = Field(
        None, description="Separator of several values of one image; null = each image has one value."
    )


def _cut(given: object) -> object:
    """Return a column that is written as on the command line, "age:quantiles=4", as a mapping."""
    if not isinstance(given, str):
        return given
    try:
        parsed = parse_cut(given)
        return given if parsed is None else AuditColumn.model_validate(parsed)
    except ValidationError:
        ranges = (
            "quantiles are a whole number from 2 to 50, bins are different numbers in rising order, "
            "an order names every value once"
        )
        raise v.value_error(f"is {given!r}, but {ranges}. Use such, as in 'age:quantiles=4'.") from None
    except ValueError as error:
        raise v.value_error(f"is {error}") from None


class AuditSection(Section):
    """The groups to compare, and the options of the comparison."""

    by: Annotated[
        tuple[Annotated[v.Text | AuditColumn, BeforeValidator(_cut)], ...],
        BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
        AfterValidator(v.require_different),
        Expected("a list of columns of data.groups, such as [sex, 'age:quantiles=4']"),
    ] = Field(
        (),
        description="Columns of data.groups by which the predictions are compared, each a name, a text such as "
        "age:quantiles=4, or a mapping with the way to cut it; empty = no audit.",
        examples=[["sex", {"column": "age", "quantiles": 4}]],
    )
    criteria: Annotated[
        tuple[Criterion, ...],
        AfterValidator(v.require_different),
        Expected(f"a list of criteria, such as [equal_opportunity]; there are {', '.join(get_args(Criterion))}"),
    ] = Field(
        (), description="Fairness criteria whose rates are compared in addition; the audit explains each of them."
    )
    positive: Annotated[v.OptionalText, Expected("the name of a class, or null", text=True)] = Field(
        None, description="The class that the criteria are about; null = the second of two classes, or each of more."
    )
    tolerance: v.BelowOne = Field(
        TOLERANCE,
        description="Largest tolerated difference between a group and its complement, at least 0 and below 1.",
    )
    cluster_by: v.OptionalColumn = Field(
        None, description="Column of clusters, such as the subject; null = independent images."
    )
    pair_by: v.OptionalColumn = Field(
        None, description="Column of matched sets, within which groups are compared; null = not matched."
    )
    weights: v.OptionalColumn = Field(
        None, description="Column of image weights, numbers of at least 0; null = equal weights."
    )
    max_intersection_order: v.Count = Field(
        MAX_INTERSECTION_ORDER, description="Most columns of an intersection, at least 1."
    )
    min_group_size: v.Count = Field(
        MIN_GROUP_SIZE, description="Groups with fewer images than this get no rate, only their size, at least 1."
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in `by`."""
        return tuple(one if isinstance(one, str) else one.column for one in self.by)

    @property
    def plain(self) -> list[str | dict[str, Any]]:
        """The entries of `by` as names and plain mappings."""
        return [one if isinstance(one, str) else one.model_dump() for one in self.by]
