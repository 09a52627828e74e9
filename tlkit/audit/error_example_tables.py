"""Tables of `GroupImages`: images of a group, and confusions that are more frequent than in the complement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Table

if TYPE_CHECKING:
    from tlkit.audit.error_examples import ConfusionShift, ErrorExample, GroupImages

MOST_IMAGES = 3


def group_images_tables(images: GroupImages) -> tuple[Table, ...]:
    """Return the table of images, then the table of confusions, if any."""
    return (images_table(images), *confusion_tables(images))


EXAMPLE_COLUMNS = (
    Column("image", "image"),
    Column("kind", "it is", "word"),
    Column("y_true", "true class"),
    Column("y_pred", "predicted class"),
    Column("loss", "loss", "number", digits=2),
    Column("margin", "margin", "number", digits=2),
)


def example_cells(one: ErrorExample, kind: str) -> tuple[Cell, ...]:
    """Return the cells of an image for `EXAMPLE_COLUMNS`; `kind` says what it is, such as "wrong"."""
    return one.path, kind, one.y_true, one.y_pred, one.loss, one.margin


def images_table(images: GroupImages, *, most: int = MOST_IMAGES) -> Table:
    """Return the wrong images with the highest loss, then the right ones with the smallest margin.

    Args:
        images: of the group.
        most: images of each kind at most.
    """
    return Table(
        name="images",
        title=f"{images.name}: {images.errors:,} of {images.n:,} images are wrong.",
        columns=(*EXAMPLE_COLUMNS, Column("near", "nearest in training")),
        rows=(
            *(_image(one, "wrong") for one in images.wrong[:most]),
            *(_image(one, "just right") for one in images.close[:most]),
        ),
    )


def confusion_tables(images: GroupImages) -> tuple[Table, ...]:
    """Return the confusions that are more frequent in the group than in the complement; empty where none is."""
    if not images.confusions:
        return ()
    return (
        Table(
            name="confusions",
            title="Confusions that are more frequent than in the complement",
            columns=(
                Column("y_true", "true class"),
                Column("y_pred", "taken for"),
                Column("k", "in the group", "count"),
                Column("n", "of", "count"),
                Column("complement_k", "in the complement", "count"),
                Column("complement_n", "of the complement's", "count"),
                Column("p_holm", "p (Holm)", "p_value"),
            ),
            rows=tuple(map(_confusion, images.confusions)),
        ),
    )


def _image(one: ErrorExample, kind: str) -> tuple[Cell, ...]:
    near = next((f"{near.path} ({near.label})" for near in one.near if near.split == "train"), None)
    return *example_cells(one, kind), near


def _confusion(one: ConfusionShift) -> tuple[Cell, ...]:
    return one.y_true, one.y_pred, one.k, one.n, one.complement_k, one.complement_n, one.p_holm
