"""`tlkit calibration`, `tlkit abstain`, `tlkit conformal`: how sure a run is, or predictions of any tool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tlkit.choices import ALPHA, COVERAGE, PATH, SET_METHOD, Y_PRED, Y_TRUE, SetMethod
from tlkit.cli.arguments import AsJson, GroupsFile, PathColumn, PredColumn, RunOrFile, SplitOption, TrueColumn, Verbatim
from tlkit.cli.output import judged_on, print_lines, print_result, require_svg, write_svg
from tlkit.cli.run_or_file import FileColumns, open_run_or_file, read_val_file
from tlkit.errors import PredictionsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.predictions import Predictions
    from tlkit.stats.logit_scaling import LogitScaling

ByColumns = Annotated[
    list[str] | None, typer.Option(help="Group column; repeat it for more. age:quantiles=4 says how to cut one.")
]
ValFile = Annotated[
    Path | None, typer.Option("--val", help="Validation predictions of the same model, for a file; a run has its own.")
]
ClusterBy = Annotated[
    str | None, typer.Option(help="Column of clusters, such as the subject; default for a run: its recipe's.")
]
WeightsColumn = Annotated[str | None, typer.Option(help="Column of the images' weights.")]
PlotFile = Annotated[Path | None, typer.Option("--plot", help="Draw the figure to this .svg file.")]


def calibration(
    run_or_file: RunOrFile,
    by: ByColumns = None,
    val: ValFile = None,
    scaling: Annotated[
        Literal["temperature", "vector", "auto"],
        typer.Option(help="What to fit on val where the model holds no scaling; auto = vector where val bears it."),
    ] = "temperature",
    split: SplitOption = None,
    groups: GroupsFile = None,
    y_true: TrueColumn = Y_TRUE,
    y_pred: PredColumn = Y_PRED,
    path: PathColumn = PATH,
    verbatim: Verbatim = False,
    cluster_by: ClusterBy = None,
    weights: WeightsColumn = None,
    plot: PlotFile = None,
    json: AsJson = False,
) -> None:
    """Compare confidence with accuracy: reliability, calibration errors beside chance, before and after scaling."""
    from tlkit.render.plots import plot_reliability
    from tlkit.stats.logit_scaling import choose_scaling, fit_scaling
    from tlkit.uncertainty.assess_calibration import assess_calibration
    from tlkit.uncertainty.group_rows import require_judgeable
    from tlkit.uncertainty.plain_uncertainty import calibration_sentence

    require_svg(plot)
    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    judged, own, held, line, units = _open(run_or_file, val, split=split, groups=groups, columns=columns)
    fitted = held
    if fitted is None and own is not None:
        known = require_judgeable(own, source="the validation predictions")
        assert known.proba is not None, "checked"
        if scaling == "auto":
            fitted = choose_scaling(known.proba, known.y_true)
        else:
            fitted = fit_scaling(known.proba, known.y_true, method=scaling)
    result = assess_calibration(
        judged, by=by or (), scaling=fitted, scaled=held is not None, cluster_by=cluster_by or units, weights=weights
    )
    _show(line, as_json=json)
    print_result(result, as_json=json, sentence=calibration_sentence(result))
    _draw(plot, lambda: plot_reliability(result))


def abstain(
    run_or_file: RunOrFile,
    by: ByColumns = None,
    risk: Annotated[
        list[float] | None,
        typer.Option(min=1e-6, max=0.999999, help="Wanted share of wrong answers; repeat it for more. Default: 0.05."),
    ] = None,
    delta: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="Chance that the guarantee of a threshold fails.")
    ] = ALPHA,
    val: ValFile = None,
    split: SplitOption = None,
    groups: GroupsFile = None,
    y_true: TrueColumn = Y_TRUE,
    y_pred: PredColumn = Y_PRED,
    path: PathColumn = PATH,
    verbatim: Verbatim = False,
    cluster_by: ClusterBy = None,
    weights: WeightsColumn = None,
    plot: PlotFile = None,
    json: AsJson = False,
) -> None:
    """Judge abstention: risk by coverage, thresholds for a wanted risk, and what they do to each group."""
    from tlkit.render.plots import plot_risk_coverage
    from tlkit.uncertainty.abstention import RISKS, assess_abstention
    from tlkit.uncertainty.plain_uncertainty import abstention_sentence
    from tlkit.uncertainty.val_scores import ValScores

    require_svg(plot)
    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    judged, own, _, line, units = _open(run_or_file, val, split=split, groups=groups, columns=columns)
    if own is None and (risk or by):
        raise PredictionsError(_no_val(run_or_file, "a threshold for a wanted risk, and what it does by group"))
    scores = None if own is None else ValScores.of(own, chose_epoch="also chose the epoch" in line)
    result = assess_abstention(
        judged,
        scores,
        risks=tuple(risk or RISKS),
        delta=delta,
        by=by or (),
        cluster_by=cluster_by or units,
        weights=weights,
    )
    _show(line, as_json=json)
    print_result(result, as_json=json, sentence=abstention_sentence(result))
    _draw(plot, lambda: plot_risk_coverage(result))


def conformal(
    run_or_file: RunOrFile,
    by: ByColumns = None,
    coverage: Annotated[
        float, typer.Option(min=1e-6, max=0.999999, help="Wanted share of sets that hold the true class.")
    ] = COVERAGE,
    method: Annotated[
        SetMethod, typer.Option(help="lac = smallest sets; aps, raps = sizes follow the difficulty.")
    ] = SET_METHOD,
    condition: Annotated[
        Literal["none", "class", "group"],
        typer.Option(help="Coverage over all images, within each class, or within each group of the first --by."),
    ] = "none",
    val: ValFile = None,
    split: SplitOption = None,
    groups: GroupsFile = None,
    y_true: TrueColumn = Y_TRUE,
    y_pred: PredColumn = Y_PRED,
    path: PathColumn = PATH,
    verbatim: Verbatim = False,
    cluster_by: ClusterBy = None,
    weights: WeightsColumn = None,
    plot: PlotFile = None,
    json: AsJson = False,
) -> None:
    """Judge conformal prediction sets that are calibrated on val: coverage and size, by class and by group."""
    from tlkit.render.plots import plot_sets
    from tlkit.uncertainty.assess_sets import assess_sets
    from tlkit.uncertainty.plain_uncertainty import sets_sentence

    require_svg(plot)
    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    needed = [text.partition(":")[0] for text in (by or ())[:1]] if condition == "group" else []
    judged, own, _, line, units = _open(run_or_file, val, split=split, groups=groups, columns=columns, needed=needed)
    if own is None:
        raise PredictionsError(_no_val(run_or_file, "prediction sets"))
    result = assess_sets(
        judged,
        own,
        coverage=coverage,
        method=method,
        condition=condition,
        by=by or (),
        cluster_by=cluster_by or units,
        weights=weights,
    )
    _show(line, as_json=json)
    print_result(result, as_json=json, sentence=sets_sentence(result))
    _draw(plot, lambda: plot_sets(result))


def _open(
    path: Path,
    val: Path | None,
    *,
    split: str | None,
    groups: Path | None,
    columns: FileColumns,
    needed: Sequence[str] = (),
) -> tuple[Predictions, Predictions | None, LogitScaling | None, str, str | None]:
    """Return the predictions to judge, those of val, the scaling in the model, a line and the clusters of a run.

    `needed` names group columns that val must have.
    """
    from tlkit.predictions import Predictions
    from tlkit.predictions.image_columns import require_apart
    from tlkit.runs.assess_split import chose_epoch
    from tlkit.runs.run_uncertainty import scaling_of, val_predictions

    beside = [] if val is None else [val]
    judged = open_run_or_file(path, split=split, groups=groups, beside=beside, **columns)
    if isinstance(judged, Predictions):
        own = None if val is None else read_val_file(val, groups=groups, needed=needed, **columns)
        if own is not None:
            require_apart(own.path, judged.path, purpose="which fits or chooses what is judged")
        return judged, own, None, "", None
    if val is not None:
        raise PredictionsError(f"--val {val} is for a file of predictions. The run {path} has its own val split.")
    name = judged.judged_split(split)
    own = val_predictions(judged, judged=name)
    line = judged_on(judged, name)
    if own is not None and chose_epoch("val", judged.history):
        line += "; val also chose the epoch"
    predictions, column = judged.predictions(name), judged.recipe.audit.pair_by or judged.recipe.audit.cluster_by
    units = column if column in predictions.group_columns else None
    return predictions, own, scaling_of(judged.directory), line, units


def _no_val(path: Path, what: str) -> str:
    return (
        f"{path} has no validation predictions beside those to judge, on which {what} must be chosen. Give a file its "
        "own with --val FILE; fit a run with both a val and a test split (data.val, data.test)."
    )


def _show(line: str, *, as_json: bool) -> None:
    if line and not as_json:
        print_lines([line, ""])


def _draw(plot: Path | None, draw: Callable[[], Axes]) -> None:
    if plot is not None:
        write_svg(plot, draw)
