"""Opens what a command judges, a run or a file of predictions, and audits either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


RUN_COLUMNS = FileColumns(y_true="y_true", y_pred="y_pred", path_column="path", verbatim=False)
"""How the predictions of a run are read."""


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


def read_val_file(
    path: Path, *, groups: Joinable | None, needed: Sequence[str] = (), **columns: Unpack[FileColumns]
) -> Predictions:
    """Return the predictions of val in a file.

    Columns of the table `groups` are joined only where the file has no labels of its own, or lacks a needed column:
    a table of the judged images alone need not name those of val.

    Args:
        path: the file.
        groups: as for `read_file`.
        needed: group columns that val must have.
        columns: how the file is read.
    """
    from tlkit.predictions import read_predictions
    from tlkit.predictions.joined_tables import read_joined

    if groups is None:
        return read_predictions(path, **columns)
    groups, stated = read_joined(groups), columns["y_true"]
    columns["y_true"] = truth_of_val(path, groups.columns.columns, y_true=stated, path_column=columns["path_column"])
    found = read_predictions(path, **columns)
    is_labelled = bool((found.y_true >= 0).any())
    if is_labelled and set(needed) <= set(found.group_columns):
        return found
    y_true = "y_true" if is_labelled else stated  # labels of the file itself stay
    return found.with_groups(groups, y_true=y_true, verbatim=columns["verbatim"])


def truth_of_val(
    path: Path, joined: Iterable[str], *, y_true: str, path_column: str, several_labels: bool = False
) -> str:
    """Return the column of the truth in a file of val, beside a table that may hold the truth in its place.

    Args:
        path: the file.
        joined: columns of the table.
        y_true: the column that the command line names.
        path_column: column of the paths.
        several_labels: whether the truth may be columns of one label each, named `y_true` and "_" and the label.
    """
    from tlkit.predictions.reading import open_table
    from tlkit.predictions.validation import Y_TRUE

    def named(columns: Iterable[str]) -> bool:
        names = list(map(str, columns))
        return y_true in names or (several_labels and any(name.startswith(f"{y_true}_") for name in names))

    if y_true == Y_TRUE or not named(joined) or named(open_table(path, path_column=path_column)[0].columns):
        return y_true
    return Y_TRUE


def refuse_columns(
    paths: Sequence[Path],
    *,
    weights: str | None = None,
    groups: Joinable | None = None,
    data: Path | None = None,
    **columns: Unpack[FileColumns],
) -> None:
    """Check that options about a file of predictions are not given where none is read, so that they do nothing.

    Args:
        paths: what is judged.
        weights: pretrained weights, with which the path is a name of timm.
        groups: columns to join.
        data: labelled images to predict.
        columns: how a file is read.

    Raises:
        PredictionsError: a column is named, or spellings are to be kept, in vain.
    """
    from tlkit.exported import is_exported
    from tlkit.runs.find_run import is_run

    predicting = [path for path in paths if weights is not None or is_exported(path)]
    runs = [path for path in paths if path not in predicting and is_run(path)]
    files = [path for path in paths if path not in predicting and path not in runs]
    if columns["verbatim"]:
        _refuse_verbatim(runs, files, predicting, joins=groups is not None, reads=data is not None)
    if files:
        return
    named = {"--y-true": (columns["y_true"], "y_true"), "--y-pred": (columns["y_pred"], "y_pred")}
    named["--path"] = (columns["path_column"], "path")
    if given := [option for option, (name, default) in named.items() if name != default]:
        why = (
            f"{predicting[0]} predicts the images of --data. Name the columns of their list: --column path=NAME, "
            "--column label=NAME."
            if predicting
            else f"{runs[0]} is a run. Leave it out."
        )
        raise PredictionsError(*(f"{option} names a column of a file of predictions, and {why}" for option in given))


def _refuse_verbatim(
    runs: Sequence[Path], files: Sequence[Path], predicting: Sequence[Path], *, joins: bool, reads: bool
) -> None:
    """Check that some text is read whose spelling --verbatim can keep.

    Args:
        runs: runs that are judged.
        files: files of predictions.
        predicting: models that predict labelled images.
        joins: whether columns are joined to files.
        reads: whether the labels of these images are read, not those of a run.

    Raises:
        PredictionsError: none is.
    """
    from tlkit.predictions.task_reading import task_of_file

    if reads or (joins and (files or predicting)):
        return
    kept = dict.fromkeys(runs, "is a run") | dict.fromkeys(predicting, "is a model without --data")
    kept |= {path: "was written by tlkit" for path in files if task_of_file(path) is not None}
    if len(kept) < len(set(runs) | set(files) | set(predicting)):
        return
    path, why = next(iter(kept.items()))
    raise PredictionsError(
        f"--verbatim keeps the spelling of classes and groups in files of other tools, and {path} {why}, so it would "
        "do nothing. Leave it out."
    )


def open_run_or_file(
    path: Path,
    *,
    split: str | None,
    groups: Joinable | None,
    beside: Sequence[Path] = (),
    **columns: Unpack[FileColumns],
) -> Run | Predictions:
    """Return the run, or the predictions with columns joined.

    Args:
        path: the run or the file.
        split: split of a run.
        groups: columns to join to a file.
        beside: other files that the same options are about, such as that of val.
        columns: how a file is read.

    Raises:
        PredictionsError: columns are to be joined to a run, or are named for one.
    """
    refuse_columns([path, *beside], groups=groups, **columns)
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
