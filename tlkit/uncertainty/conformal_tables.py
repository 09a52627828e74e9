"""The tables of `ConformalSets`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted
from tlkit.uncertainty.calibration_tables import EVERYTHING, label_of
from tlkit.uncertainty.sampling import sampling_note

if TYPE_CHECKING:
    from tlkit.uncertainty.conformal_result import ConformalSets, SetCoverage

WITHIN = {"none": "over all images", "class": "within each class", "group": "within each group"}
MOST_CLASSES = 20


def conformal_tables(sets: ConformalSets) -> tuple[Table, ...]:
    """Return the sets of all images and groups, of the classes, and the sizes."""
    return (coverage_table(sets), classes_table(sets), sizes_table(sets))


def coverage_table(sets: ConformalSets) -> Table:
    """Return coverage and size of the sets, overall and by group."""
    designed = sets.cluster_by is not None or sets.weights is not None
    test = "binomial at the effective size" if designed else "exact binomial"
    notes = [
        f"Guarantee: over the draw of the validation images and of a new image of the same distribution, a set holds "
        f"the true class with a probability of at least {sets.wanted:g}, {WITHIN[sets.condition]}. The coverage that "
        "one draw of validation images gives varies around it.",
        f"Verdict: FAIL = below {sets.wanted:g} ({test}, Holm); PASS = at most {sets.tolerance:g} below it.",
    ]
    notes += sampling_note(sets.cluster_by, sets.clusters, sets.weights)
    if sets.unbounded:
        shown = ", ".join(sets.unbounded[:5]) + (" …" if len(sets.unbounded) > 5 else "")
        held = "every set holds the class" if sets.condition == "class" else "every set holds all classes"
        notes.append(f"NOT ENOUGH DATA for {shown}: fewer than {sets.needed} validation images, so {held}.")
    if sets.val_chose_epoch:
        notes.append("The validation images also chose the epoch, so the coverage may fall a little short.")
    title = f"{sets.method.upper()} sets at {sets.wanted:.0%}, {counted(sets.n, 'image')}, calibrated on "
    return _table("sets", title + counted(sets.n_val, "validation image"), sets, sets.rows, notes=notes)


def classes_table(sets: ConformalSets) -> Table:
    """Return the sets by true class; of more than 20 classes those with the lowest coverage."""
    shown: Sequence[SetCoverage] = [one for one in sets.per_class if one.n]
    notes = list[str]()
    if len(shown) > MOST_CLASSES:
        notes = [f"The {MOST_CLASSES} classes with the lowest coverage, of {len(shown)}."]
        shown = sorted(shown, key=lambda one: one.coverage.value or 0.0)[:MOST_CLASSES]
    return _table("sets_by_class", "By true class", sets, shown, notes=notes)


def _table(name: str, title: str, sets: ConformalSets, rows: Sequence[SetCoverage], *, notes: Sequence[str]) -> Table:
    level = f"{sets.confidence:.0%}"
    return Table(
        name=name,
        title=title,
        columns=(
            Column("part", "images of"),
            Column("n", "n", "count"),
            Column("coverage", f"coverage [{level}]", "estimate"),
            Column("verdict", "verdict", "verdict"),
            Column("size", f"mean size [{level}]", "estimate", digits=2),
            Column("single", f"one class only [{level}]", "estimate"),
            Column("empty", "empty", "count"),
        ),
        rows=tuple((_part(one), one.n, one.coverage, one.verdict, one.size, one.single, one.empty) for one in rows),
        notes=tuple(notes),
    )


def _part(one: SetCoverage) -> str:
    return one.group if one.group and not one.column else label_of(one.column, one.group) or EVERYTHING


def sizes_table(sets: ConformalSets) -> Table:
    """Return the number of sets of each size that occurs."""
    return Table(
        name="set_sizes",
        title="Sizes of the sets",
        columns=(Column("size", "classes in the set", "count"), Column("sets", "sets", "count")),
        rows=tuple((size, count) for size, count in enumerate(sets.sizes) if count),
    )
