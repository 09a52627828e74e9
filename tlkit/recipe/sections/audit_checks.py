"""Cross-checks of `audit`: columns that `data` does not carry, and options that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.choices import OBJECT_SIZE
from tlkit.errors import did_you_mean
from tlkit.recipe.sections.section import Contradiction

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


def audit_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions about group columns, clusters, matched sets and weights."""
    audit, carried = recipe.audit, recipe.data.groups
    special = ((f"audit.{name}", getattr(audit, name)) for name in ("cluster_by", "pair_by", "weights"))
    for key, column in [*(("audit.by", column) for column in audit.columns), *special]:
        of_boxes = key == "audit.by" and column == OBJECT_SIZE and recipe.task == "detection"
        if column is None or column in carried or of_boxes:
            continue
        if not carried:
            text = f"{key} names {column!r}, but data.groups is empty. Add {column!r} to data.groups."
        else:
            text = f"{key} names {column!r}, but data.groups has only {', '.join(carried)}."
            text += did_you_mean(column, carried) or f" Add it to data.groups, or remove it from {key}."
        yield Contradiction((key, "data.groups"), text)
    for one in audit.by:
        if isinstance(one, str):
            continue
        cuts = [cut for cut in ("bins", "quantiles", "order", "separator") if getattr(one, cut)]
        if len(cuts) > 1:
            text = f"audit.by: {one.column} is cut by {' and by '.join(cuts)}. Keep one of them."
            yield Contradiction(("audit.by",), text)
    others = [f"audit.{name}" for name in ("cluster_by", "weights") if getattr(audit, name)]
    if audit.pair_by is not None and others:
        yield Contradiction(
            ("audit.pair_by", *others),
            f"audit.pair_by compares images within matched sets, which excludes {others[0]}. Keep one of them.",
        )
    if audit.weights is not None and "four_fifths" in audit.criteria:
        yield Contradiction(
            ("audit.weights", "audit.criteria"),
            "audit.criteria has four_fifths, which counts images, but audit.weights weights them. Remove one.",
        )
