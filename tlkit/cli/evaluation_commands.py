"""`tlkit evaluate`, `tlkit audit` and `tlkit compare`: judge a run or a file of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import MIN_CELL_SIZE
from tlkit.cli.arguments import (
    AsJson,
    GroupsFile,
    LabelClasses,
    LabelledData,
    ModelWeightsOption,
    PathColumn,
    PredColumn,
    RunOrFile,
    SplitOption,
    TrueColumn,
    Verbatim,
    WeightsOption,
)
from tlkit.cli.model_source import predict_source
from tlkit.cli.output import judged_on, print_json, print_lines, print_tables
from tlkit.cli.run_or_file import FileColumns, open_run_or_file, print_evidence, run_audit
from tlkit.errors import PredictionsError

MOST_CLASSES = 20  # classes that a terminal shows


def evaluate(
    run_or_file: RunOrFile,
    split: SplitOption = None,
    groups: GroupsFile = None,
    y_true: TrueColumn = "y_true",
    y_pred: PredColumn = "y_pred",
    path: PathColumn = "path",
    verbatim: Verbatim = False,
    cluster_by: Annotated[
        str | None, typer.Option(help="Column of clusters, such as the subject, in a file; a run has its recipe's.")
    ] = None,
    weights: WeightsOption = None,
    data: LabelledData = None,
    label_class: LabelClasses = None,
    json: AsJson = False,
) -> None:
    """Evaluate a run, any table of predictions, or pretrained weights: every figure with its interval."""
    from tlkit.evaluation import evaluate as evaluate_predictions
    from tlkit.evaluation.evaluation_tables import evaluation_tables
    from tlkit.predictions import Predictions

    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    of_weights = predict_source(
        run_or_file, weights=weights, data=data, classes=label_class, split=split, groups=groups
    )
    judged = of_weights or open_run_or_file(run_or_file, split=split, groups=groups, **columns)
    if isinstance(judged, Predictions):
        result = evaluate_predictions(judged, cluster_by=cluster_by)
    elif cluster_by is None:
        result = judged.evaluate(split)
    else:
        raise PredictionsError(
            f"--cluster-by {cluster_by} is for a file of predictions. The figures of {run_or_file} allow for its "
            "recipe's audit.cluster_by."
        )
    if not isinstance(judged, Predictions) and not json:
        print_lines([judged_on(judged, judged.judged_split(split)), ""])
    print_json(result.to_dict()) if json else print_tables(evaluation_tables(result, most_classes=MOST_CLASSES))


def audit(
    run_or_file: RunOrFile,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Group column; repeat it for more and their intersections; default: the recipe's, or all. "
            "age:quantiles=4, age:bins=18,65, size:order=small,large and tags:separator=; state how to cut one."
        ),
    ] = None,
    split: SplitOption = None,
    groups: GroupsFile = None,
    max_intersection_order: Annotated[int | None, typer.Option(help="Most columns crossed with each other.")] = None,
    min_group_size: Annotated[int | None, typer.Option(help="Smaller groups get no rate.")] = None,
    criteria: Annotated[
        list[str] | None,
        typer.Option(
            "--criterion",
            help="accuracy_parity, demographic_parity, equal_opportunity, equalized_odds, "
            "predictive_parity or four_fifths; repeat it for more.",
        ),
    ] = None,
    positive: Annotated[str | None, typer.Option(help="Class that the criteria are about.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest tolerated difference between a group and its complement.")
    ] = None,
    cluster_by: Annotated[str | None, typer.Option(help="Column of clusters, such as the subject.")] = None,
    pair_by: Annotated[
        str | None, typer.Option(help="Column of matched sets, within which groups are compared.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Column of the images' weights.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write counts to this new CSV, small cells hidden.")] = None,
    min_cell_size: Annotated[int, typer.Option(help="Cells of --export with fewer images are hidden.")] = MIN_CELL_SIZE,
    y_true: TrueColumn = "y_true",
    y_pred: PredColumn = "y_pred",
    path: PathColumn = "path",
    verbatim: Verbatim = False,
    gate: Annotated[Path | None, typer.Option(help="YAML file of gates; exit code 1 or 3 unless all pass.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the gates as JUnit XML.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the gates as Markdown, for a CI job's page.")] = None,
    model_weights: ModelWeightsOption = None,
    data: LabelledData = None,
    label_class: LabelClasses = None,
    json: AsJson = False,
) -> None:
    """Compare accuracy across groups of images, with intervals, tests and a verdict for each row."""
    from tlkit.audit.redaction import redacted_explanation
    from tlkit.cli.gate import finish_gate, open_gate_file
    from tlkit.predictions import Predictions
    from tlkit.runs.gate_run import gate as judge

    gates = open_gate_file(gate, junit=junit, summary=summary)
    stated = {
        "by": by or None,
        "max_intersection_order": max_intersection_order,
        "min_group_size": min_group_size,
        "criteria": criteria or None,
        "positive": positive,
        "tolerance": tolerance,
        "cluster_by": cluster_by,
        "pair_by": pair_by,
        "weights": weights,
    }
    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    of_weights = predict_source(
        run_or_file, weights=model_weights, data=data, classes=label_class, split=split, by=by or (), groups=groups
    )
    judged, result, behind = run_audit(run_or_file, stated, split=split, groups=groups, table=of_weights, **columns)
    if export is not None:
        result.export(export, min_cell_size=min_cell_size)
    verdicts = None
    if gates is not None:
        joined = None if isinstance(judged, Predictions) else groups  # a file's table has them already
        verdicts = judge(
            judged, gates, split=split, groups=joined, y_true=y_true, y_pred=y_pred, options=result.settings
        )
    if json:
        explained = redacted_explanation(behind, most=result.settings.max_half_width)
        more = {"explanation": explained} | ({"gate": verdicts.to_dict()} if verdicts else {})
        print_json(result.to_redacted() | more)
    else:
        print_tables(result.tables())
        print_lines([""])
        print_tables(behind.tables())
        print_evidence(judged, result, split=split, groups=groups)
    if verdicts is not None:
        finish_gate(verdicts, junit=junit, summary=summary, quiet=json)


def compare(
    first: RunOrFile,
    second: RunOrFile,
    by: Annotated[list[str] | None, typer.Option(help="Group column; repeat it for more. Default: all.")] = None,
    split: SplitOption = None,
    groups: GroupsFile = None,
    y_true: TrueColumn = "y_true",
    y_pred: PredColumn = "y_pred",
    path: PathColumn = "path",
    verbatim: Verbatim = False,
    json: AsJson = False,
) -> None:
    """Compare a second model with a first, image by image: overall, by class and by group."""
    from tlkit.audit.redaction import redacted_comparison
    from tlkit.runs.compare_runs import compare_with, display_names

    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    one, two = (open_run_or_file(given, split=split, groups=groups, **columns) for given in (first, second))
    result = compare_with(one, two, by=by, split=split, names=display_names(first, second))
    if json:
        print_json(redacted_comparison(result))
        return
    print_tables(result.tables())
