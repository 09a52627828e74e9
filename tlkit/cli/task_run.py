"""Evaluates, audits and predicts with a run of several labels, grades, numbers, masks or boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.choices import BATCH_SIZE
from tlkit.cli.box_output import predict_boxes
from tlkit.cli.mask_output import MaskModel, predict_masks
from tlkit.cli.output import (
    image_progress,
    judged_on,
    print_json,
    print_lines,
    print_paragraphs,
    print_tables,
    print_verdicts,
    write_table,
)
from tlkit.errors import ModelError, PredictionsError

if TYPE_CHECKING:
    from tlkit.audit.gates.gate_report import GateReport
    from tlkit.choices import PredictEngine, Views
    from tlkit.cli.model_source import ExportedFile, ModelSource, StoredModel
    from tlkit.data.sources.entries import Entry
    from tlkit.predictions import Unreadable
    from tlkit.predictions.task_predictions import RowPredictions
    from tlkit.recipe.gates_file import GatesFile
    from tlkit.runs.run import Run


def open_task_run(path: Path) -> Run | None:
    """Return the run at a path, if it is of another task than one class for each image; else None."""
    from tlkit.runs.directory import MARKER

    if not (path / MARKER).is_file():
        return None
    from tlkit.runs.run import open_run

    run = open_run(path)
    return run if run.directory.recipe.is_file() and run.task != "multiclass" else None


def refuse_options(run: Run, options: Mapping[str, object]) -> None:
    """Check that options which do not apply to such a run are not given.

    Raises:
        PredictionsError: some are.
    """
    if problems := [
        f"{name} does not apply to {run.path}, a run of the task {run.task}. Leave it out."
        for name, value in options.items()
        if value
    ]:
        raise PredictionsError(*problems)


def evaluate_run(run: Run, *, split: str | None, details: bool, json: bool) -> None:
    """Print the figures of a split of a run."""
    from tlkit.evaluation.task_figures import task_sentences

    split = run.judged_split(split)
    found = run.task_evaluation(split)
    if json:
        print_json(found.to_dict())
        return
    print_paragraphs([judged_on(run, split), *task_sentences(found, split=split)])
    print_lines([""])
    tables = found.tables()
    print_tables(tables if details else tables[:1])
    if not details and len(tables) > 1:
        print_lines(["", "Each label or class, and what goes together or is confused: --details"])


def audit_run(
    run: Run,
    stated: Mapping[str, Any],
    *,
    split: str | None,
    groups: Path | None,
    gates: GatesFile | None,
    details: bool,
    json: bool,
) -> GateReport | None:
    """Print the audit of a split of a run; a tolerance is that of mean errors where the run predicts numbers.

    Returns:
        The verdicts on the gates; None without any.
    """
    from tlkit.audit.task_verdicts import task_verdicts
    from tlkit.predictions.joined_tables import read_joined
    from tlkit.runs.gate_run import gate

    options = dict(stated)
    mean_tolerance = None if run.task in ("multilabel", "segmentation", "detection") else options.pop("tolerance")
    joined = None if groups is None else read_joined(groups)
    audit = run.task_audit(split=split, groups=joined, mean_tolerance=mean_tolerance, **options)
    report = None if gates is None else gate(run, gates, split=split, groups=joined, options=audit.settings)
    if json:
        print_json(audit.to_redacted() | ({"gate": report.to_dict()} if report else {}))
        return report
    print_verdicts(task_verdicts(audit))
    print_lines([""])
    tables = audit.tables()
    print_tables(tables if details else tables[:2])
    if not details and len(tables) > 2:
        print_lines(["", "Each group with its interval and test: --details"])
    return report


def predicts_other_task(
    source: ModelSource | ExportedFile,
    paths: Sequence[Path],
    out: Path | None,
    *,
    tta: Views,
    engine: PredictEngine,
    refused: Sequence[str],
) -> bool:
    """Predict images with a stored model of labels, grades, numbers or masks; return False for any other model.

    Args:
        source: the model.
        paths: images, or folders, tar shards or lists of them.
        out: file to write, of masks a folder, of boxes JSON; None = print a table.
        tta: views of each image.
        engine: what runs the backbone.
        refused: options that are given and are about one class for each image.

    Raises:
        ModelError: such options are given.
    """
    from tlkit.cli.model_source import ExportedFile, StoredModel
    from tlkit.data.sources.listed_images import find_listed_images
    from tlkit.exported.task_of_file import task_of_exported
    from tlkit.models.model_format import task_of_model
    from tlkit.predictions import Unreadable

    if isinstance(source, StoredModel):
        task, where = task_of_model(source.folder), source.folder
    elif isinstance(source, ExportedFile):
        task, where = task_of_exported(source.path) or "multiclass", source.path
    else:
        return False
    if task == "multiclass":
        return False
    if refused:
        raise ModelError(f"{refused[0]} does not apply to {where}, a model of the task {task}. Leave it out.")
    left_out: list[Entry] = []
    files = find_listed_images(paths, left_out=left_out)
    from tlkit.cli.allocator import keep_freed_memory

    keep_freed_memory()
    unreadable: list[Unreadable] = []
    with image_progress("predicting images") as progress:
        images = _Images(files, paths, out, left_out, progress, unreadable.append)
        if isinstance(source, ExportedFile):
            found = _predict_exported(source, images)
        else:
            found = _predict_stored(source, images, tta=tta, engine=engine)
    if found is None:
        return True
    unreadable += [Unreadable(row, name, why) for row, (_, name, why) in enumerate(left_out, start=len(files))]
    if out is None:
        _print(found, unreadable)
        return True
    if out.suffix.lower() == ".parquet":
        out.parent.mkdir(parents=True, exist_ok=True)
        found.to_parquet(out, unreadable=unreadable)
    else:
        write_table(found.table(unreadable=unreadable), out)
    print_lines([str(out)])
    return True


@dataclass(frozen=True)
class _Images:
    """Images to predict: files, paths as given, place of the results, callbacks of progress and unreadable files."""

    files: Sequence[Path]
    paths: Sequence[Path]
    out: Path | None
    left_out: list[Entry]
    progress: Callable[[int, int], None] | None
    on_unreadable: Callable[[Unreadable], None]


def _predict_exported(source: ExportedFile, images: _Images) -> RowPredictions | None:
    """Return predictions of an exported file; None where they are masks, which are written."""
    from tlkit.exported.mask_answers import ExportedMaskPredictor
    from tlkit.exported.task_answers import ExportedTaskPredictor, load_exported_task

    model = load_exported_task(source.path, workers=source.workers)
    if isinstance(model, ExportedMaskPredictor):
        found = MaskModel(
            model.masks_of, model.classes.names, lambda: source.identity()[0], source.engine, "cpu", batch_size=1
        )
        _predict_masks(found, images)
        return None
    assert isinstance(model, ExportedTaskPredictor), "its task has been read"
    return model.predict(images.files, progress=images.progress, on_unreadable=images.on_unreadable)


def _predict_stored(
    source: StoredModel, images: _Images, *, tta: Views, engine: PredictEngine
) -> RowPredictions | None:
    """Return predictions of a stored model; None where they are masks or boxes, which are written."""
    from tlkit.inference.box_predictor import BoxPredictor
    from tlkit.inference.mask_predictor import MaskPredictor
    from tlkit.inference.task_predictor import TaskPredictor, load_task_model

    model = load_task_model(source.folder, device=source.device)
    if isinstance(model, MaskPredictor):
        masks_of = partial(model.masks_of, tta=tta, engine=engine, batch_size=BATCH_SIZE)
        found = MaskModel(
            masks_of, model.classes.names, lambda: source.identity()[0], "torch", model.device, batch_size=BATCH_SIZE
        )
        _predict_masks(found, images)
        return None
    if isinstance(model, BoxPredictor):
        left_out, progress = images.left_out, images.progress
        predict_boxes(model, images.files, images.out, left_out=left_out, tta=tta, engine=engine, progress=progress)
        return None
    assert isinstance(model, TaskPredictor), "its task has been read"
    progress, on_unreadable = images.progress, images.on_unreadable
    return model.predict(images.files, tta=tta, engine=engine, progress=progress, on_unreadable=on_unreadable)


def _predict_masks(model: MaskModel, images: _Images) -> None:
    predict_masks(model, images.files, images.paths, images.out, left_out=images.left_out, progress=images.progress)


def _print(found: RowPredictions, unreadable: Sequence[Unreadable]) -> None:
    """Print path and prediction of each image, and why an image has none."""
    from tlkit.predictions import MultilabelPredictions
    from tlkit.tables import Cell, Column, Table

    columns: tuple[Column, ...] = (Column("path", "path"), Column("labels", "labels (probability)"))
    rows: list[tuple[Cell, ...]] = []
    if isinstance(found, MultilabelPredictions):
        for path, is_there, proba in zip(found.path, found.y_pred, found.proba, strict=True):  # type: ignore[arg-type]
            named = [f"{label} ({proba[place]:.2f})" for place, label in enumerate(found.labels) if is_there[place]]
            rows.append((str(path), ", ".join(named) or "none"))
    else:
        names = ["y_pred", *(name for name in ("lower", "upper") if getattr(found, name) is not None)]
        grades = found.grades
        titles = [name.replace("y_pred", "predicted") for name in names]
        kinds = (
            Column(name, title, "text" if grades else "significant") for name, title in zip(names, titles, strict=True)
        )
        columns = (Column("path", "path"), *kinds)
        for path, *numbers in zip(found.path, *(getattr(found, name) for name in names), strict=True):
            rows.append((str(path), *(grades[int(one)] if grades else float(one) for one in numbers)))
    notes = tuple(f"{path} cannot be read: {reason}" for _, path, reason in unreadable)
    print_tables([Table("predictions", "", columns, tuple(rows), notes=notes)])
