"""Opens what a command judges, a run or a file of predictions, and audits either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from tlkit.cli.output import print_lines, print_tables
from tlkit.errors import PredictionsError

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.explanation import Explanation
    from tlkit.predictions import Predictions
    from tlkit.predictions.joined_tables import Joinable
    from tlkit.runs.run import Run


def find_run(path: Path, *, split: str | None) -> Run | None:
    """Return the run at a path, or None where the path is a file of predictions.

    Raises:
        TlkitError: it is neither a run nor a file, or a split of a file is requested.
    """
    from tlkit.parquet_tables import is_parquet_folder
    from tlkit.runs.find_run import is_run
    from tlkit.runs.run import open_run

    is_table = path.is_file() or path.suffix.lower() in (".csv", ".parquet") or is_parquet_folder(path)
    if is_table and not is_run(path):  # a run holds Parquet files, too
        if split is not None:
            raise PredictionsError(f"--split {split} is for runs; {path} is one table of predictions.")
        return None
    return open_run(path)


class FileColumns(TypedDict):
    """How a file of predictions is read: names of its columns; `verbatim` keeps the spelling of its values."""

    y_true: str
    y_pred: str
    path_column: str
    verbatim: bool


def read_file(path: Path, *, groups: Joinable | None = None, **columns: Unpack[FileColumns]) -> Predictions:
    """Return a table of predictions that any tool wrote, with the columns of the table `groups` joined.

    Where that table has the column `y_true`, it labels predictions that have no labels, such as those of `predict`.
    """
    from tlkit.predictions import read_predictions
    from tlkit.predictions.joined_tables import read_joined

    if groups is None:
        return read_predictions(path, **columns)
    y_true, verbatim = columns["y_true"], columns["verbatim"]
    groups = read_joined(groups)
    if y_true in groups.columns.columns:
        columns["y_true"] = "y_true"
    return read_predictions(path, **columns).with_groups(groups, y_true=y_true, verbatim=verbatim)


def refuse_columns(paths: Sequence[Path], *, weights: str | None = None, **columns: Unpack[FileColumns]) -> None:
    """Check that columns are not named where no file of predictions is judged, so that the names do nothing.

    Args:
        paths: what is judged.
        weights: pretrained weights, with which the path is a name of timm.
        columns: how a file is read.

    Raises:
        PredictionsError: one is named.
    """
    from tlkit.exported import is_exported
    from tlkit.runs.find_run import is_run

    predicting = [path for path in paths if weights is not None or is_exported(path)]
    runs = [path for path in paths if path not in predicting and is_run(path)]
    if len(predicting) + len(runs) < len(paths):
        return
    named = {"--y-true": (columns["y_true"], "y_true"), "--y-pred": (columns["y_pred"], "y_pred")}
    named["--path"] = (columns["path_column"], "path")
    if given := [option for option, (name, default) in named.items() if name != default]:
        why = (
            f"{predicting[0]} predicts the images of --data, whose list calls its columns path and label. Rename them "
            "there."
            if predicting
            else f"{runs[0]} is a run. Leave it out."
        )
        raise PredictionsError(*(f"{option} names a column of a file of predictions, and {why}" for option in given))


def open_run_or_file(
    path: Path, *, split: str | None, groups: Joinable | None, **columns: Unpack[FileColumns]
) -> Run | Predictions:
    """Return the run, or the predictions with columns joined.

    Raises:
        PredictionsError: columns are to be joined to a run, or are named for one.
    """
    refuse_columns([path], **columns)
    run = find_run(path, split=split)
    if run is None:
        return read_file(path, groups=groups, **columns)
    if groups is not None:
        raise PredictionsError("--groups is for a file of predictions; a run's columns come from its data.groups.")
    return run


def run_audit(
    path: Path,
    stated: Mapping[str, Any],
    *,
    split: str | None,
    groups: Joinable | None,
    table: Predictions | None = None,
    **columns: Unpack[FileColumns],
) -> tuple[Run | Predictions, Audit, Explanation]:
    """Audit a run or a file of predictions, and explain the gaps.

    Args:
        path: the run or the file.
        stated: audit options of the command line by name; None = the recipe's, or the default for a file.
        split: split of a run.
        groups: columns to join; what `read_joined` has read is not read again.
        table: predictions that were just made, in place of a run or a file.
        columns: how a file is read.

    Returns:
        The run, or the table of the file with the joined columns; the audit; the explanation of its gaps.

    Raises:
        PredictionsError: a file has no group columns.
    """
    from tlkit.audit.audit import audit_predictions
    from tlkit.audit.explain import explain_predictions
    from tlkit.audit.options import AuditOptions
    from tlkit.runs.run_options import with_all_columns

    run = find_run(path, split=split) if table is None else None
    if run is not None:
        audit = run.audit(split=split, groups=groups, **stated)
        return run, audit, run.explain(split=split, groups=groups, options=audit.settings)
    table = table or read_file(path, groups=groups, **columns)
    if not table.group_columns:
        raise PredictionsError(
            f"{path} has no group columns to audit by. Join a CSV of them, keyed by path: --groups FILE."
        )
    options = with_all_columns(AuditOptions().with_overrides(**stated), table.groups)
    return table, audit_predictions(table, options), explain_predictions(table, options)


def print_evidence(judged: Run | Predictions, audit: Audit, *, split: str | None, groups: Joinable | None) -> None:
    """Print example images for every failing row whose group is worse than its complement."""
    from tlkit.audit.error_examples import failing_group_images
    from tlkit.predictions import Predictions

    if isinstance(judged, Predictions):
        found = failing_group_images(judged, audit)
    else:
        found = judged.audit_images(split=split, groups=groups, audit=audit)
    for one in found:
        print_lines([""])
        print_tables(one.tables())
