"""Compares runs and predictions of several labels, grades, numbers, masks or boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.cli.output import print_json, print_lines, print_paragraphs, print_tables
from tlkit.cli.task_file import TaskFile
from tlkit.cli.task_run import open_task_run
from tlkit.errors import PredictionsError

if TYPE_CHECKING:
    from pathlib import Path

    from tlkit.choices import Task
    from tlkit.predictions.task_predictions import TaskPredictions
    from tlkit.runs.run import Run


def open_task_models(
    files: Sequence[TaskFile], *, split: str | None, refused: Mapping[str, object]
) -> list[Run | TaskPredictions] | None:
    """Return what is to be compared, if a path is of labels, grades, numbers, masks or boxes; else None.

    Args:
        files: each path, as the command line describes it.
        split: split of runs.
        refused: options that do not apply to such models, with the values that are given.

    Raises:
        PredictionsError: one path is of another task than the others, or such an option is given.
    """
    runs = {file.path: open_task_run(file.path) for file in files}
    others = [file for file in files if runs[file.path] is None]
    tasks: dict[Path, Task] = {file.path: found.task for file in files if (found := runs[file.path]) is not None}
    tasks |= {file.path: file.task for file in others if file.is_other_task}
    if not tasks:
        return None
    (path, task), *_ = tasks.items()
    from tlkit.parquet_tables import is_parquet_folder

    folders = [file.path for file in others if file.path.is_dir() and not is_parquet_folder(file.path)]
    if task == "segmentation" and folders and len(others) < len(files):
        raise PredictionsError(
            f"{folders[0]} is a folder of masks, and {path} a run, which states no truth for it. Compare two runs, or "
            "two folders of masks: `tlkit predict RUN IMAGES --out FOLDER` writes those of a run."
        )
    for file in files:
        own = tasks.get(file.path, "detection" if task == "detection" and _is_coco(file.path) else "multiclass")
        if own != task:
            what = "of one class for each image" if own == "multiclass" else f"of the task {own}"
            raise PredictionsError(f"{path} is of the task {task}, and {file.path} {what}. Compare models of one task.")
    stated: dict[str, object] = {"--task": files[0].stated} if len(others) < len(files) else {}
    if len(others) < len(files):
        of_boxes = task == "detection" and any(_is_coco(file.path) for file in others)
        stated |= {} if of_boxes else {"--truth": files[0].truth}
        stated |= files[0].of_masks
    if not any(file.is_exported for file in files):
        stated |= files[0].data.given
    if given := [name for name, value in {**refused, **stated}.items() if value]:
        raise PredictionsError(*(f"{name} does not apply to runs of the task {task}. Leave it out." for name in given))
    tables = [file for file in others if not file.is_exported]
    if tables and split is not None:
        raise PredictionsError(f"--split {split} is for runs; {tables[0].path} is one table of predictions.")
    if (groups := files[0].groups) is not None and len(others) < len(files):
        raise PredictionsError(f"--groups {groups} is for files of predictions; a run's columns come from data.groups.")
    first = next((run for run in runs.values() if run is not None), None)
    return [runs[file.path] or _table(file, first, task=task) for file in files]


def _is_coco(path: Path) -> bool:
    """Return whether a file may hold boxes in COCO's format."""
    return path.suffix.lower() == ".json"


def _table(file: TaskFile, run: Run | None, *, task: Task) -> TaskPredictions:
    """Return the predictions in a file, or those of an exported file of its labelled images or of those of a run.

    Boxes in COCO's format without a truth of their own are judged by the true boxes of the run.
    """
    if task == "detection":
        if file.truth is None and run is not None and _is_coco(file.path):
            file = replace(file, truth=run.directory.boxes(run.judged_split(file.split))[0])
        file = replace(file, stated=task)
    file.refuse({})
    if file.is_exported and file.data.path is None and run is not None:
        from tlkit.exported.exported_predictor import ExportedPredictor
        from tlkit.exported.task_answers import load_exported_task

        model = load_exported_task(file.path)
        assert not isinstance(model, ExportedPredictor), "its task has been read"
        return model.predict_samples(run.samples.split(run.judged_split(file.split)))
    return file.open_table()


def compare_task_pair(
    models: Sequence[Run | TaskPredictions],
    names: Sequence[str],
    *,
    metric: str | None,
    by: Sequence[str] | None,
    split: str | None,
    cluster_by: str | None,
    weights: str | None,
    details: bool,
    json: bool,
) -> None:
    """Print how two models differ."""
    from tlkit.audit.task_comparison_tables import task_comparison_sentences
    from tlkit.runs.compare_runs import compare_task_with

    first, second = models
    result = compare_task_with(
        first,
        second,
        metric=metric,
        by=by,
        split=split,
        names=(names[0], names[1]),
        cluster_by=cluster_by,
        weights=weights,
    )
    if json:
        print_json(result.to_redacted())
        return
    print_paragraphs(task_comparison_sentences(result))
    print_lines([""])
    if details:
        print_tables(result.tables())
    else:
        print_lines(["Every figure, label and group, with intervals and tests: --details"])
