"""`SweepStudy`: the trials of a sweep in a journal of Optuna's. The only door to Optuna.

Every read and write happens under the lock of the sweep's folder, so that any number of processes share one journal.
The process that works on a trial holds the trial's own lock, which the operating system frees when it is killed. A
trial that is running in the journal and whose lock is free has lost its process: it is put into the queue again, once
for each kill, with the same values and the same run directory, which is then resumed.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlkit.errors import MissingExtraError
from tlkit.recipe.sweep_file import Choices, Parameter, SweepFile
from tlkit.recipe.value_messages import in_yaml
from tlkit.stats.estimate import Estimate
from tlkit.sweeps.sweep_folder import SweepFolder
from tlkit.sweeps.sweep_result import Importance, TrialRow, TrialState

if TYPE_CHECKING:
    import optuna

STUDY = "sweep"
MOST_STARTS = 3
"""A trial whose process was killed so often has failed: it may be what kills it."""
STARTUP_TRIALS = 10
"""Random trials before TPE learns from them, and finished trials before pruning: Optuna's defaults are 10 and 5."""
IMPORTANCE_TRIALS = 10
"""Fewer complete trials say nothing about importance."""
FORESTS = 5

Waiting = Literal["wait", "done"]


@dataclass(frozen=True)
class TakenTrial:
    """A trial that this process works on.

    Attributes:
        number: number of this start in the journal.
        row: number of its first start, which names its run.
        values: by dotted recipe key.
        trial: Optuna's object.
    """

    number: int
    row: int
    values: Mapping[str, Any]
    trial: optuna.Trial


class SweepStudy:
    """The trials of a sweep, shared by all processes that work on it.

    Raises:
        MissingExtraError: Optuna is not installed.
    """

    def __init__(self, file: SweepFile, folder: SweepFolder, *, higher_is_better: bool) -> None:
        try:
            import optuna
            from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
        except ImportError:
            raise MissingExtraError(package="optuna", extra="sweep", purpose="tlkit sweep") from None
        self._optuna, self._file, self._folder = optuna, file, folder
        self.higher_is_better = higher_is_better
        self._grid = _grid(file) if file.settings.sampler == "grid" else None
        self.trials = file.settings.trials if self._grid is None else min(file.settings.trials, len(self._grid))
        path = str(folder.journal.absolute())
        with self._locked():
            backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
            self._storage = JournalStorage(backend)
            optuna.create_study(
                study_name=STUDY,
                storage=self._storage,
                direction="maximize" if higher_is_better else "minimize",
                load_if_exists=True,
            )

    @contextmanager
    def take(self) -> Iterator[TakenTrial | Waiting]:
        """Yield a trial that is locked for this process; "wait" while others work on the last ones; else "done"."""
        with ExitStack() as held:
            with self._locked():
                found = self._next()
                if isinstance(found, TakenTrial):
                    held.enter_context(self._folder.trial_locked(found.number))
            yield found

    def finish(self, taken: TakenTrial, estimate: Estimate, *, pruned: bool, seconds: float) -> None:
        """Record the figure of a trial, or that it was pruned."""
        with self._locked():
            taken.trial.set_user_attr("estimate", estimate.to_dict())
            taken.trial.set_user_attr("seconds", round(seconds, 3))
            state = self._optuna.trial.TrialState
            value = None if pruned else estimate.value
            self._study().tell(taken.trial, value, state=state.PRUNED if pruned else state.COMPLETE)

    def fail(self, taken: TakenTrial, reason: str, *, seconds: float) -> None:
        """Record why a trial has no figure."""
        with self._locked():
            taken.trial.set_user_attr("reason", reason)
            taken.trial.set_user_attr("seconds", round(seconds, 3))
            self._study().tell(taken.trial, state=self._optuna.trial.TrialState.FAIL)

    def stop(self, taken: TakenTrial) -> None:
        """Record that a person has stopped a trial, so that this start does not count as killed."""
        with self._locked():
            taken.trial.set_user_attr("stopped", True)

    def should_prune(self, taken: TakenTrial, value: float, *, epoch: int) -> bool:
        """Record a figure of an epoch, and return whether the trial is worse than the median of earlier ones."""
        if self._file.settings.pruner == "none" or not math.isfinite(value):
            return False
        with self._locked():
            taken.trial.report(value, step=epoch)
            return taken.trial.should_prune()

    def rows(self) -> tuple[TrialRow, ...]:
        """Return the trials by the number of their first start; those without values never began and are left out."""
        with self._locked():
            found = self._by_row(self._study().get_trials(deepcopy=False))
        return tuple(self._row(row, starts) for row, starts in found.items())

    def importances(self) -> tuple[Importance, ...]:
        """Return how much of the variance of the figure each key explains, by fANOVA; () with too few trials.

        fANOVA (Hutter, Hoos & Leyton-Brown 2014, ICML) fits a random forest to the complete trials; the range is that
        of five forests with other seeds. It is none of other trials.
        """
        with self._locked():
            study = self._study()
            complete = study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.COMPLETE,))
            if len(complete) < IMPORTANCE_TRIALS or len({one.value for one in complete}) < 2:
                return ()
            evaluator = self._optuna.importance.FanovaImportanceEvaluator
            found = [
                self._optuna.importance.get_param_importances(study, evaluator=evaluator(seed=seed))
                for seed in range(FORESTS)
            ]
        keys = {key: [one.get(key, 0.0) for one in found] for key in found[0]}
        rows = [Importance(key, float(np.mean(of)), min(of), max(of)) for key, of in keys.items()]
        return tuple(sorted(rows, key=lambda one: -one.share))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the sweep, mend the journal after a kill, and keep Optuna from logging every trial."""
        log = self._optuna.logging
        level = log.get_verbosity()
        with self._folder.locked():
            self._folder.mend_journal()
            log.set_verbosity(log.WARNING)
            try:
                yield
            finally:
                log.set_verbosity(level)

    def _study(self, number: int = 0) -> optuna.Study:
        """Return the study; its sampler is seeded by the number of the next trial, so that processes draw apart."""
        samplers, settings = self._optuna.samplers, self._file.settings
        seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
        sampler: optuna.samplers.BaseSampler = samplers.RandomSampler(seed=seed)
        if settings.sampler == "tpe":
            sampler = samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True)
        pruner = self._optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
        return self._optuna.load_study(study_name=STUDY, storage=self._storage, sampler=sampler, pruner=pruner)

    def _next(self) -> TakenTrial | Waiting:
        """Return the next trial: one that lost its process, else a new one. Called while locked."""
        states = self._optuna.trial.TrialState
        study = self._study()
        for one in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            if not self._folder.is_worked_on(one.number):
                self._requeue(study, one)
        trials = study.get_trials(deepcopy=False)
        rows = self._by_row(trials)
        open_rows = [starts[-1].state for starts in rows.values() if not starts[-1].state.is_finished()]
        if len(rows) >= self.trials and states.WAITING not in open_rows:
            return "wait" if open_rows else "done"
        study = self._study(len(trials))
        if self._grid is not None and len(rows) < self.trials and states.WAITING not in open_rows:
            study.enqueue_trial(self._grid[len(rows)], user_attrs={"params": self._grid[len(rows)]})
        trial = study.ask()
        values = {one.key: _suggest(trial, one) for one in self._file.space}
        return TakenTrial(trial.number, trial.user_attrs.get("row", trial.number), values, trial)

    def _requeue(self, study: optuna.Study, lost: optuna.trial.FrozenTrial) -> None:
        """Put a trial that lost its process into the queue again, and close its start."""
        complete = {one.key for one in self._file.space} <= lost.params.keys()
        params = dict(lost.params) if complete else lost.user_attrs.get("params")
        row = lost.user_attrs.get("row", lost.number)
        killed = lost.user_attrs.get("killed", 0) + (not lost.user_attrs.get("stopped", False))
        known = [one for one in study.get_trials(deepcopy=False) if one.user_attrs.get("retry_of") == lost.number]
        if params is not None and killed < MOST_STARTS and not known:
            attributes = {"row": row, "killed": killed, "retry_of": lost.number, "params": params}
            study.enqueue_trial(params, user_attrs=attributes)
        study.tell(lost.number, state=self._optuna.trial.TrialState.FAIL)

    def _by_row(self, trials: Sequence[optuna.trial.FrozenTrial]) -> dict[int, list[optuna.trial.FrozenTrial]]:
        """Return the starts of each trial; a start that was killed before it had its values is none."""
        keys = {one.key for one in self._file.space}
        found: dict[int, list[optuna.trial.FrozenTrial]] = {}
        for one in trials:
            if keys <= one.params.keys() or "params" in one.user_attrs or not one.state.is_finished():
                found.setdefault(one.user_attrs.get("row", one.number), []).append(one)
        return found

    def _row(self, row: int, starts: Sequence[optuna.trial.FrozenTrial]) -> TrialRow:
        last = starts[-1]
        attributes = last.user_attrs
        params = last.params or attributes.get("params", {})
        names: dict[str, TrialState] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        state = names.get(last.state.name, "unfinished")
        reason = attributes.get("reason", "")
        if state == "failed" and not reason:
            reason = f"its process was killed {MOST_STARTS} times"
        return TrialRow(
            number=row,
            state=state,
            figure=Estimate.from_dict(attributes["estimate"]) if "estimate" in attributes else None,
            settings={one.key: in_yaml(_value(one, params[one.key])) for one in self._file.space if one.key in params},
            starts=len(starts),
            seconds=attributes.get("seconds"),
            reason=reason,
        )


def _grid(file: SweepFile) -> list[dict[str, str]]:
    """Return every combination of the choices, in a random order that depends on the seed alone."""
    axes = [[(one.key, in_yaml(value)) for value in one.ends] for one in file.space]
    combinations = [dict(combination) for combination in itertools.product(*axes)]
    random.Random(file.settings.seed).shuffle(combinations)  # noqa: S311  nothing secret
    return combinations


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Any:
    """Return the value of a key in a trial; choices have their YAML text as name, which any value has."""
    if isinstance(parameter, Choices):
        return _value(parameter, trial.suggest_categorical(parameter.key, [in_yaml(one) for one in parameter.values]))
    low, high, step = parameter.low, parameter.high, parameter.step
    if parameter.whole:
        return trial.suggest_int(parameter.key, int(low), int(high), step=int(step or 1), log=parameter.log)
    return trial.suggest_float(parameter.key, low, high, step=step, log=parameter.log)


def _value(parameter: Parameter, stored: Any) -> Any:
    """Return the recipe's value for what the journal holds."""
    if isinstance(parameter, Choices):
        return next(one for one in parameter.values if in_yaml(one) == stored)
    return stored
