"""`tlkit compare`: models image by image, from runs or files of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tlkit.choices import PATH, Y_PRED, Y_TRUE
from tlkit.cli.arguments import (
    AsJson,
    DataColumns,
    DataFolder,
    DataLabelColumns,
    Details,
    Grades,
    GroupsFile,
    LabelClasses,
    LabelledImages,
    LabelSeparator,
    MaskNames,
    PathColumn,
    PredColumn,
    RunOrFile,
    SplitOption,
    TaskOption,
    TrueColumn,
    TruthFile,
    Verbatim,
    VoidNumber,
)
from tlkit.cli.labelled_data import LabelledData
from tlkit.cli.model_source import open_compared
from tlkit.cli.output import print_json, print_lines, print_paragraphs, print_tables, wants_details
from tlkit.cli.run_or_file import FileColumns, refuse_columns
from tlkit.cli.task_compare import compare_task_pair, open_task_models
from tlkit.cli.task_file import TaskFile
from tlkit.errors import PredictionsError


def compare(
    first: RunOrFile,
    second: RunOrFile,
    others: Annotated[list[Path] | None, typer.Argument(metavar="[MORE]...", help="More of them.")] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric, such as macro_f1, mcc, auroc, log_loss, top_5 or recall:cat; default: accuracy, or all "
            "figures of labels, grades, numbers, masks or boxes."
        ),
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="Group column; repeat it for more. Default: all.")] = None,
    cluster_by: Annotated[str | None, typer.Option(help="Column of clusters; default: the recipe's.")] = None,
    weights: Annotated[str | None, typer.Option(help="Column of the images' weights; default: the recipe's.")] = None,
    split: SplitOption = None,
    groups: GroupsFile = None,
    y_true: TrueColumn = Y_TRUE,
    y_pred: PredColumn = Y_PRED,
    path: PathColumn = PATH,
    verbatim: Verbatim = False,
    data: LabelledImages = None,
    root: DataFolder = None,
    column: DataColumns = None,
    label_column: DataLabelColumns = None,
    label_class: LabelClasses = None,
    task: TaskOption = None,
    grades: Grades = None,
    separator: LabelSeparator = None,
    truth: TruthFile = None,
    classes: MaskNames = None,
    void: VoidNumber = None,
    details: Details = False,
    json: AsJson = False,
) -> None:
    """Compare models image by image: two by accuracy, class and group; several, or by another metric, pair by pair."""
    shown = wants_details(details)
    from tlkit.audit.comparison_tables import comparison_sentences
    from tlkit.audit.redaction import redacted_comparison
    from tlkit.predictions.joined_tables import read_joined
    from tlkit.runs.compare_runs import compare_models_by, compare_with, display_names

    paths = (first, second, *(others or []))
    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    images = LabelledData.of(data, folder=root, columns=column, label_columns=label_column)
    refuse_columns(paths, groups=groups, data=data, **columns)
    files = [
        TaskFile(
            path=one,
            stated=task,
            grades=grades,
            separator=separator,
            truth=truth,
            classes=classes,
            void=void,
            groups=groups,
            **columns,
            data=images,
            split=split,
            by=tuple(text.partition(":")[0] for text in by or ()),
        )
        for one in paths
    ]
    design: dict[str, Any] = {"split": split, "cluster_by": cluster_by, "weights": weights}
    found = open_task_models(files, split=split, refused={"--class": label_class})
    if found is not None and len(found) == 2:
        compare_task_pair(found, display_names(*paths), metric=metric, by=by, details=shown, json=json, **design)
        return
    joined = None if groups is None else read_joined(groups)
    models: Sequence[Any] = found or open_compared(
        paths, split=split, groups=joined, data=images, classes=label_class, by=by or (), **columns
    )
    names = display_names(*paths)
    if metric is not None or len(models) > 2:
        if by:
            raise PredictionsError(
                "--by is for two models, those of classes by accuracy. Leave it out, or --metric and a third."
            )
        compared = compare_models_by(dict(zip(names, models, strict=True)), metric, **design)
        print_json(compared.to_dict()) if json else print_tables(compared.tables())
        return
    result = compare_with(*models, by=by, names=(names[0], names[1]), **design)
    if json:
        print_json(redacted_comparison(result))
        return
    print_paragraphs(comparison_sentences(result))
    print_lines([""])
    if shown:
        print_tables(result.tables())
    else:
        print_lines(["Every class and group, with intervals and tests: --details"])
