"""`tlkit errors`, `unknown`, `drift` and `label-next`: errors, unknown images, drift, and images to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import (
    ALPHA,
    FALSE_ALARMS,
    LABEL_COUNT,
    OOD_SCORE,
    PATH,
    SELECTION,
    Y_PRED,
    Y_TRUE,
    OodScoreName,
    SelectionMethod,
)
from tlkit.cli.arguments import AsJson, GroupsFile, PathColumn, PredColumn, RunOrFile, RunPath, SplitOption, TrueColumn
from tlkit.cli.output import image_progress, print_result, require_svg, write_svg
from tlkit.cli.run_or_file import FileColumns, open_run_or_file
from tlkit.cli.unknown_output import write_contact_sheet
from tlkit.errors import DataError
from tlkit.output_files import require_writable

NewImages = Annotated[list[Path], typer.Argument(help="Images, or folders or lists of them.")]
SheetOption = Annotated[Path | None, typer.Option("--sheet", help="Draw the images into this .svg file.")]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Draw the scores into this .svg file.")]
MOST_ON_SHEET = 48


def errors(
    run_or_file: RunOrFile,
    split: SplitOption = None,
    groups: GroupsFile = None,
    cluster_by: Annotated[str | None, typer.Option(help="Column of clusters; default: the recipe's.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Draw the wrong images of each class into this .svg.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the images of a file, for --sheet.")] = None,
    y_true: TrueColumn = Y_TRUE,
    y_pred: PredColumn = Y_PRED,
    path: PathColumn = PATH,
    json: AsJson = False,
) -> None:
    """Show the images with the highest loss, the most confused pairs of classes, and the errors of each class."""
    from tlkit.analysis.find_errors import find_errors
    from tlkit.analysis.plain_findings import errors_sentence
    from tlkit.predictions import Predictions

    require_svg(sheet, option="--sheet")
    if root is not None and (sheet is None or not root.is_dir()):
        raise DataError(
            f"--root is {root}, which is no folder."
            if sheet is not None
            else f"--root {root} is the folder of the images for --sheet. Add --sheet FILE.svg, or leave it out."
        )
    columns = FileColumns(y_true=y_true, y_pred=y_pred, path_column=path, verbatim=False)
    judged = open_run_or_file(run_or_file, split=split, groups=groups, **columns)
    result = find_errors(judged, split=split, cluster_by=cluster_by)
    if sheet is not None:
        folder = (root or Path()) if isinstance(judged, Predictions) else judged.samples.root
        write_contact_sheet(
            sheet,
            {
                title: [(Path(folder, one.path), f"{one.y_pred}\n{Path(one.path).name}") for one in images]
                for title, images in result.sheets.items()
            },
        )
    print_result(result, as_json=json, sentence=errors_sentence(result))


def unknown(
    run: RunPath,
    score: Annotated[OodScoreName, typer.Option(help="Whose threshold to store.")] = OOD_SCORE,
    false_alarms: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of known images called unknown.")
    ] = FALSE_ALARMS,
    against: Annotated[
        list[Path] | None, typer.Option(help="Folder of foreign images, to measure detection; repeat it for more.")
    ] = None,
    store: Annotated[bool, typer.Option("--store/--no-store", help="Store the threshold with the model.")] = True,
    plot: PlotOption = None,
    json: AsJson = False,
) -> None:
    """Set the threshold by which `tlkit predict --unknown` calls images unknown, and show its false alarms by group."""
    from tlkit.runs.run import open_run

    require_svg(plot)
    folders = {path.name: path for path in against or ()}
    if len(folders) < len(against or ()):
        raise DataError("Two folders of --against have the same name. Rename one: the name tells them apart.")
    opened = open_run(run)
    from tlkit.analysis.find_unknown import find_unknown
    from tlkit.evaluation.unknown_tables import unknown_sentence

    with image_progress("computing features") as progress:
        result = find_unknown(
            opened, score=score, false_alarms=false_alarms, against=folders, store=store, progress=progress
        )
    if plot is not None:
        from tlkit.render.plots import plot_unknown

        write_svg(plot, lambda: plot_unknown(result))
    print_result(result, as_json=json, sentence=unknown_sentence(result))


def drift(
    run: RunPath,
    images: NewImages,
    reference: Annotated[
        str | None, typer.Option(help="Split to compare with; default: train, or test and val if fine-tuned.")
    ] = None,
    cluster_by: Annotated[
        str | None, typer.Option(help="What belongs together: folder, or a column of --groups.")
    ] = None,
    groups: Annotated[Path | None, typer.Option(help="CSV or Parquet file of columns, keyed by path.")] = None,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Chance of finding drift where there is none.")
    ] = ALPHA,
    plot: PlotOption = None,
    sheet: SheetOption = None,
    json: AsJson = False,
) -> None:
    """Test whether new images differ from those of a run, and show the most foreign ones; always exit code 0."""
    from tlkit.data.sources.listed_images import find_listed_images
    from tlkit.runs.run import open_run

    require_svg(plot)
    require_svg(sheet, option="--sheet")
    opened, files = open_run(run), find_listed_images(images)
    from tlkit.analysis.drift import drift as compare_images
    from tlkit.analysis.plain_findings import drift_sentence

    with image_progress("computing features") as progress:
        result = compare_images(
            opened, files, reference=reference, cluster_by=cluster_by, groups=groups, alpha=alpha, progress=progress
        )
    if plot is not None:
        from tlkit.render.plots import plot_drift

        write_svg(plot, lambda: plot_drift(result))
    if sheet is not None:
        foreign = result.foreign[:MOST_ON_SHEET]
        captions = [(Path(one.path), f"{one.distance:.3f}\n{Path(one.path).name}") for one in foreign]
        write_contact_sheet(sheet, {"The most foreign of the new images": captions})
    print_result(result, as_json=json, sentence=drift_sentence(result))


def label_next(
    run: RunPath,
    images: NewImages,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=1_000_000, help="How many images to choose.")
    ] = LABEL_COUNT,
    by: Annotated[SelectionMethod, typer.Option(help="How to choose.")] = SELECTION,
    forecast: Annotated[
        bool, typer.Option("--forecast/--no-forecast", help="Say what as many labels would bring.")
    ] = True,
    out: Annotated[Path | None, typer.Option(help="Write the list to this .csv file, with an empty label.")] = None,
    sheet: SheetOption = None,
    json: AsJson = False,
) -> None:
    """Choose the unlabelled images that are worth a label, and say what as many labels would bring."""
    from tlkit.csv_files import write_csv
    from tlkit.data.sources.listed_images import find_listed_images
    from tlkit.runs.run import open_run

    require_svg(sheet, option="--sheet")
    if out is not None and out.suffix.lower() != ".csv":
        raise DataError(f"--out is {out}. Use a file that ends in .csv.")
    require_writable({"--out": out})
    opened, files = open_run(run), find_listed_images(images)
    from tlkit.analysis.label_next import label_next as choose_images
    from tlkit.evaluation.label_next_tables import label_next_sentence

    with image_progress("computing features") as progress:
        result = choose_images(opened, files, count=count, by=by, forecast=forecast, progress=progress)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_csv(out, result.table(), verbatim=["path"])
    if sheet is not None:
        captions = [(Path(one.path), f"{one.predicted} or {one.second}") for one in result.images]
        write_contact_sheet(sheet, {f"To label next, by {result.method}": captions})
    print_result(result, as_json=json, sentence=label_next_sentence(result))
