"""`tlkit evaluate` and `tlkit audit`: judge a run or a file of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlkit.choices import MIN_CELL_SIZE, PATH, Y_PRED, Y_TRUE, MetricSet
from tlkit.cli.arguments import (
    MOST,
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
    MinScore,
    ModelWeightsOption,
    PathColumn,
    PredColumn,
    RunOrFile,
    SplitOption,
    TaskOption,
    TrueColumn,
    TruthFile,
    ValFile,
    Verbatim,
    VoidNumber,
)
from tlkit.cli.gate import finish_gate, open_gate_file
from tlkit.cli.judge_task_file import audit_task, evaluate_task
from tlkit.cli.labelled_data import LabelledData
from tlkit.cli.model_source import predict_source
from tlkit.cli.output import (
    judged_on,
    print_json,
    print_lines,
    print_paragraphs,
    print_tables,
    print_verdicts,
    wants_details,
)
from tlkit.cli.run_or_file import FileColumns, open_run_or_file, print_evidence, refuse_columns, run_audit
from tlkit.cli.task_file import TaskFile
from tlkit.cli.task_run import audit_run, evaluate_run, open_task_run, refuse_options
from tlkit.errors import PredictionsError

if TYPE_CHECKING:
    from tlkit.runs.run import Run

MOST_CLASSES = 20  # classes that a terminal shows


def evaluate(
    run_or_file: RunOrFile,
    split: SplitOption = None,
    groups: GroupsFile = None,
    y_true: TrueColumn = Y_TRUE,
    y_pred: PredColumn = Y_PRED,
    path: PathColumn = PATH,
    verbatim: Verbatim = False,
    cluster_by: Annotated[
        str | None, typer.Option(help="Column of clusters, such as the subject, in a file; a run has its recipe's.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Column of the images' weights, in a file.")] = None,
    metrics: Annotated[
        MetricSet, typer.Option(help="headline, or all: also MCC, kappa, AUROC, average precision, Brier score …")
    ] = "headline",
    model_weights: ModelWeightsOption = None,
    data: LabelledImages = None,
    root: DataFolder = None,
    column: DataColumns = None,
    label_column: DataLabelColumns = None,
    label_class: LabelClasses = None,
    task: TaskOption = None,
    val: ValFile = None,
    coverage: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --val and numbers: share of images that intervals hold.")
    ] = None,
    grades: Grades = None,
    separator: LabelSeparator = None,
    truth: TruthFile = None,
    min_score: MinScore = None,
    classes: MaskNames = None,
    void: VoidNumber = None,
    details: Details = False,
    json: AsJson = False,
) -> None:
    """Evaluate a run, a table of predictions, an exported file or pretrained weights: figures with intervals."""
    shown = wants_details(details)
    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    images = LabelledData.of(data, folder=root, columns=column, label_columns=label_column)
    read = [run_or_file] if val is None else [run_or_file, val]
    refuse_columns(read, weights=model_weights, groups=groups, data=data, **columns)
    of_task = TaskFile(
        path=run_or_file,
        stated=task,
        val=val,
        coverage=coverage,
        grades=grades,
        separator=separator,
        truth=truth,
        min_score=min_score,
        classes=classes,
        void=void,
        groups=groups,
        **columns,
        data=images,
        split=split,
        by=() if cluster_by is None else (cluster_by,),
    )
    of_classes = {"--model-weights": model_weights, **images.given, "--class": label_class}
    if (run := open_task_run(run_or_file)) is not None:
        of_files = {"--groups": groups, "--cluster-by": cluster_by, "--weights": weights, "--verbatim": verbatim}
        refuse_options(run, {**of_files, **of_classes, "--task": task, **of_task.for_tasks})
        evaluate_run(run, split=split, details=shown or metrics == "all", json=json)
        return
    if of_task.is_other_task:
        of_task.refuse({**of_classes, **of_task.for_files})
        evaluate_task(of_task, cluster_by=cluster_by, weights=weights, details=shown or metrics == "all", json=json)
        return
    from tlkit.evaluation import evaluate as evaluate_predictions
    from tlkit.evaluation.evaluation_tables import evaluation_tables, summary_table
    from tlkit.evaluation.plain_evaluation import evaluation_sentences
    from tlkit.predictions import Predictions

    of_weights = predict_source(
        run_or_file,
        weights=model_weights,
        data=images,
        classes=label_class,
        split=split,
        groups=groups,
        verbatim=verbatim,
    )
    judged = of_weights or open_run_or_file(run_or_file, split=split, groups=groups, **columns)
    if isinstance(judged, Predictions):
        # JSON always holds all metrics.
        computed: MetricSet = "all" if json else metrics
        result = evaluate_predictions(judged, cluster_by=cluster_by, weights=weights, metrics=computed)
    elif cluster_by is None and weights is None:
        result = judged.evaluate(split)
    else:
        given = f"--weights {weights}" if cluster_by is None else f"--cluster-by {cluster_by}"
        raise PredictionsError(
            f"{given} is for a file of predictions. The figures of {run_or_file} allow for its recipe's "
            "audit.cluster_by; they are not weighted."
        )
    if json:
        print_json(result.to_dict())
        return
    name = "" if isinstance(judged, Predictions) else judged.judged_split(split)
    head = [] if isinstance(judged, Predictions) else [judged_on(judged, name)]
    print_paragraphs([*head, *evaluation_sentences(result, split=name)])
    print_lines([""])
    if shown or metrics == "all":
        print_tables(evaluation_tables(result, most_classes=MOST_CLASSES, metrics=metrics))
    else:
        print_tables([summary_table(result)])
        print_lines(["", "Each class, and what is confused with what: --details; every metric: --metrics all"])


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
    max_intersection_order: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Most columns crossed with each other.")
    ] = None,
    min_group_size: Annotated[int | None, typer.Option(min=1, max=MOST, help="Smaller groups get no rate.")] = None,
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
        float | None,
        typer.Option(
            min=0,
            max=MOST,
            help="Largest tolerated difference between a group and its complement; at most 1, but for means.",
        ),
    ] = None,
    cluster_by: Annotated[str | None, typer.Option(help="Column of clusters, such as the subject.")] = None,
    pair_by: Annotated[
        str | None, typer.Option(help="Column of matched sets, within which groups are compared.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Column of the images' weights.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write counts to this new CSV, small cells hidden.")] = None,
    min_cell_size: Annotated[
        int, typer.Option(min=2, max=MOST, help="Cells of --export with fewer images are hidden.")
    ] = MIN_CELL_SIZE,
    y_true: TrueColumn = Y_TRUE,
    y_pred: PredColumn = Y_PRED,
    path: PathColumn = PATH,
    verbatim: Verbatim = False,
    gate: Annotated[Path | None, typer.Option(help="YAML file of gates; exit code 1 or 3 unless all pass.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the gates as JUnit XML.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the gates as Markdown, for a CI job's page.")] = None,
    model_weights: ModelWeightsOption = None,
    data: LabelledImages = None,
    root: DataFolder = None,
    column: DataColumns = None,
    label_column: DataLabelColumns = None,
    label_class: LabelClasses = None,
    sarif: Annotated[
        Path | None, typer.Option(help="Write gates that do not pass as SARIF, for code scanning.")
    ] = None,
    task: TaskOption = None,
    val: ValFile = None,
    coverage: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --val and numbers: share of images that intervals hold.")
    ] = None,
    grades: Grades = None,
    separator: LabelSeparator = None,
    truth: TruthFile = None,
    min_score: MinScore = None,
    classes: MaskNames = None,
    void: VoidNumber = None,
    details: Details = False,
    json: AsJson = False,
) -> None:
    """Compare accuracy across groups of images, with intervals, tests and a verdict for each row."""
    shown = wants_details(details)
    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    images = LabelledData.of(data, folder=root, columns=column, label_columns=label_column)
    read = [run_or_file] if val is None else [run_or_file, val]
    refuse_columns(read, weights=model_weights, groups=groups, data=data, **columns)
    of_task = TaskFile(
        path=run_or_file,
        stated=task,
        val=val,
        coverage=coverage,
        grades=grades,
        separator=separator,
        truth=truth,
        min_score=min_score,
        classes=classes,
        void=void,
        groups=groups,
        **columns,
        data=images,
        split=split,
        by=tuple(dict.fromkeys([*(text.partition(":")[0] for text in by or ()), *filter(None, (cluster_by, weights))])),
    )
    stated: dict[str, Any] = {
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
    of_classes = {"--export": export, "--model-weights": model_weights, **images.given, "--class": label_class}
    if (run := open_task_run(run_or_file)) is not None or of_task.is_other_task:
        files = {"junit": junit, "summary": summary, "sarif": sarif}
        _audit_task(run, of_task, stated, of_classes, split=split, gate=gate, files=files, details=shown, json=json)
        return
    from tlkit.audit.brief_tables import audit_sentence, brief_tables
    from tlkit.audit.cell_suppression import require_export
    from tlkit.audit.plain_verdicts import plain_verdicts
    from tlkit.audit.redaction import redacted_explanation
    from tlkit.predictions import Predictions
    from tlkit.predictions.joined_tables import read_joined
    from tlkit.runs.gate_run import gate as judge

    require_export(export, min_cell_size=min_cell_size)
    gates = open_gate_file(gate, junit=junit, summary=summary, sarif=sarif)
    of_weights = predict_source(
        run_or_file,
        weights=model_weights,
        data=images,
        classes=label_class,
        split=split,
        by=by or (),
        groups=groups,
        verbatim=verbatim,
    )
    joined = None if groups is None else read_joined(groups)
    judged, result, behind = run_audit(run_or_file, stated, split=split, groups=joined, table=of_weights, **columns)
    if export is not None:
        result.export(export, min_cell_size=min_cell_size)
    verdicts = None
    if gates is not None:
        more_groups = None if isinstance(judged, Predictions) else joined  # a file's table has them already
        verdicts = judge(
            judged, gates, split=split, groups=more_groups, y_true=y_true, y_pred=y_pred, options=result.settings
        )
    if json:
        explained = redacted_explanation(behind, most=result.settings.max_half_width)
        more = {"explanation": explained} | ({"gate": verdicts.to_dict()} if verdicts else {})
        print_json(result.to_redacted() | more)
    else:
        print_paragraphs([audit_sentence(result)])
        print_lines([""])
        print_verdicts(plain_verdicts(result))
        print_lines([""])
        if shown:
            print_tables([*result.tables(), *behind.tables()])
            print_evidence(judged, result, split=split, groups=joined)
        else:
            print_tables(brief_tables(result))
            print_lines(["", "Tests, other rates, what lies behind the gaps, and images: --details"])
    if verdicts is not None:
        finish_gate(verdicts, junit=junit, summary=summary, sarif=sarif, quiet=json)


def _audit_task(
    run: Run | None,
    file: TaskFile,
    stated: dict[str, Any],
    of_classes: Mapping[str, object],
    *,
    split: str | None,
    gate: Path | None,
    files: Mapping[str, Path | None],
    details: bool,
    json: bool,
) -> None:
    """Audit a run or a file of several labels, grades, numbers or boxes, and judge its gates.

    Raises:
        typer.Exit: with gates; 0 = all pass, 1 = one failed, 3 = not enough data.
    """
    task = file.task if run is None else run.task
    if run is not None:
        refuse_options(run, {**of_classes, "--task": file.stated, **file.for_tasks, "--verbatim": file.verbatim})
    else:
        file.refuse({**of_classes, **file.for_files})
    gates = open_gate_file(gate, junit=files["junit"], summary=files["summary"], sarif=files["sarif"], task=task)
    if run is not None:
        report = audit_run(run, stated, split=split, groups=file.groups, gates=gates, details=details, json=json)
    else:
        report = audit_task(file, stated, gates=gates, json=json)
    if report is not None:
        finish_gate(report, quiet=json, junit=files["junit"], summary=files["summary"], sarif=files["sarif"])
