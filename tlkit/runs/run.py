"""`Run`: evaluations, audits, comparisons and reports of a run on disk. Needs no torch."""

from __future__ import annotations

import html
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from tlkit.audit.audit import Audit, audit_predictions
from tlkit.audit.error_examples import MOST_EXAMPLES, GroupImages, failing_group_images, neighbors_from_dict
from tlkit.audit.explain import explain_predictions
from tlkit.audit.explanation import Explanation
from tlkit.audit.gates.gate_report import GateReport
from tlkit.audit.groups.group_columns import By
from tlkit.audit.model_comparison import Comparison
from tlkit.audit.options import AuditOptions, AuditOverrides
from tlkit.audit.repair_result import Repair
from tlkit.audit.slices.slice_report import SliceReport
from tlkit.audit.slices.task_slices import TaskSliceReport
from tlkit.audit.task_audit_result import TaskAudit
from tlkit.audit.task_comparison import TaskComparison
from tlkit.choices import Criterion, TrainedTask
from tlkit.errors import RunError, other_task
from tlkit.evaluation import Evaluation
from tlkit.evaluation.task_figures import TaskEvaluation, evaluation_from_dict
from tlkit.output_files import require_writable
from tlkit.predictions import Joinable, Predictions, read_predictions
from tlkit.predictions.joined_tables import JoinedTable
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.recipe import Recipe, load_recipe
from tlkit.render.report import write_card, write_report
from tlkit.render.report.task_page import write_task_card, write_task_report
from tlkit.runs import RunDirectory, store_judgements, stored_result
from tlkit.runs.assess_split import evaluate_split, warn_trained_on
from tlkit.runs.compare_runs import compare_task_with, compare_with
from tlkit.runs.directory import REMEDY
from tlkit.runs.gate_run import gate
from tlkit.runs.run_options import options_of_run, options_with_columns
from tlkit.runs.run_pages import contents_for_card, contents_for_report
from tlkit.runs.run_tables import read_alike, read_excluded, read_history, read_leaks
from tlkit.runs.task_judgement import audit_task_split, evaluate_task_split, read_task_predictions
from tlkit.runs.task_pages import task_contents
from tlkit.samples import Samples


class Run:
    """A run on disk with its evaluations, audits and reports. Needs no torch.

    Attributes:
        directory: where its files are.

    Example:
        >>> from tlkit import open_run
        >>> run = open_run("runs/pets")
        >>> run.status, run.evaluate().n, run.audit().settings.by
        ('finished', 12, ('light',))
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self._recipe: tuple[bytes, Recipe] | None = None
        self._joined: tuple[JoinedTable, tuple[object, ...], Any] | None = (
            None  # what the last table of groups was joined to
        )

    def __repr__(self) -> str:
        return f"Run({self.path}, {self.status})"

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self.directory.path

    @property
    def status(self) -> str:
        """running, finished, interrupted or failed."""
        return self.directory.status

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        file = self.directory.recipe
        content = file.read_bytes() if file.is_file() else b""
        if self._recipe is None or self._recipe[0] != content:  # most methods read it
            self._recipe = content, load_recipe(file)
        return self._recipe[1]

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, commit, device, dataset fingerprint, weights."""
        return self.directory.read_environment()

    @property
    def task(self) -> TrainedTask:
        """What the run's model says of an image: multiclass, multilabel, ordinal or regression."""
        return self.recipe.task

    @property
    def samples(self) -> Samples:
        """The readable images of all splits, with groups and digests."""
        file, root, task = self.directory.split, Path(self.environment["data"]["root"]), self.task
        if task == "ordinal":
            grades = tuple(self.directory.read_model_facts().get("classes") or self.recipe.data.grades)
            return Samples.from_csv(file, root=root, classes=grades, task=task)
        if task == "segmentation":
            return Samples.from_csv(file, root=root, task=task, masks=self.recipe.data.pixel_classes)
        if task == "detection":
            classes = self.directory.read_model_facts().get("classes") or None
            return Samples.from_csv(file, root=root, classes=classes, task=task)
        return Samples.from_csv(file, root=root, task=task)

    @property
    def history(self) -> pd.DataFrame:
        """One row of metrics per epoch; empty where no epoch has ended."""
        return read_history(self.directory)

    @property
    def excluded(self) -> list[tuple[str, str]]:
        """Path and reason of each image that could not be read."""
        return read_excluded(self.directory)

    @property
    def leaks(self) -> pd.DataFrame:
        """Images of val and test also in an earlier split: path, split, duplicate_of, duplicate_split, how, dropped."""
        return read_leaks(self.directory)

    @property
    def alike(self) -> pd.DataFrame:
        """Pairs of images that are copies or near duplicates: path, other, how, is_copy."""
        return read_alike(self.directory)

    @property
    def repair(self) -> Repair | None:
        """How this run's head was repaired, or a repair of this run that wrote no new run (repair.json); else None."""
        path = self.directory.repair
        directory = self.directory
        return directory.read_result(path, Repair.from_dict, directory.read_json(path)) if path.is_file() else None

    def predictions(self, split: str | None = None, *, groups: Joinable | None = None) -> Predictions:
        """Return the predictions for a split: test by default, or val where there is no test split.

        Args:
            split: its name.
            groups: more group columns, as a CSV file or a table keyed by path, to join.

        Raises:
            RunError: the run has no predictions for it, or is of another task than one class for each image.
            PredictionsError: the columns cannot be joined.
        """
        self._require_classes()
        file = self.directory.predictions(self.judged_split(split))
        predictions: Predictions = self._with_groups(file, groups, self._read_classes)
        return predictions

    def task_predictions(self, split: str | None = None, *, groups: Joinable | None = None) -> TaskPredictions:
        """Return the predictions for a split of a run of several labels, grades or numbers.

        Args:
            split: its name; test by default, or val where there is no test split.
            groups: more group columns, as a CSV file or a table keyed by path, to join.

        Raises:
            RunError: the run has no predictions for it, or is of one class for each image.
            PredictionsError: the columns cannot be joined.
        """
        if self.task == "multiclass":
            raise RunError(f"{self.path} is of one class for each image. Use `predictions`.")
        file = self.directory.predictions(self.judged_split(split))
        predictions: TaskPredictions = self._with_groups(
            file, groups, lambda file: read_task_predictions(file, self.task)
        )
        return predictions

    def _read_classes(self, file: Path) -> Predictions:
        predictions = read_predictions(file)
        if (predictions.y_true < 0).all():
            raise RunError(f"{file} is damaged: none of its {len(predictions)} images has a label. {REMEDY}")
        return predictions

    def _with_groups(self, file: Path, groups: Joinable | None, read: Callable[[Path], Any]) -> Any:
        """Return a file's predictions with the groups; the same table is joined to the same file once, and logged."""
        if groups is None:
            return read(file)
        verbatim = self.recipe.data.verbatim
        status = file.stat()  # a run's files are replaced whole, so another content has another number
        state = (file, status.st_ino, status.st_size, status.st_mtime_ns, verbatim)
        if self._joined is not None and self._joined[0] is groups and self._joined[1] == state:
            return self._joined[2]
        found = read(file).with_groups(groups, verbatim=verbatim)
        if isinstance(groups, JoinedTable):  # a table or file of the caller's may change
            self._joined = groups, state, found
        return found

    def task_evaluation(self, split: str | None = None) -> TaskEvaluation:
        """Return the evaluation of a split of such a run with the recipe's settings, stored in `evaluation.json`.

        Raises:
            RunError: the run has no predictions for it, or is of one class for each image.
        """
        split = self.judged_split(split)
        if stored := stored_result(self.directory, self.directory.evaluation, split, evaluation_from_dict):
            return stored
        result = evaluate_task_split(self.task_predictions(split), self.recipe)
        store_judgements(self.directory, self.directory.evaluation, {split: result.to_dict()})
        return result

    def get_task_audit(self, split: str | None = None) -> TaskAudit | None:
        """Return the stored audit of a split of such a run; computed if there is none, None without `audit.by`.

        Raises:
            RunError: the run has no predictions for it, or is of one class for each image.
        """
        split = self.judged_split(split)
        if stored := stored_result(self.directory, self.directory.audit, split, TaskAudit.from_dict):
            return stored
        return self.task_audit(split=split) if self.recipe.audit.by else None

    def task_audit(
        self,
        *,
        split: str | None = None,
        groups: Joinable | None = None,
        mean_tolerance: float | None = None,
        **overrides: Unpack[AuditOverrides],
    ) -> TaskAudit:
        """Compare rates of labels, or mean errors, across groups; only the recipe's own audit is stored.

        Args:
            split: test by default, or val where there is no test split.
            groups: more group columns, as a CSV file or a table keyed by path, to join to the predictions.
            mean_tolerance: largest tolerated difference of mean errors, in the unit of the numbers or in grades.
            overrides: other options of the audit, as for `audit`: `by` and so on; None = the recipe's value.

        Raises:
            PredictionsError: a column is missing, or an option does not apply.
            RunError: the run has no group columns at all, or is of one class for each image.
        """
        split = self.judged_split(split)
        warn_trained_on(split, self.directory.name)
        predictions = self.task_predictions(split, groups=groups)
        options = options_of_run(self, **overrides)
        chosen = options_with_columns(self, options, predictions.groups, level=logging.INFO)
        result = audit_task_split(predictions, self.recipe, options=chosen, mean_tolerance=mean_tolerance)
        if groups is None and mean_tolerance is None and options == options_of_run(self):
            store_judgements(self.directory, self.directory.audit, {split: result.to_dict()})
        return result

    def judged_split(self, split: str | None = None) -> str:
        """Return the split to assess: the given one, else test, else val, else train.

        Raises:
            RunError: the run has no predictions for it.
        """
        return self.directory.judged_split(split)

    def evaluate(self, split: str | None = None) -> Evaluation:
        """Return the evaluation of a split with the recipe's settings, and store it in `evaluation.json`.

        Raises:
            RunError: the run has no predictions for it.
        """
        split = self.judged_split(split)
        result = evaluate_split(split, self.predictions(split), recipe=self.recipe, leaks=self.leaks)
        store_judgements(self.directory, self.directory.evaluation, {split: result.to_dict()})
        return result

    def evaluation(self, split: str | None = None) -> Evaluation:
        """Return the stored evaluation of a split; computed and stored if there is none.

        Raises:
            RunError: the run has no predictions for it.
        """
        self._require_classes()
        split = self.judged_split(split)
        stored = stored_result(self.directory, self.directory.evaluation, split, Evaluation.from_dict)
        return stored or self.evaluate(split)

    def get_audit(self, split: str | None = None) -> Audit | None:
        """Return the stored audit of a split; computed if there is none, None if the recipe has no `audit.by`.

        Raises:
            RunError: the run has no predictions for it.
        """
        self._require_classes()
        split = self.judged_split(split)
        if stored := stored_result(self.directory, self.directory.audit, split, Audit.from_dict):
            return stored
        return self.audit(split=split) if self.recipe.audit.by else None

    def audit(
        self,
        by: By | Sequence[By] | None = None,
        *,
        split: str | None = None,
        groups: Joinable | None = None,
        max_intersection_order: int | None = None,
        min_group_size: int | None = None,
        criteria: Sequence[Criterion] | None = None,
        positive: str | None = None,
        confidence: float | None = None,
        tolerance: float | None = None,
        cluster_by: str | None = None,
        pair_by: str | None = None,
        weights: str | None = None,
    ) -> Audit:
        """Compare a split's rates across groups. Only the audit with the recipe's options is stored in `audit.json`.

        An argument that is None takes the recipe's value: its `audit` section, `evaluate.confidence` and `seed`.

        Args:
            by: group columns, as `tlkit.audit_groups` takes them; default: the recipe's `audit.by`, else all
                columns that do not look like identifiers. A bare name is discretized as in the recipe.
            split: test by default, or val where there is no test split.
            groups: more group columns, as a CSV file or a table keyed by path, to join to the predictions.
            max_intersection_order: most columns that are crossed.
            min_group_size: smallest group that gets a rate.
            criteria: criteria whose rates are compared as well.
            positive: class that the criteria are about.
            confidence: two-sided level of the intervals, in (0, 1).
            tolerance: largest difference that is tolerated.
            cluster_by: column of the clusters.
            pair_by: column of matched sets, instead of clusters and weights.
            weights: column of weights.

        Raises:
            PredictionsError: a column is missing; the message lists those that exist.
            RunError: the run has no group columns at all.
        """
        split = self.judged_split(split)
        warn_trained_on(split, self.directory.name)
        predictions = self.predictions(split, groups=groups)
        options = options_of_run(
            self,
            by=by or None,
            max_intersection_order=max_intersection_order,
            min_group_size=min_group_size,
            criteria=criteria,
            positive=positive,
            confidence=confidence,
            tolerance=tolerance,
            cluster_by=cluster_by,
            pair_by=pair_by,
            weights=weights,
        )
        result = audit_predictions(
            predictions, options_with_columns(self, options, predictions.groups, level=logging.INFO)
        )
        if groups is None and options == options_of_run(self):
            store_judgements(self.directory, self.directory.audit, {split: result.to_dict()})
        return result

    def explain(
        self,
        by: By | Sequence[By] | None = None,
        *,
        split: str | None = None,
        groups: Joinable | None = None,
        order: Mapping[str, Sequence[str]] | None = None,
        min_group_size: int | None = None,
        confidence: float | None = None,
        cluster_by: str | None = None,
        pair_by: str | None = None,
        weights: str | None = None,
        options: AuditOptions | None = None,
    ) -> Explanation:
        """Return the explanation of a split's gaps. Only that with the recipe's options is stored.

        An argument that is None takes the recipe's value, as in `audit`.

        Args:
            by: group columns; default: the recipe's `audit.by`, else all that do not look like identifiers.
            split: test by default, or val where there is no test split.
            groups: more group columns, to join to the predictions.
            order: the values of a column in their order, lowest first.
            min_group_size: smallest group that is explained.
            confidence: two-sided level of the intervals, in (0, 1).
            cluster_by: column of the clusters.
            pair_by: column of matched sets, instead of clusters and weights.
            weights: column of the images' weights.
            options: the options of an audit, in place of all of these.

        Raises:
            PredictionsError: a column, or a value of an order, is missing.
            RunError: the run has no group columns at all.
        """
        split = self.judged_split(split)
        predictions, trained = self.predictions(split, groups=groups), self.samples.split("train")
        options = options or options_of_run(
            self,
            by=by or None,
            min_group_size=min_group_size,
            confidence=confidence,
            cluster_by=cluster_by,
            pair_by=pair_by,
            weights=weights,
        )
        result = explain_predictions(
            predictions,
            options_with_columns(self, options, predictions.groups, level=logging.DEBUG),
            order=order,
            training=trained.groups if len(trained) else None,
        )
        if groups is None and order is None and options == options_of_run(self):
            store_judgements(self.directory, self.directory.explanation, {split: result.to_dict()})
        return result

    def audit_images(
        self,
        by: By | Sequence[By] | None = None,
        *,
        split: str | None = None,
        groups: Joinable | None = None,
        audit: Audit | None = None,
        most: int = MOST_EXAMPLES,
    ) -> tuple[GroupImages, ...]:
        """Return images of every group that fails because it is worse than its complement.

        Their nearest images by features are included once `tlkit.find_slices` has run.

        Args:
            by: group columns to audit by, where no audit is given; default: the recipe's audit.
            split: test by default, or val where there is no test split.
            groups: more group columns that were joined for the audit.
            audit: the audit; default: the recipe's, read or computed.
            most: at most so many images of each kind and group.

        Raises:
            PredictionsError: a column is missing.
            RunError: the run has no group columns at all.
        """
        split = self.judged_split(split)
        if audit is None and by is None and groups is None:
            audit = self.get_audit(split)
        return failing_group_images(
            self.predictions(split, groups=groups),
            audit or self.audit(by, split=split, groups=groups),
            most=most,
            neighbors=stored_result(self.directory, self.directory.neighbors, split, neighbors_from_dict) or {},
        )

    def get_slices(self, split: str | None = None) -> SliceReport | None:
        """Return the stored slices of a split; None if `tlkit.find_slices` has not run.

        Raises:
            RunError: the run has no predictions for it.
        """
        self._require_classes()
        return stored_result(self.directory, self.directory.slices, self.judged_split(split), SliceReport.from_dict)

    def get_task_slices(self, split: str | None = None) -> TaskSliceReport | None:
        """Return the stored slices of a run of several labels, grades or numbers; None if they were not searched.

        Raises:
            RunError: the run has no predictions for it.
        """
        split = self.judged_split(split)
        return stored_result(self.directory, self.directory.slices, split, TaskSliceReport.from_dict)

    def get_explanation(self, split: str | None = None) -> Explanation | None:
        """Return the stored explanation of a split; computed if there is none, None if the recipe has no `audit.by`.

        Raises:
            RunError: the run has no predictions for it.
        """
        split = self.judged_split(split)
        if stored := stored_result(self.directory, self.directory.explanation, split, Explanation.from_dict):
            return stored
        return self.explain(split=split) if self.recipe.audit.by else None

    def compare(
        self,
        other: Run | Predictions,
        *,
        by: By | Sequence[By] | None = None,
        split: str | None = None,
        names: tuple[str, str] | None = None,
    ) -> Comparison:
        """Compare this run with another model on the images that both predicted, with the options of this run's recipe.

        Args:
            other: another run, or predictions of another model on the same images.
            by: group columns; default: the recipe's `audit.by`, else all that do not look like identifiers.
            split: test by default, or val where there is no test split.
            names: what to call the two; default: their directories.

        Raises:
            PredictionsError: the two have no image in common, or a column is missing.
        """
        return compare_with(self, other, by=by, split=split, names=names)

    def task_compare(
        self,
        other: Run | TaskPredictions,
        *,
        metric: str | None = None,
        by: By | Sequence[By] | None = None,
        split: str | None = None,
        names: tuple[str, str] | None = None,
    ) -> TaskComparison:
        """Compare this run of several labels, grades or numbers with another model on the images that both predicted.

        Args:
            other: another run of the same task, or predictions of another model on the same images.
            metric: the one figure to compare, such as "macro_f1" or "f1:cat"; default: all of the task.
            by: group columns; default: the recipe's `audit.by`, else all that do not look like identifiers.
            split: test by default, or val where there is no test split.
            names: what to call the two; default: their directories.

        Raises:
            PredictionsError: the two are not of one such task, have no image in common, or a column is missing.
        """
        return compare_task_with(self, other, metric=metric, by=by, split=split, names=names)

    def gate(self, gates: str | os.PathLike[str], *, split: str | None = None) -> GateReport:
        """Return the verdicts of a file of gates on a split's predictions; see `tlkit.gate`.

        Args:
            gates: the YAML file, such as recipes/gates.yaml.
            split: test by default, or val where there is no test split.

        Raises:
            RecipeError: the file of gates is wrong.
            PredictionsError: a column or class of the gates is not in the predictions.
        """
        return gate(self, gates, split=split)

    def _require_classes(self) -> None:
        """Check that the run is of one class for each image.

        Raises:
            RunError: it is of another task.
        """
        if self.task != "multiclass":
            names = "task_evaluation, task_audit, task_compare, task_predictions and get_task_slices"
            raise RunError(f"{other_task(str(self.path), self.task)} In Python, run has {names}.")

    def report(self, split: str | None = None) -> Path:
        """Write `report.html` about a split, computing missing evaluations and audits; return its path."""
        if self.task != "multiclass":
            require_writable({"The report": self.directory.report}, error=RunError)
            return write_task_report(self.directory.report, task_contents(self, split))
        return write_report(self.directory.report, contents_for_report(self, split))

    def card(self, split: str | None = None, *, intended_use: str | None = None, overwrite: bool = False) -> Path:
        """Write `MODEL_CARD.md`: intended use, figures, limits from the audit, data, licences; return its path.

        Args:
            split: test by default, or val where there is no test split.
            intended_use: what the model is for; default: the recipe's `report.intended_use`.
            overwrite: replace a card with other content, such as one edited by hand.

        Raises:
            RunError: there is such a card.
        """
        intended_use = intended_use or self.recipe.report.intended_use
        if self.task != "multiclass":
            require_writable({"The card": self.directory.card}, error=RunError)
            of_task = task_contents(self, split)
            return write_task_card(self.directory.card, of_task, intended_use=intended_use, overwrite=overwrite)
        contents = contents_for_card(self, split)
        return write_card(self.directory.card, contents, intended_use=intended_use, overwrite=overwrite)

    def _repr_html_(self) -> str:
        name, status, path = (html.escape(text) for text in (self.directory.name, self.status, str(self.path)))
        about = f"<p><b>{name}</b> ({status}), in {path}</p>"
        if not self.directory.predicted_splits:
            return about
        split = self.judged_split()
        shown = self.evaluation(split) if self.task == "multiclass" else self.task_evaluation(split)
        return f"{about}<p>{html.escape(split)} split</p>{shown._repr_html_()}"


def open_run(path: str | Path) -> Run:
    """Open a run that exists.

    Raises:
        RunError: there is no run at the path; the nearest names are suggested.

    Example:
        >>> open_run("runs/pets").judged_split()
        'test'
    """
    return Run(RunDirectory.open(Path(path)))
