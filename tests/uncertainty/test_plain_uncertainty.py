"""The first line of `tlkit calibration`, `abstain` and `conformal`: what was found, how sure, what next."""

from __future__ import annotations

import numpy as np
import pytest
from tables_of_predictions import predictions_of

from tlkit.tables.shares import in_percent
from tlkit.uncertainty import assess_abstention, assess_calibration, assess_sets
from tlkit.uncertainty.plain_uncertainty import abstention_sentence, calibration_sentence, sets_sentence
from tlkit.uncertainty.val_scores import ValScores


def draw(n, seed, *, shift=0.0):
    """Two classes; the confidence is `shift` above the chance of being right."""
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.55, 0.95, n)
    right = rng.random(n) < sure - shift
    truth = rng.integers(0, 2, n)
    guess = np.where(right, truth, 1 - truth)
    proba = np.empty((n, 2))
    proba[np.arange(n), guess], proba[np.arange(n), 1 - guess] = sure, 1 - sure
    return predictions_of(truth, proba=proba, g=np.where(rng.random(n) < 0.4, "few", "many"))


@pytest.mark.parametrize(
    ("n", "shift", "words"),
    [
        (600, 0.0, "No disagreement"),
        (600, 0.2, "too sure"),
        (600, -0.2, "not sure enough"),
        (20, 0.0, "NOT ENOUGH DATA"),
    ],
)
def test_calibration_says_whether_the_model_is_too_sure(n, shift, words):
    found = assess_calibration(draw(n, 3, shift=shift), classwise=False)
    said = calibration_sentence(found)
    assert words in said
    if n > 40:
        assert f"{100 * found.overall.excess.value:+.1f} points" in said and "95% interval" in said


def test_abstention_says_what_is_answered_or_that_it_promises_nothing():
    test, val = draw(900, 2), ValScores.of(draw(900, 3))
    found = assess_abstention(test, val, risks=[0.2])
    said = abstention_sentence(found)
    assert in_percent(found.error) in said and in_percent(found.thresholds[0].risk) in said and "20%" in said
    few = abstention_sentence(assess_abstention(test, ValScores.of(draw(30, 3)), risks=[0.01]))
    assert "NOT ENOUGH DATA" in few and "299" in few  # ln .05 / ln .99
    assert "surest 50%" in abstention_sentence(assess_abstention(test))


def test_sets_say_whether_they_hold_the_class_as_often_as_wanted():
    test = draw(900, 4)
    good, bad = assess_sets(test, draw(900, 5)), assess_sets(test, draw(900, 5, shift=-0.25))
    assert in_percent(good.overall.coverage) in sets_sentence(good) and "95%" in sets_sentence(good)
    assert bad.overall.verdict == "FAIL" and "less than the 95%" in sets_sentence(bad)
