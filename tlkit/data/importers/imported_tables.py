"""Tables of an import: images by split, and skipped entries by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.data.importers.imported import Imported


def imported_tables(imported: Imported) -> tuple[Table, ...]:
    """Return images by split, and the skipped entries by reason, where there are any."""
    kind = "classes" if imported.task == "multiclass" else "labels, several for an image"
    listed = Table(
        name="imported",
        title=f"{imported.manifest}: {imported.images:,} images of {len(imported.classes):,} {kind}",
        columns=(Column("split", "split"), Column("images", "images", "count")),
        rows=tuple((split or "not stated", count) for split, count in imported.counts.items()),
        notes=tuple(f"In a recipe: {line}" for line in imported.recipe_lines.splitlines()),
    )
    if not imported.skipped:
        return (listed,)
    reasons = list(dict.fromkeys(reason for _, reason in imported.skipped))
    names = {reason: [name for name, why in imported.skipped if why == reason] for reason in reasons}
    skipped = Table(
        name="skipped",
        title="1 entry was skipped"
        if len(imported.skipped) == 1
        else f"{len(imported.skipped):,} entries were skipped",
        columns=(Column("reason", "reason"), Column("count", "entries", "count"), Column("names", "which")),
        rows=tuple((reason, len(some), first_few(some)) for reason, some in names.items()),
        notes=(f"All of them: {imported.skipped_file}",),
    )
    return (listed, skipped)
