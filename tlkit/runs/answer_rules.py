"""`AnswerRules`: which new images a model answers, and the sets of classes it gives, from the scores that it stores."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.choices import SetMethod, Views
from tlkit.errors import PredictionsError

if TYPE_CHECKING:
    from tlkit.predictions import Predictions
    from tlkit.stats.selective_risk import RiskThreshold
    from tlkit.uncertainty.val_scores import ValScores

logger = logging.getLogger(__name__)

ANSWERED, SET, SET_SIZE = "answered", "set", "set_size"
"""Columns that are added to the predictions. A set is class names with ; between them; an empty one has no value."""


@dataclass(frozen=True)
class AnswerRules:
    """The threshold and the sets that a model gives new images.

    Attributes:
        scores: of its validation images.
        threshold: where it answers; None = everywhere, without a column that says so.
        coverage: wanted coverage of the sets; None = no sets.
        method: how the sets are made.
    """

    scores: ValScores
    threshold: RiskThreshold | None
    coverage: float | None
    method: SetMethod

    @classmethod
    def of(
        cls, run: Path, *, risk: float | None, coverage: float | None, method: SetMethod, tta: Views = "none"
    ) -> AnswerRules:
        """Return the rules of a run or stored model; the log says what they guarantee.

        Args:
            run: the run, or the folder of its model.
            risk: wanted share of wrong answers among the answered; None = answer everything.
            coverage: wanted share of sets that hold the true class; None = no sets.
            method: how sets are made.
            tta: test-time augmentation of the predictions to come.

        Raises:
            RunError: the model stores no scores of validation images.
            PredictionsError: a number is out of its range, or no threshold can be guaranteed for the risk.
        """
        from tlkit.runs.stored_val_scores import val_scores_of
        from tlkit.uncertainty.abstention_tables import EPOCH_NOTE, guarantee_sentence, missing_sentence

        scores = val_scores_of(run)
        threshold = None if risk is None else scores.threshold(risk)
        if threshold is not None and threshold.threshold is None:
            raise PredictionsError(f"--abstain-at-risk {risk:g}: {missing_sentence(threshold)}")
        if coverage is not None:
            scores.limits(coverage, method)
        if tta != scores.tta:
            logger.warning(
                "The thresholds come from predictions with tta %s, but these have %s: nothing is guaranteed.",
                scores.tta,
                tta,
            )
        if threshold is not None and threshold.threshold is not None:
            logger.info(
                "Answered: confidence above %.4f. %s", max(0.0, threshold.threshold), guarantee_sentence(threshold)
            )
        if coverage is not None:
            logger.info(
                "Sets: %s, calibrated on %d validation images; a new image of the same distribution has its class in "
                "its set with a probability of at least %g.",
                method.upper(),
                len(scores),
                coverage,
            )
        if scores.chose_epoch:
            logger.info("%s", EPOCH_NOTE)
        return cls(scores, threshold, coverage, method)

    def apply(self, predictions: Predictions) -> Predictions:
        """Return the predictions with the columns `answered`, or `set` and `set_size`, or all of them."""
        import pandas as pd

        added: dict[str, list[str | None]] = {}
        confidence = predictions.confidence
        assert confidence is not None, "a model's predictions have probabilities"
        if self.threshold is not None and self.threshold.threshold is not None:
            added[ANSWERED] = ["yes" if sure > self.threshold.threshold else "no" for sure in confidence]
        if self.coverage is not None:
            held = self.scores.sets(predictions, self.coverage, self.method)
            names = [[name for name, inside in zip(self.scores.classes, row, strict=True) if inside] for row in held]
            added[SET] = [";".join(one) or None for one in names]
            added[SET_SIZE] = [str(len(one)) for one in names]
        columns = pd.DataFrame({name: pd.array(values, dtype="string") for name, values in added.items()})
        return replace(predictions, groups=pd.concat([predictions.groups, columns], axis=1))
