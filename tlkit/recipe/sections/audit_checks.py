"""What contradicts itself in `audit`: columns that `data` does not carry, and designs that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.errors import did_you_mean
from tlkit.recipe.sections.contradiction import Contradiction

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


def of_audit(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield what contradicts itself about group columns and designs."""
    carried = recipe.data.groups
    asked = [("audit.by", column) for column in recipe.audit.columns]
    asked += [
        (f"audit.{name}", column)
        for name in ("cluster_by", "pair_by", "weights")
        if (column := getattr(recipe.audit, name)) is not None
    ]
    for key, column in asked:
        if not carried:
            text = f"{key} names {column!r}, but data.groups is empty. Add {column!r} to data.groups."
        elif column not in carried:
            text = f"{key} names {column!r}, but data.groups carries only {', '.join(carried)}."
            text += did_you_mean(column, carried) or f" Add it to data.groups, or remove it from {key}."
        else:
            continue
        yield Contradiction((key, "data.groups"), text)
    for one in recipe.audit.by:
        cuts = () if isinstance(one, str) else ("bins", "quantiles", "order", "separator")
        if len(given := [cut for cut in cuts if getattr(one, cut)]) > 1:
            name = one if isinstance(one, str) else one.column
            text = f"audit.by: {name} is to be cut by {' and by '.join(given)}. Keep one of them."
            yield Contradiction(("audit.by",), text)
    if recipe.audit.pair_by is not None and (recipe.audit.cluster_by or recipe.audit.weights):
        others = [name for name in ("cluster_by", "weights") if getattr(recipe.audit, name)]
        yield Contradiction(
            ("audit.pair_by", *(f"audit.{name}" for name in others)),
            f"audit.pair_by compares images within matched sets, which audit.{others[0]} does not go with. Keep one.",
        )
    if recipe.audit.weights is not None and "four_fifths" in recipe.audit.criteria:
        yield Contradiction(
            ("audit.weights", "audit.criteria"),
            "audit.criteria has four_fifths, which counts images, but audit.weights weights them. Remove one.",
        )
