"""`tlkit data`: the doctor, counts, splits, the label audit, leaks, the gallery of datasets, importers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from tlkit.choices import ANNOTATIONS, TEST_SHARE, VAL_SHARE, ImportKind
from tlkit.cli.arguments import (
    MOST_REPEATS,
    MOST_SEED,
    AsJson,
    Details,
    ListAnnotations,
    ListColumns,
    ListFolder,
    ListGrades,
    ListLabelColumns,
    ListMasks,
    ListSeparator,
    ListTask,
    MaskNames,
    Overwrite,
    RunPath,
    VoidNumber,
)
from tlkit.cli.label_commands import labels
from tlkit.cli.labelled_data import named_columns
from tlkit.cli.list_source import list_source
from tlkit.cli.output import (
    image_progress,
    named_progress,
    print_json,
    print_lines,
    print_paragraphs,
    print_result,
    print_tables,
    require_own_html,
    wants_details,
)

MOST_PER_CLASS = 1_000_000
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
    per_class: Annotated[
        int | None,
        typer.Option(
            min=5,
            max=MOST_PER_CLASS,
            help="Most training images of each class, with a fifth as many in val; test stays whole.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the split.")] = 0,
) -> None:
    """Make the folder of a dataset from installed packages; no network is needed."""
    from tlkit.datasets.gallery import make_dataset_of

    card = make_dataset_of(name, dest, skew=skew, per_class=per_class, seed=seed)
    listed = [] if card.manifest is None else [f"In a recipe: data: {{manifest: {card.manifest}}}", ""]
    if listed:  # a cell of its column label may hold several
        listed.insert(0, "In a recipe: task: multilabel")
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

    columns = named_columns(column)
    print_result(import_images(kind, source, out, images=images, columns=columns), as_json=json)


@app.command()
def split(
    root: RootArguments,
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    folder: ListFolder = None,
    column: ListColumns = None,
    annotations: ListAnnotations = ANNOTATIONS,
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
    val: Annotated[
        float, typer.Option(min=0, max=1, help="Share for validation, where there is no val split.")
    ] = VAL_SHARE,
    test: Annotated[
        float, typer.Option(min=0, max=1, help="Share for test, where there is no test split.")
    ] = TEST_SHARE,
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
    with image_progress() as on_check:
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
    annotations: ListAnnotations = ANNOTATIONS,
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

    require_own_html(html, command="summary", overwrite=overwrite)
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


app.command()(labels)


@app.command()
def leaks(run: RunPath, json: AsJson = False) -> None:
    """List val and test images of a run that are also in an earlier split; for classes also the scores without them."""
    from tlkit.analysis.run_leaks import find_run_leaks
    from tlkit.data.checks.leak_tables import leak_table
    from tlkit.evaluation.evaluation_tables import accuracy_table
    from tlkit.runs.run import open_run

    opened = open_run(run)
    with image_progress() as on_check:
        table = find_run_leaks(opened, progress=on_check)
    splits = opened.directory.predicted_splits if opened.task == "multiclass" else ()
    judged = {split: opened.evaluation(split) for split in splits}
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
    annotations: ListAnnotations = ANNOTATIONS,
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
    from tlkit.data.checks.quarantine import require_new_csv, write_quarantine
    from tlkit.disk import write_text
    from tlkit.output_files import require_writable

    shown = wants_details(details)
    require_new_csv(fix)
    require_own_html(html, command="doctor", overwrite=overwrite)
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
