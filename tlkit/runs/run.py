"""Judging a run, without torch: read its predictions, evaluate, audit, report."""

from __future__ import annotations

import html
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.audit.audit import Audit, audit_predictions
from tlkit.audit.error_examples import GroupImages, NearestImage, audit_evidence
from tlkit.audit.explain import explain_predictions
from tlkit.audit.explanation import Explanation
from tlkit.audit.gates.gate_report import GateReport
from tlkit.audit.groups.group_columns import By
from tlkit.audit.model_comparison import Comparison
from tlkit.audit.options import AuditOptions
from tlkit.audit.repair_result import Repair
from tlkit.audit.slices.slice_report import SliceReport
from tlkit.choices import Criterion
from tlkit.errors import RunError
from tlkit.evaluation import Evaluation, evaluate
from tlkit.predictions import Predictions, read_predictions
from tlkit.recipe import EvaluateSection, Recipe, load_recipe
from tlkit.runs import RunDirectory, store_judgement, stored_judgement
from tlkit.runs.run_options import options_of_recipe, options_of_run, with_all_columns
from tlkit.runs.run_tables import read_history, read_leaks, read_set_aside
from tlkit.samples import Samples


class Run:
    """A run on disk, and the questions one can put to it. Needs no torch.

    Attributes:
        directory: where its files are.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self._recipe: tuple[bytes, Recipe] | None = None

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
        if self._recipe is None or self._recipe[0] != content:  # nearly every question asks for it
            self._recipe = content, load_recipe(file)
        return self._recipe[1]

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, commit, device, dataset fingerprint, weights."""
        return self.directory.read_json(self.directory.environment)

    @property
    def samples(self) -> Samples:
        """The readable images of all splits, with groups and digests."""
        return Samples.from_csv(self.directory.split, root=Path(self.environment["data"]["root"]))

    @property
    def history(self) -> pd.DataFrame:
        """One row of metrics per epoch; empty where no epoch has ended."""
        return read_history(self.directory)

    @property
    def excluded(self) -> list[tuple[str, str]]:
        """Path and reason of each image that could not be read."""
        return read_set_aside(self.directory)

    @property
    def leaks(self) -> pd.DataFrame:
        """Images of val and test that were in training: path, split, duplicate_of, duplicate_split, how, dropped."""
        return read_leaks(self.directory)

    def leaked(self, split: str) -> list[str]:
        """Return the images of a split that the model had met in training."""
        return _leaked(self.leaks, split)

    @property
    def repair(self) -> Repair | None:
        """How this run's head came from that of its parent, or what a repair of it found that wrote none; else None."""
        path = self.directory.repair
        return Repair.from_dict(self.directory.read_json(path)) if path.is_file() else None

    def predictions(self, split: str | None = None, *, groups: pd.DataFrame | Path | str | None = None) -> Predictions:
        """Return the predictions for a split: test by default, or val where there is no test split.

        Args:
            split: its name.
            groups: more group columns, as a CSV file or a table keyed by path, to join.

        Raises:
            RunError: the run has no predictions for it.
            PredictionsError: the columns cannot be joined.
        """
        predictions = read_predictions(self.directory.predictions(self.judged_split(split)))
        return predictions if groups is None else predictions.with_groups(groups)

    def judged_split(self, split: str | None = None) -> str:
        """Return the split that a judgement is about: the one asked for, else test, else val, else train.

        Raises:
            RunError: the run has no predictions for it.
        """
        return self.directory.judged_split(split)

    def chose_epoch(self, split: str) -> bool:
        """Tell whether a split chose the epoch whose weights are kept, so that its figures flatter a little."""
        return split == "val" and len(self.history) > 1

    def evaluate(self, split: str | None = None) -> Evaluation:
        """Evaluate a split as the recipe says, and store the result in `evaluation.json`.

        Raises:
            RunError: the run has no predictions for it.
        """
        split = self.judged_split(split)
        return evaluate_split(
            self.directory, split, self.predictions(split), settings=self.recipe.evaluate, leaks=self.leaks
        )

    def evaluation(self, split: str | None = None) -> Evaluation:
        """Return the stored evaluation of a split, made now where there is none yet.

        Raises:
            RunError: the run has no predictions for it.
        """
        split = self.judged_split(split)
        stored = stored_judgement(self.directory, self.directory.evaluation, split)
        return Evaluation.from_dict(stored) if stored else self.evaluate(split)

    def get_audit(self, split: str | None = None) -> Audit | None:
        """Return the stored audit of a split, made now where there is none yet; None where the recipe asks for none.

        Raises:
            RunError: the run has no predictions for it.
        """
        split = self.judged_split(split)
        stored = stored_judgement(self.directory, self.directory.audit, split)
        if stored:
            return Audit.from_dict(stored)
        return self.audit(split=split) if self.recipe.audit.by else None

    def audit(
        self,
        by: By | Sequence[By] | None = None,
        *,
        split: str | None = None,
        groups: pd.DataFrame | Path | str | None = None,
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
        """Compare a split's rates across groups. The recipe's own audit is stored in `audit.json`; others are not.

        An argument that is None takes the recipe's value: its `audit` section, `evaluate.confidence` and `seed`.

        Args:
            by: group columns, as `tlkit.audit_groups` takes them; default: the recipe's `audit.by`, else all
                columns that do not look like identifiers. A column that is named alone is cut as the recipe says.
            split: test by default, or val where there is no test split.
            groups: more group columns, as a CSV file or a table keyed by path, to join to the predictions.
            max_intersection_order: most columns that are crossed.
            min_group_size: smallest group that gets a rate.
            criteria: criteria whose rates are compared, too.
            positive: class that the criteria are about.
            confidence: two-sided level of the intervals, in (0, 1).
            tolerance: largest difference that is tolerated.
            cluster_by: column of what belongs together.
            pair_by: column of matched sets, in place of clusters and weights.
            weights: column of weights.

        Raises:
            PredictionsError: a column is not there; the message lists those that are.
            RunError: the run has no group columns at all.
        """
        split = self.judged_split(split)
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
        result = audit_predictions(predictions, self._with_columns(options, predictions, level=logging.INFO))
        if groups is None and options == options_of_run(self):
            store_judgement(self.directory, self.directory.audit, split, result.to_dict())
        return result

    def explain(
        self,
        by: By | Sequence[By] | None = None,
        *,
        split: str | None = None,
        groups: pd.DataFrame | Path | str | None = None,
        order: Mapping[str, Sequence[str]] | None = None,
        min_group_size: int | None = None,
        confidence: float | None = None,
        cluster_by: str | None = None,
        pair_by: str | None = None,
        weights: str | None = None,
    ) -> Explanation:
        """Say what lies behind a split's gaps. That of the recipe's own columns is stored; others are not.

        An argument that is None takes the recipe's value, as in `audit`.

        Args:
            by: group columns; default: the recipe's `audit.by`, else all that are no identifiers.
            split: test by default, or val where there is no test split.
            groups: more group columns, to join to the predictions.
            order: the values of a column in their order, lowest first.
            min_group_size: smallest group that is explained.
            confidence: two-sided level of the intervals, in (0, 1).
            cluster_by: column of what belongs together.
            pair_by: column of matched sets, in place of clusters and weights.
            weights: column of the images' weights.

        Raises:
            PredictionsError: a column, or a value of an order, is not there.
            RunError: the run has no group columns at all.
        """
        split = self.judged_split(split)
        predictions, trained = self.predictions(split, groups=groups), self.samples.split("train")
        options = options_of_run(
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
            self._with_columns(options, predictions),
            order=order,
            training=trained.groups if len(trained) else None,
        )
        if groups is None and order is None and options == options_of_run(self):
            store_judgement(self.directory, self.directory.explanation, split, result.to_dict())
        return result

    def _with_columns(
        self, options: AuditOptions, predictions: Predictions, *, level: int = logging.DEBUG
    ) -> AuditOptions:
        """Return the options with the columns to audit by.

        Raises:
            RunError: there are none.
        """
        options = with_all_columns(options, predictions.groups, level=level)
        if not options.columns:
            raise RunError(
                f"{self.path} has no group columns to audit by. Name a CSV of them, keyed by path (--groups FILE; in "
                "Python, run.audit(groups=FILE)). Or name it in data.metadata and its columns in data.groups, and fit "
                "again."
            )
        return options

    def audit_images(
        self,
        by: By | Sequence[By] | None = None,
        *,
        split: str | None = None,
        groups: pd.DataFrame | Path | str | None = None,
        audit: Audit | None = None,
        most: int = 6,
    ) -> tuple[GroupImages, ...]:
        """Return the images behind every row of an audit that fails for being worse than the rest.

        They are named by path; what resembles them by features is known once `tlkit.find_slices` has run.

        Args:
            by: group columns to audit by, where no audit is given; default: the recipe's audit.
            split: test by default, or val where there is no test split.
            groups: more group columns that were joined for the audit.
            audit: the audit whose rows are meant; default: made or read now.
            most: the most images to name of each kind and group.

        Raises:
            PredictionsError: a column is not there.
            RunError: the run has no group columns at all.
        """
        split = self.judged_split(split)
        if audit is None and by is None and groups is None:
            audit = self.get_audit(split)
        stored = stored_judgement(self.directory, self.directory.neighbors, split) or {}
        near = {path: tuple(NearestImage(**one) for one in nears) for path, nears in stored.items()}
        return audit_evidence(
            self.predictions(split, groups=groups),
            audit or self.audit(by, split=split, groups=groups),
            most=most,
            neighbors=near,
        )

    def last_slices(self, split: str | None = None) -> SliceReport | None:
        """Return the slices that `tlkit.find_slices` found in a split; None where it has not been asked.

        Raises:
            RunError: the run has no predictions for it.
        """
        split = self.judged_split(split)
        stored = stored_judgement(self.directory, self.directory.slices, split)
        return SliceReport.from_dict(stored) if stored else None

    def last_explanation(self, split: str | None = None) -> Explanation | None:
        """Return what lies behind the gaps, stored or made now; None where the recipe asks for no audit.

        Raises:
            RunError: the run has no predictions for it.
        """
        split = self.judged_split(split)
        stored = stored_judgement(self.directory, self.directory.explanation, split)
        if stored:
            return Explanation.from_dict(stored)
        return self.explain(split=split) if self.recipe.audit.by else None

    def compare(
        self,
        other: Run | Predictions,
        *,
        by: By | Sequence[By] | None = None,
        split: str | None = None,
        names: tuple[str, str] | None = None,
    ) -> Comparison:
        """Say what changes from this run to another one, on the images that both predicted.

        Columns are cut, intervals and tests made as this run's recipe says.

        Args:
            other: another run, or predictions of another model on the same images.
            by: group columns; default: the recipe's `audit.by`, else all that are no identifiers.
            split: test by default, or val where there is no test split.
            names: what to call the two; default: their directories.

        Raises:
            PredictionsError: the two have no image in common, or a column is not there.
        """
        from tlkit.runs.compare_runs import compare_with

        return compare_with(self, other, by=by, split=split, names=names)

    def gate(self, gates: str | os.PathLike[str], *, split: str | None = None) -> GateReport:
        """Hold a split's predictions against a file of gates; see `tlkit.gate`.

        Args:
            gates: the YAML file, such as recipes/gates.yaml.
            split: test by default, or val where there is no test split.

        Raises:
            RecipeError: the file of gates is wrong.
            PredictionsError: a column or class of the gates is not in the predictions.
        """
        from tlkit.runs.gate_run import gate

        return gate(self, gates, split=split)

    def report(self, split: str | None = None) -> Path:
        """Write `report.html` about a split, evaluating and auditing it where that is still to do; return its path."""
        from tlkit.runs.run_pages import report_of

        return report_of(self, split)

    def card(self, split: str | None = None, *, intended_use: str | None = None, overwrite: bool = False) -> Path:
        """Write `MODEL_CARD.md`: intended use, figures, limits from the audit, data, licences; return its path.

        Args:
            split: test by default, or val where there is no test split.
            intended_use: what the model is for; default: the recipe's `report.intended_use`.
            overwrite: replace a card that says something else, such as one edited by hand.

        Raises:
            RunError: there is such a card.
        """
        from tlkit.runs.run_pages import card_of

        return card_of(self, split, intended_use=intended_use, overwrite=overwrite)

    def _repr_html_(self) -> str:
        name, status, path = (html.escape(text) for text in (self.directory.name, self.status, str(self.path)))
        about = f"<p><b>{name}</b> ({status}), in {path}</p>"
        if not self.directory.predicted_splits:
            return about
        split = self.judged_split()
        return f"{about}<p>{html.escape(split)} split</p>{self.evaluation(split)._repr_html_()}"


def open_run(path: str | Path) -> Run:
    """Open a run that exists.

    Raises:
        RunError: there is no run at the path; the nearest names are suggested.
    """
    return Run(RunDirectory.open(Path(path)))


def evaluate_split(
    directory: RunDirectory, split: str, predictions: Predictions, *, settings: EvaluateSection, leaks: pd.DataFrame
) -> Evaluation:
    """Return the evaluation of one split of a run, and store it in `evaluation.json`.

    Args:
        directory: the run's directory.
        split: the split.
        predictions: its predictions.
        settings: the `evaluate` section of the run's recipe.
        leaks: the run's leaks, as `Run.leaks` gives them; the figures without them are given too.
    """
    result = evaluate(predictions, top_k=settings.top_k, confidence=settings.confidence, leaked=_leaked(leaks, split))
    store_judgement(directory, directory.evaluation, split, result.to_dict())
    return result


def audit_split(directory: RunDirectory, split: str, predictions: Predictions, *, recipe: Recipe) -> Audit:
    """Return the audit of one split of a run by its recipe's columns, and store it in `audit.json`.

    Args:
        directory: the run's directory.
        split: the split.
        predictions: its predictions.
        recipe: the run's recipe; it names columns to audit by.

    Raises:
        PredictionsError: the predictions do not have such a column.
    """
    result = audit_predictions(predictions, options_of_recipe(recipe))
    store_judgement(directory, directory.audit, split, result.to_dict())
    return result


def _leaked(leaks: pd.DataFrame, split: str) -> list[str]:
    """Return the paths of a split's leaked images whose copies stayed in training."""
    return leaks.loc[(leaks["split"] == split) & (leaks["dropped"] == ""), "path"].tolist()
