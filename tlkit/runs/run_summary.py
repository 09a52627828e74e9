"""`RunSummary`: what a person wants to know of one run; `RunList`: the runs of a folder with their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tlkit.audit.plain_verdicts import PlainVerdict, plain_verdicts
from tlkit.audit.task_verdicts import task_verdicts
from tlkit.choices import TrainedTask, Verdict
from tlkit.errors import RunError, TlkitError
from tlkit.evaluation.plain_evaluation import evaluation_sentences
from tlkit.evaluation.task_figures import (
    FIGURE_WORDS,
    TaskEvaluation,
    evaluation_from_dict,
    task_figures,
    task_sentences,
)
from tlkit.plain_values import from_plain, to_plain
from tlkit.recipe import Recipe, load_recipe
from tlkit.runs.assess_split import chose_epoch
from tlkit.runs.directory import MARKER, RunDirectory
from tlkit.runs.lock import is_being_written
from tlkit.runs.next_step import NextStep, next_step, resume_step, task_next_step
from tlkit.runs.run import Run
from tlkit.runs.run_summary_tables import list_tables, summary_tables
from tlkit.runs.stored_judgements import stored_result
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html


@dataclass(frozen=True)
class RunSummary:
    """One run in brief.

    Attributes:
        name: the run's name.
        path: its directory.
        state: running, finished, interrupted or failed; stopped = it says running, but no process writes it.
        updated: when its state was last written, ISO 8601, UTC; "" = unknown.
        model: the backbone.
        weights: where its weights come from.
        strategy: how it was trained.
        data: folder, list or shards of the images.
        split: the split that it is judged on; None = it has no predictions yet.
        chose_epoch: whether that split also chose the epoch.
        accuracy: on that split, with its interval; None without predictions, and for another task.
        findings: the figures as sentences.
        verdicts: one for each group column, in words.
        next_step: what to do next.
        files: the files to open, by what they hold.
        task: what the model says of an image.
        figures: main figures of several labels, grades or numbers, by name; empty for one class.
    """

    name: str
    path: str
    state: str
    updated: str
    model: str
    weights: str
    strategy: str
    data: str
    split: str | None
    chose_epoch: bool
    accuracy: Estimate | None
    findings: tuple[str, ...]
    verdicts: tuple[PlainVerdict, ...]
    next_step: NextStep
    files: Mapping[str, str]
    task: TrainedTask = "multiclass"
    figures: Mapping[str, Estimate] = field(default_factory=dict)

    def tables(self) -> tuple[Table, ...]:
        """Return what the run is, what it found, and its files."""
        return summary_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSummary:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def _repr_html_(self) -> str:
        return to_html(self.tables())


@dataclass(frozen=True)
class ListedRun:
    """One run of a folder.

    Attributes:
        name: the run's name.
        state: as in `RunSummary`; damaged = its files cannot be read.
        updated: when its state was last written, ISO 8601, UTC; "" = unknown.
        model: the backbone; "" = unknown.
        strategy: how it was trained; "" = unknown.
        split: the split of the figures; "" = none.
        accuracy: on that split; None where it has not been evaluated.
        verdict: the worst verdict of its audit of that split; None without an audit.
        problem: why the run cannot be read; "" = it can.
        figure: the main figure of several labels, grades or numbers, in words; "" for one class.
    """

    name: str
    state: str
    updated: str = ""
    model: str = ""
    strategy: str = ""
    split: str = ""
    accuracy: Estimate | None = None
    verdict: Verdict | None = None
    problem: str = ""
    figure: str = ""


@dataclass(frozen=True)
class RunList:
    """The runs of a folder, newest first.

    Attributes:
        folder: the folder.
        runs: its runs.
    """

    folder: str
    runs: tuple[ListedRun, ...]

    def tables(self) -> tuple[Table, ...]:
        """Return one table with a row for each run."""
        return list_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunList:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def summarize_run(run: Run) -> RunSummary:
    """Return a run in brief, computing a missing evaluation or audit.

    Raises:
        TlkitError: a file of the run is damaged.
    """
    directory, recipe = run.directory, run.recipe
    state, updated = _state_of(directory)
    files = {"report": directory.report, "model": directory.model, "log": directory.log, "everything": run.path}
    split, accuracy, findings, verdicts = None, None, tuple[str, ...](), tuple[PlainVerdict, ...]()
    step = resume_step(run) if state != "running" else NextStep("", "Wait for it: another process writes this run.")
    if directory.predicted_splits and state in ("finished", "interrupted"):
        split = run.judged_split()
    figures: Mapping[str, Estimate] = {}
    if split is not None and run.task != "multiclass":
        of_task, task_audit = run.task_evaluation(split), run.get_task_audit(split)
        figures, findings = task_figures(of_task), task_sentences(of_task, split=split)
        verdicts = task_verdicts(task_audit) if task_audit is not None else ()
        step = task_next_step(run, task_audit, split=split)
    elif split is not None:
        evaluation, audit = run.evaluation(split), run.get_audit(split)
        accuracy, findings = evaluation.accuracy, evaluation_sentences(evaluation, split=split)
        verdicts = plain_verdicts(audit) if audit is not None else ()
        step = next_step(run, evaluation, audit)
    return RunSummary(
        name=directory.name,
        path=str(run.path),
        state=state,
        updated=updated,
        model=recipe.model.name,
        weights=recipe.model.weights,
        strategy=_strategy(recipe),
        data=recipe.data.source_name,
        split=split,
        chose_epoch=split is not None and chose_epoch(split, run.history),
        accuracy=accuracy,
        findings=findings,
        verdicts=verdicts,
        next_step=step,
        files={name: str(path) for name, path in files.items() if path.exists()},
        task=run.task,
        figures=figures,
    )


def list_runs(folder: str | Path = "runs") -> RunList:
    """Return the runs of a folder, newest first, with their stored figures; nothing is computed.

    Args:
        folder: of the run directories.

    Raises:
        RunError: there is no such folder, or it holds no run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder. Name a folder of runs: tlkit runs FOLDER. `tlkit fit` makes runs/.")
    if (folder / MARKER).is_file():
        raise RunError(f"{folder} is a run itself. Show it with: tlkit show {folder}")
    found = [path for path in sorted(folder.iterdir()) if (path / MARKER).is_file() and not path.name.startswith(".")]
    if not found:
        raise RunError(f"{folder} holds no run of tlkit. `tlkit fit RECIPE` makes one in runs/.")
    runs = sorted(map(_listed, found), key=lambda one: one.name)
    return RunList(str(folder), tuple(sorted(runs, key=lambda one: one.updated, reverse=True)))


def _listed(path: Path) -> ListedRun:
    """Return one run with its stored figures."""
    try:
        directory = RunDirectory.open(path)
        state, updated = _state_of(directory)
        if not directory.recipe.is_file():
            return ListedRun(path.name, state, updated)
        recipe = load_recipe(directory.recipe)
        splits = directory.predicted_splits
        split = splits[0] if splits else ""
        accuracy, figure = None, ""
        if recipe.task == "multiclass":
            accuracy = stored_result(directory, directory.evaluation, split, _accuracy)
        else:
            of_task = stored_result(directory, directory.evaluation, split, evaluation_from_dict)
            figure = "" if of_task is None else _main_figure(of_task)
        rows = stored_result(directory, directory.audit, split, _rows_of_groups)
    except TlkitError as error:
        return ListedRun(path.name, "damaged", problem="; ".join(error.problems))
    return ListedRun(
        path.name,
        state,
        updated,
        recipe.model.name,
        _strategy(recipe),
        split if accuracy or figure else "",
        accuracy,
        None if rows is None else _worst_verdict(rows),
        figure=figure,
    )


def _accuracy(values: Mapping[str, Any]) -> Estimate:
    return Estimate.from_dict(values["accuracy"])


@dataclass(frozen=True)
class _Judged:
    """A row of an audit; only its verdict."""

    verdict: Verdict | None


def _main_figure(evaluation: TaskEvaluation) -> str:
    """Return the first figure of several labels, grades or numbers in words."""
    name, figure = next(iter(task_figures(evaluation).items()))
    return f"{FIGURE_WORDS[name]} {figure.format()}"


def _rows_of_groups(values: Mapping[str, Any]) -> tuple[_Judged, ...]:
    return tuple(_Judged(row["verdict"]) for table in values["group_tables"] for row in table["rows"])


def _worst_verdict(rows: Sequence[_Judged]) -> Verdict:
    found = {row.verdict for row in rows} - {None}
    if "FAIL" in found:
        return "FAIL"
    return "PASS" if found == {"PASS"} else "NOT ENOUGH DATA"


def _state_of(directory: RunDirectory) -> tuple[str, str]:
    """Return the state of a run, and when it was last written."""
    state: str = directory.status
    if state == "running" and is_being_written(directory.path) is False:
        state = "stopped"
    updated = directory.read_json(directory.path / MARKER).get("updated", "")
    try:
        datetime.fromisoformat(updated)
    except (TypeError, ValueError):
        return state, ""
    return state, updated


def _strategy(recipe: Recipe) -> str:
    """Return the kind of the strategy, with the head where scikit-learn fits it."""
    strategy = recipe.strategy
    head = getattr(strategy, "head", "linear")
    return strategy.kind if head == "linear" else f"{strategy.kind}, {head} head"
