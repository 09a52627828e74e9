"""Tables of the gallery: one row for each dataset, and the facts of a single one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Table

if TYPE_CHECKING:
    from tlkit.datasets.gallery import Gallery
    from tlkit.datasets.gallery_entry import GalleryEntry


def gallery_tables(gallery: Gallery) -> tuple[Table, ...]:
    """Return one row for each dataset: what it shows, its size and licence, and how to get it."""
    here = sum(entry.here for entry in gallery.entries)
    return (
        Table(
            name="gallery",
            title=f"{len(gallery.entries)} datasets, {here} of them here",
            columns=(
                Column("name", "name", "word"),
                Column("here", "here", "flag"),
                Column("images", "images", "count"),
                Column("classes", "classes", "count"),
                Column("task", "task", "word"),
                Column("summary", "what the images show"),
                Column("columns", "groups"),
                Column("license", "licence"),
                Column("size", "size", "bytes"),
                Column("install", "to install it"),
            ),
            rows=tuple(map(_row, gallery.entries)),
            notes=(
                "In a recipe: data: {name: NAME}. As a folder: tlkit data sample NAME FOLDER. Licence, attribution and "
                "digest of one: tlkit data gallery NAME.",
            ),
        ),
    )


def _row(entry: GalleryEntry) -> tuple[Cell, ...]:
    return (
        entry.name,
        entry.here,
        entry.images,
        entry.classes,
        entry.task,
        entry.summary,
        ", ".join(entry.columns) or None,
        entry.license + ("" if entry.commercial else " (no commercial use)"),
        round(entry.megabytes * 1e6),
        None if entry.here else entry.install,
    )


def entry_tables(entry: GalleryEntry) -> tuple[Table, ...]:
    """Return what is known of one dataset, a fact in each row."""
    installed = {one.name: one.version() if one.folder() is not None else "not installed" for one in entry.packages}
    facts: tuple[tuple[str, str], ...] = (
        ("images", f"{entry.images:,} of {entry.classes:,} classes; {entry.megabytes:g} MB when made"),
        ("task", entry.task),
        ("groups", ", ".join(entry.columns) or "none"),
        ("licence", entry.license + ("" if entry.commercial else " (no commercial use)")),
        ("packages", ", ".join(f"{name} {version}" for name, version in installed.items())),
        ("tested with", ", ".join(f"{one.name} {one.tested}" for one in entry.packages)),
        ("SHA-256 of the files", entry.sha256),
        ("to install it", entry.install),
        ("about", entry.about),
        ("attribution", entry.attribution),
    )
    columns = (Column("fact", ""), Column("value", ""))
    title = f"{entry.name}: {entry.summary}" + ("" if entry.here else " (not installed)")
    return (Table("dataset", title, columns, facts),)
