"""Rows of images by group, and checks of predictions whose probabilities are to be judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tlkit.arrays import Floats, Mask
from tlkit.audit.group_tables import CROSS, MISSING
from tlkit.audit.groups.group_columns import By, GroupColumn, columns_of, discretize
from tlkit.audit.groups.intersections import membership_of, validate_columns
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions
from tlkit.predictions.validation import no_label

NO_PROBA = (
    "{source} hold no probabilities (columns proba_<class>), on which calibration, abstention and sets rest. "
    "Write them with the predictions."
)


@dataclass(frozen=True)
class GroupRows:
    """The images of one group.

    Attributes:
        column: the group column.
        group: name of the group; "(missing)" = the images without a value.
        rows: which images, shape (N,).
    """

    column: str
    group: str
    rows: Mask


def require_judgeable(
    predictions: Predictions, by: By | Sequence[By] = (), *, source: str = "the predictions"
) -> Predictions:
    """Return the labelled images, after checking that there are labels, probabilities and the columns.

    Args:
        predictions: of a model.
        by: group columns, as `tlkit.audit_groups` takes them.
        source: what the predictions are, for messages.

    Raises:
        PredictionsError: no image has a label, there are no probabilities, or a column is missing or cannot be cut.
    """
    problems = list[str]()
    if predictions.proba is None:
        problems.append(NO_PROBA.format(source=source[:1].upper() + source[1:]))
    if not (predictions.y_true >= 0).any():
        columns = predictions.group_columns
        problems.append(no_label(len(predictions), consequence="there is nothing to judge", group_columns=columns))
    if by:
        problems += validate_columns(predictions.groups, by)
    if problems:
        raise PredictionsError(*problems)
    return predictions.labelled


def fixed_columns(predictions: Predictions, by: By | Sequence[By]) -> tuple[GroupColumn, ...]:
    """Return the columns, those of numbers with the edges of their bins: parts of the images then have the same groups.

    Args:
        predictions: all images.
        by: checked group columns.
    """
    found = []
    for spec in columns_of(by):
        edges = discretize(predictions.groups[spec.column], spec).edges
        found.append(replace(spec, bins=edges, quantiles=None) if edges else spec)
    return tuple(found)


def group_rows(predictions: Predictions, columns: Sequence[GroupColumn]) -> Iterator[GroupRows]:
    """Yield the images of each group that has images, by column, in the order of its values; last those without one.

    Args:
        predictions: the images.
        columns: checked group columns.
    """
    for spec in columns:
        membership = membership_of(predictions.groups, (spec,))
        for place, values in enumerate(membership.values):
            if (inside := membership.inside(place)).any():
                yield GroupRows(spec.column, CROSS.join(values), inside)
        if (missing := membership.inside(None)).any():
            yield GroupRows(spec.column, MISSING, missing)


def probabilities_of(predictions: Predictions) -> Floats:
    """Return the probabilities of checked predictions, shape (N, C)."""
    assert predictions.proba is not None, "checked by require_judgeable"
    return predictions.proba
