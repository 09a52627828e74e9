"""`repair`: refits a run's head for a better accuracy of the worst group, and writes it as a new run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.analysis.repaired_run import create_repaired_run, recipe_of_repair, repaired_predictor, stored_linear_weights
from tlkit.arrays import Ints
from tlkit.audit.group_tables import CROSS
from tlkit.audit.groups.group_columns import By, GroupColumn
from tlkit.audit.model_comparison import compare_models
from tlkit.audit.options import AuditOptions
from tlkit.audit.repair_result import Repair, RepairTrial
from tlkit.audit.repair_selection import choose, judge_on_test, pairs_by_group, try_candidate
from tlkit.audit.sampling_design import design_problems
from tlkit.choices import REPAIR_MARGIN
from tlkit.errors import DataError
from tlkit.features.features import Features
from tlkit.features.repair import RepairCandidate, fit_candidates
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.embed_run import embed_run
from tlkit.inference.extraction import Progress
from tlkit.inference.predictor import Predictor, load_predictor
from tlkit.predictions import Predictions
from tlkit.runs.repair_groups import GroupedImages, Grouping
from tlkit.runs.run import Run, open_run
from tlkit.runs.run_options import options_of_run
from tlkit.samples import PATH, SPLIT, Samples
from tlkit.stats.estimate import Estimate
from tlkit.stats.worst_group import worst_rates

VAL_FOLDS, TRAIN_FOLDS = 5, 3  # of the cross-validations that fit and judge candidates


def repair(
    run: Run | str | Path,
    *,
    by: By | Sequence[By] = (),
    name: str | None = None,
    overwrite: bool = False,
    margin: float = REPAIR_MARGIN,
    min_group_size: int | None = None,
    allow_attribute: bool = False,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Refit a run's head for a better accuracy of its worst group, and write it as a new run that names its parent.

    Candidates (`tlkit.features.repair.REPAIR_METHODS`) are fitted on cached features of the stored backbone. Their
    groups are the intersections of class and attribute. The simplest that helps on val, and is not distinguishable
    from the best, is chosen; the verdict comes from test, which is not used before. The worst group is one of the
    intersections where each has enough validation images, else one of the attribute's values; without an attribute it
    is one of the classes. Values, or classes, with fewer validation images are never the worst, and the result names
    them; where fewer than two are left, nothing is tried.

    Args:
        run: a run or its directory, with val and test splits.
        by: columns of the run, as `tlkit.audit_groups` takes them; none = the groups are the classes.
        name: of the new run, in the parent's folder; default: the parent's with "-repaired".
        overwrite: replace an earlier run of that name.
        margin: non-inferiority margin: largest accepted loss of overall accuracy, in [0, 1).
        min_group_size: smallest number of validation images of a group; default: the recipe's `audit.min_group_size`.
        allow_attribute: whether a method may be chosen that needs the attribute of every image that it predicts; its
            offsets are in the result, and no run is written.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those that are not in the cache.

    Returns:
        The candidates, the chosen one and its results. Where nothing helped, no run is written.

    Raises:
        TlkitError: there is no such run, it has no stored model, a column is unknown, or the new run exists.

    Example:
        >>> result = repair("runs/pets", by="light", min_group_size=30)
        >>> result.verdict, result.chosen
        ('NOT ENOUGH DATA', None)
    """
    if not 0 <= margin < 1:
        raise DataError(f"margin is {margin}. Use a number of at least 0 and below 1.")
    run = run if isinstance(run, Run) else open_run(run)
    options = options_of_run(run, min_group_size=min_group_size)
    options = replace(options, columns=options.cut(by))
    recipe = recipe_of_repair(run, name, overwrite=overwrite)
    predictor = load_predictor(run, device="cpu")
    table = run.samples
    samples = Samples(table.root, predictor.facts.classes, table.table)
    if problems := options.problems(samples.classes) + design_problems(samples.groups, options):
        raise DataError(*problems)
    task = _Task(run, samples, predictor, Grouping.of(samples, options.columns), options, margin)
    counts, smallest = task.groups.validation_images(samples), options.min_group_size
    empty = replace(task.no_result(), too_few={name: count for name, count in counts.items() if count < smallest})
    if len(counts) - len(empty.too_few) < 2 or not all(empty.images.values()):
        return _stored(run, empty)
    features = embed_run(run, options=embedding, progress=progress)
    result, candidate = task.fit(features, empty, allow=allow_attribute)
    if candidate is None or candidate.linear is None or result.verdict == "FAIL":
        return _stored(run, result)
    result = replace(result, run=recipe.name)
    create_repaired_run(
        run,
        result,
        recipe=recipe,
        predictor=repaired_predictor(predictor, candidate.linear),
        features=features,
        samples=samples,
        overwrite=overwrite,
    )
    return result


@dataclass(frozen=True, eq=False)
class _Choice:
    """Results on val: every candidate, the worst group of the original head, and the chosen candidate."""

    trials: tuple[RepairTrial, ...]
    before: tuple[str, Estimate]
    candidate: RepairCandidate | None


@dataclass(frozen=True, eq=False)
class _Task:
    """A run whose head is to be repaired, with the groups and the options."""

    run: Run
    samples: Samples
    predictor: Predictor
    groups: Grouping
    options: AuditOptions
    margin: float

    def fit(self, features: Features, empty: Repair, *, allow: bool) -> tuple[Repair, RepairCandidate | None]:
        """Return a result filled in with all candidates, without a new run, and the chosen candidate, if any."""
        start = time.perf_counter()
        images = GroupedImages.of(features, self.samples, self.groups, self.run, self.options.min_group_size)
        choice = self._choose(images, allow=allow)
        result = replace(
            empty,
            judged_by=images.judged_by,
            groups=images.names,
            trials=choice.trials,
            before=choice.before,
            images={split: len(images.rows(split)) for split in ("train", "val", "test")},
        )
        if choice.candidate is None:
            seconds = time.perf_counter() - start
            return replace(result, verdict="NOTHING HELPED", seconds=seconds), None
        candidate = choice.candidate
        result = replace(
            self._judged(result, images, candidate),
            chosen=candidate.method.name,
            offsets=_named_offsets(candidate, self.groups, self.predictor),
            seconds=time.perf_counter() - start,
        )
        return result, candidate

    def _choose(self, images: GroupedImages, *, allow: bool) -> _Choice:
        """Return the candidates and the chosen one, by validation images only."""
        train, val = images.part("train", folds=TRAIN_FOLDS), images.part("val", folds=VAL_FOLDS)
        predictions = self.predictor.predict_features(images.features, images.split("val"))
        assert predictions.proba is not None, "a stored model gives probabilities"
        before, group = predictions.correct, images.judged[images.rows("val")]
        confidence = self.options.confidence
        candidates = list(
            fit_candidates(
                train,
                val,
                classes=len(images.samples.classes),
                attributes=len(self.groups.values),
                original=stored_linear_weights(self.predictor),
                scores=np.log(np.maximum(predictions.proba, 1e-15)),
                seed=self.options.seed,
            )
        )
        right = [np.asarray(one.y_pred == val.y) for one in candidates]
        trials = tuple(
            try_candidate(
                one.method.name,
                learns_from=one.method.learns_from,
                at_prediction=one.method.at_prediction,
                before=before,
                after=hits,
                group=group,
                names=images.names,
                margin=self.margin,
                confidence=confidence,
                seconds=one.seconds,
            )
            for one, hits in zip(candidates, right, strict=True)
        )
        pairs = pairs_by_group(before, before, group, len(images.names))
        (worst, rate), _ = worst_rates(pairs, confidence)
        place = choose(
            trials, right, group=group, groups=len(images.names), confidence=confidence, allow_attribute=allow
        )
        return _Choice(trials, (images.names[worst], rate), None if place is None else candidates[place])

    def _judged(self, result: Repair, images: GroupedImages, candidate: RepairCandidate) -> Repair:
        """Return a result with the verdict on test, the change of the worst group, and the comparison of the heads."""
        samples, rows = images.split("test"), images.rows("test")
        before = self.predictor.predict_features(images.features, samples)
        if candidate.linear is not None:
            after = repaired_predictor(self.predictor, candidate.linear).predict_features(images.features, samples)
        else:
            after = _offset(before, candidate, images.attribute[rows])
        group, confidence = images.judged[rows], self.options.confidence
        verdict, worst, unseen = judge_on_test(
            before.correct, after.correct, group=group, names=images.names, margin=self.margin, confidence=confidence
        )
        columns = (GroupColumn(images.judged_by),) if self.groups.by else ()
        if columns:
            names = np.array([*images.names, None], dtype=object)[group]  # -1 finds None
            named = pd.DataFrame({PATH: samples.paths, images.judged_by: names})
            before, after = (one.with_groups(named, verbatim=True) for one in (before, after))
        comparison = compare_models(before, after, replace(self.options, columns=columns), names=("before", "after"))
        too_few = {**result.too_few, **dict.fromkeys(unseen, 0)}
        return replace(result, verdict=verdict, test=worst, too_few=too_few, comparison=comparison)

    def no_result(self) -> Repair:
        """Return the result of a repair for which there are not enough images."""
        counts = self.samples.table[SPLIT].value_counts()
        return Repair(
            parent=self.run.directory.name,
            by=self.groups.by,
            judged_by=CROSS.join(self.groups.by) or "class",
            groups=(),
            verdict="NOT ENOUGH DATA",
            too_few={},
            trials=(),
            before=None,
            chosen=None,
            run=None,
            test=None,
            comparison=None,
            offsets={},
            margin=self.margin,
            settings=self.options,
            images={split: int(counts.get(split, 0)) for split in ("train", "val", "test")},
            seconds=0.0,
        )


def _offset(before: Predictions, candidate: RepairCandidate, attribute: Ints) -> Predictions:
    """Return predictions with the logit offsets of each image's attribute."""
    assert before.proba is not None, "a stored model gives probabilities"
    scores = np.log(np.maximum(before.proba, 1e-15))
    if candidate.offsets is not None:
        scores = scores + candidate.offsets[attribute]
    proba = np.exp(scores - scores.max(axis=1, keepdims=True))
    return Predictions.build(
        classes=before.classes,
        path=before.path,
        y_true=before.y_true,
        groups=before.groups,
        verbatim=True,
        proba=proba / proba.sum(axis=1, keepdims=True),
    )


def _named_offsets(candidate: RepairCandidate, groups: Grouping, predictor: Predictor) -> dict[str, dict[str, float]]:
    if candidate.offsets is None:
        return {}
    return {
        value: dict(zip(predictor.facts.classes, map(float, row), strict=True))
        for value, row in zip(groups.values, candidate.offsets, strict=True)
    }


def _stored(run: Run, result: Repair) -> Repair:
    """Return a result without a new run, after storing it in the parent, unless that is itself a repaired run."""
    if "repair" not in run.environment:
        run.directory.write_json(run.directory.repair, result.to_dict())
    return result
