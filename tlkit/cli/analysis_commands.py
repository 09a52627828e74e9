"""`tlkit advise`, `slices`, `repair` and `learning-curve`: questions that need images or features again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import CURVE_REPEATS, FOLDS, HEAD, PATH, REPAIR_MARGIN, SLICE_CLUSTERS, Y_PRED, Y_TRUE, HeadKind
from tlkit.cli.arguments import (
    MOST,
    MOST_REPEATS,
    AsJson,
    DeviceOption,
    FoldsOption,
    FrozenRunPath,
    Grades,
    LabelSeparator,
    ListColumns,
    ListFolder,
    MaskNames,
    OverwriteRun,
    PathColumn,
    PredColumn,
    RunOrFile,
    RunPath,
    SplitOption,
    TaskOption,
    TrueColumn,
    TruthFile,
    Verbatim,
    VoidNumber,
)
from tlkit.cli.labelled_data import LabelledData
from tlkit.cli.output import (
    image_progress,
    named_progress,
    print_json,
    print_result,
    print_tables,
    require_svg,
    write_svg,
)
from tlkit.cli.run_or_file import FileColumns, open_run_or_file, refuse_columns
from tlkit.cli.task_file import TaskFile
from tlkit.cli.task_run import open_task_run, refuse_options
from tlkit.errors import PredictionsError

MOST_PARAMETERS = 1e15


def advise(
    data: Annotated[Path, typer.Argument(help="A folder of class folders, a list of images, a tar shard, or a run.")],
    root: ListFolder = None,
    column: ListColumns = None,
    backbones: Annotated[
        list[str] | None,
        typer.Option(help="timm name, part or pattern of one, or NAME@WEIGHTS; repeat it. Default: all installed."),
    ] = None,
    max_params: Annotated[
        float | None, typer.Option(min=0, max=MOST_PARAMETERS, help="Most parameters, such as 25e6.")
    ] = None,
    max_latency_ms: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MOST,
            help="Budget of milliseconds per image on this machine; slower ones are marked, not refused.",
        ),
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option("--licence", "--license", help="Allowed licence, such as mit or 'apache-*'; repeat it."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch weights that are named in full.")] = False,
    folds: FoldsOption = FOLDS,
    device: DeviceOption = "auto",
    plot: Annotated[Path | None, typer.Option(help="Draw accuracy against latency into this .svg file.")] = None,
    json: AsJson = False,
) -> None:
    """Rank pretrained backbones on your own images, and say which ones the images cannot tell apart."""
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.data.sources.read_samples import require_source
    from tlkit.runs.directory import MARKER

    require_svg(plot)
    listed = LabelledData.of(data, folder=root, columns=column)
    if not (data / MARKER).is_file():
        require_source(data)
    keep_freed_memory()
    from tlkit.analysis.advise import advise as advise_on
    from tlkit.inference.embed_options import EmbedOptions

    with named_progress() as on_image:
        result = advise_on(
            data if root is None and not column else listed.samples(),
            backbones=backbones or (),
            max_params=max_params,
            max_latency_ms=max_latency_ms,
            licenses=licence or (),
            folds=folds,
            embedding=EmbedOptions(device=device),
            download=download,
            progress=on_image,
        )
    if plot is not None:
        from tlkit.render.plots import plot_advice

        write_svg(plot, lambda: plot_advice(result))
    print_result(result, as_json=json)


def slices(
    run_or_file: RunOrFile,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Column to search; repeat it for more. Default: all measured or joined."),
    ] = None,
    split: SplitOption = None,
    groups: Annotated[Path | None, typer.Option(help="CSV of columns keyed by path, to join to a file.")] = None,
    clusters: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST_REPEATS, help=f"Clusters of a run's features; 0 = none; default: {SLICE_CLUSTERS}."
        ),
    ] = None,
    min_images: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Fewest images of a slice in each half of the data.")
    ] = None,
    y_true: TrueColumn = Y_TRUE,
    y_pred: PredColumn = Y_PRED,
    path: PathColumn = PATH,
    verbatim: Verbatim = False,
    task: TaskOption = None,
    grades: Grades = None,
    separator: LabelSeparator = None,
    truth: TruthFile = None,
    classes: MaskNames = None,
    void: VoidNumber = None,
    json: AsJson = False,
) -> None:
    """Find undeclared groups of images with more errors: dark, blurred, of one camera, similar by features."""
    read_as = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=verbatim)
    refuse_columns([run_or_file], groups=groups, **read_as)
    file = TaskFile(
        path=run_or_file,
        stated=task,
        grades=grades,
        separator=separator,
        truth=truth,
        classes=classes,
        void=void,
        groups=groups,
        **read_as,
    )
    run, count = open_task_run(run_or_file), SLICE_CLUSTERS if clusters is None else clusters
    if run is not None or file.is_other_task:
        from tlkit.analysis.slices_of_tasks import find_task_slices

        if run is not None:
            refuse_options(run, {"--task": task, **file.for_tasks, "--groups": groups, "--verbatim": verbatim})
        else:
            file.refuse({"--split": split, "--clusters": clusters})
        source = run or file.open_table()
        with image_progress("measuring images") as progress:
            found = find_task_slices(
                source, columns, split=split, clusters=count, min_images=min_images, progress=progress
            )
        print_result(found, as_json=json)
        return
    from tlkit.analysis.find_slices import find_slices
    from tlkit.runs.find_run import is_run

    if clusters and not is_run(run_or_file):
        raise PredictionsError(f"--clusters {clusters} is for runs, whose features are at hand. Leave it out.")

    judged = open_run_or_file(run_or_file, split=split, groups=groups, **read_as)
    with image_progress("measuring images") as progress:
        result = find_slices(judged, columns, split=split, clusters=count, min_images=min_images, progress=progress)
    print_result(result, as_json=json)


def repair(
    run: RunPath,
    by: Annotated[
        list[str] | None, typer.Option(help="Group column; repeat it for their intersection. None: the worst class.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new run; default: the run's with -repaired.")] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Largest overall loss that counts as not inferior.")
    ] = REPAIR_MARGIN,
    min_group_size: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Fewest validation images of a group.")
    ] = None,
    allow_attribute: Annotated[
        bool, typer.Option("--allow-attribute", help="Allow methods that need the group to predict.")
    ] = False,
    overwrite: OverwriteRun = False,
    json: AsJson = False,
) -> None:
    """Refit a run's head for its worst group: chosen on val, judged on test, written as a new run."""
    from tlkit.analysis.repair import repair as repair_run
    from tlkit.audit.redaction import redacted_comparison

    result = repair_run(
        run,
        by=by or (),
        name=name,
        margin=margin,
        min_group_size=min_group_size,
        allow_attribute=allow_attribute,
        overwrite=overwrite,
    )
    if json:
        values = result.to_dict()
        print_json(
            values if result.comparison is None else values | {"comparison": redacted_comparison(result.comparison)}
        )
        return
    print_tables(result.tables())


def learning_curve(
    run: FrozenRunPath,
    head: Annotated[HeadKind, typer.Option(help="Kind of the head.")] = HEAD,
    more: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Number of additional images to forecast for.")
    ] = None,
    folds: FoldsOption = FOLDS,
    repeats: Annotated[
        int, typer.Option(min=1, max=MOST_REPEATS, help="Repetitions with new folds and subsets.")
    ] = CURVE_REPEATS,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve into this .svg file.")] = None,
    json: AsJson = False,
) -> None:
    """Measure accuracy against the number of training images, and forecast the gain from more of them."""
    from tlkit.analysis.run_analyses import learning_curve

    require_svg(plot)
    result = learning_curve(run, head=head, folds=folds, repeats=repeats)
    if plot is not None:
        from tlkit.render.plots import plot_curve

        write_svg(plot, lambda: plot_curve(result, more=more))
    if json:
        added = result.default_more if more is None else more
        print_json(result.to_dict() | {"forecast": {"more": added, "gain": result.gain(added).to_dict()}})
        return
    print_tables(result.tables(more=more))
