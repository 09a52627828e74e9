"""Which columns a run is audited by, where nobody says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.audit.cells import columns_to_audit, say_left_out
from tlkit.audit.columns import By
from tlkit.errors import RunError
from tlkit.predictions import Predictions

if TYPE_CHECKING:
    from tlkit.pipeline.judging.judge import Run


def columns_of_run(
    run: Run,
    by: By | Sequence[By] | None,
    predictions: Predictions,
    *,
    used: Sequence[str | None] = (),
    level: int = logging.DEBUG,
) -> By | Sequence[By]:
    """Return the columns to audit by: those asked for, else the recipe's, else all that serve nothing else.

    Args:
        run: what is audited.
        by: the columns asked for.
        predictions: of the run; they say which columns there are.
        used: columns that serve something else, such as clusters.
        level: of the line in the log that names columns left out because they look like identifiers.

    Raises:
        RunError: there are none.
    """
    section = run.recipe.audit
    if columns := by or section.plain:
        return columns
    others = (*used, section.cluster_by, section.pair_by, section.weights)
    columns, identifiers = columns_to_audit(predictions.groups, used=others)
    if not columns:
        raise RunError(
            f"{run.path} has no group columns to audit by. Name a CSV of them, keyed by path (--groups FILE; in "
            "Python, tlkit.audit_groups(run.predictions().with_groups(FILE), by=[...])). Or name it in "
            "data.metadata and its columns in data.groups, and fit again."
        )
    say_left_out(identifiers, level=level)
    return columns
