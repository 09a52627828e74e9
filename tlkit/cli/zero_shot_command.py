"""`tlkit zero-shot`: classifies images by the names of classes, with an image-text model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import TEMPLATES
from tlkit.cli.arguments import AsJson, Details, DeviceOption, ListColumns, ListFolder
from tlkit.cli.labelled_data import LabelledData
from tlkit.cli.output import (
    image_progress,
    print_json,
    print_lines,
    print_paragraphs,
    print_tables,
    require_predictions_file,
    wants_details,
    write_predictions,
)
from tlkit.errors import DataError
from tlkit.output_files import require_folder


def zero_shot(
    classes: Annotated[
        Path, typer.Argument(metavar="CLASSES", help="A text file: a line `name` or `name = word | word` for a class.")
    ],
    images: Annotated[Path, typer.Argument(help="A folder of images or of class folders, a list, or a tar shard.")],
    model: Annotated[
        str, typer.Option(help="hf-hub:ORG/REPO, a folder of that form, or a name of open_clip with --weights.")
    ],
    weights: Annotated[Path | None, typer.Option(help="File of weights, for a name of open_clip.")] = None,
    templates: Annotated[
        str, typer.Option(help="Prompts: simple (7), imagenet (80), plain (the bare name), or a file of one a line.")
    ] = TEMPLATES,
    synonyms: Annotated[
        Path | None, typer.Option(help="File of lines `name = word`: what other words for a class change.")
    ] = None,
    val: Annotated[
        Path | None, typer.Option(help="Labelled images, none of them judged, on which a temperature is fitted.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write predictions to this .csv, .parquet or .jsonl file.")] = None,
    split: Annotated[str | None, typer.Option(help="Only the images of this split.")] = None,
    root: ListFolder = None,
    column: ListColumns = None,
    by: Annotated[
        list[str] | None, typer.Option(help="Group column of a list or shards to keep; repeat it for more.")
    ] = None,
    label_class: Annotated[
        list[str] | None, typer.Option("--class", help="The class of a label, such as ants=ant; repeat it.")
    ] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Do not read labels of the images.")] = False,
    store: Annotated[
        Path | None, typer.Option(help="Write a tlkit model to this folder, to predict, export or train from.")
    ] = None,
    device: DeviceOption = "auto",
    details: Details = False,
    json: AsJson = False,
) -> None:
    """Tell images apart by the names of classes, with CLIP or another image-text model, without training."""
    require_predictions_file(out)
    if store is not None:
        require_folder(store, name="--store")
    names = dict(LabelledData.of(images, folder=root, columns=column).columns)
    wrong = [text for text in label_class or () if not all(text.partition("=")[::2])]
    if wrong:
        raise DataError(f"--class is {wrong[0]!r}. Use LABEL=CLASS, such as ants=ant.")
    shown = wants_details(details)
    from tlkit.analysis.class_texts import ClassTexts, read_synonyms, read_templates

    texts = ClassTexts.read(classes)
    read_synonyms(synonyms, texts)
    read_templates(templates)
    if not images.exists():
        raise DataError(f"There is no folder or file {images}. Name the images.")
    from tlkit.cli.allocator import keep_freed_memory

    keep_freed_memory()
    # after all checks of the input, since torch takes seconds to load
    from tlkit.analysis.zero_shot import zero_shot as classify

    with image_progress("computing features") as progress:
        found = classify(
            images,
            classes,
            model=model,
            weights=weights,
            templates=templates,
            synonyms=synonyms,
            val=val,
            split=split,
            root=root,
            list_columns=names,
            columns=by or (),
            label_classes=dict(text.split("=", 1) for text in label_class or ()),
            use_labels=not no_labels,
            store=store,
            device=device,
            progress=progress,
        )
    if json:
        if out is not None:
            write_predictions(found.predictions, out, unreadable=found.unreadable, named=False)
        print_json(found.report.to_dict())
        return
    print_paragraphs(found.report.sentences())
    print_lines([""])
    tables = found.report.tables()
    print_tables(tables if shown else tables[1:])
    write_predictions(found.predictions, out, unreadable=found.unreadable)
