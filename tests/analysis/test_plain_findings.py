"""The first line of `tlkit errors`, `unknown`, `drift`, `label-next` and `robustness`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measurements import made_unknown
from tables_of_predictions import predictions_of

from tlkit.analysis.find_errors import find_errors
from tlkit.analysis.plain_findings import drift_sentence, errors_sentence, robustness_sentence
from tlkit.evaluation.drift_report import DriftReport, DriftTest
from tlkit.evaluation.label_next_result import LabelNext
from tlkit.evaluation.label_next_tables import label_next_sentence
from tlkit.evaluation.robustness_report import CorruptionResult, RobustnessReport
from tlkit.evaluation.unknown_tables import unknown_sentence
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson

DRIFT = DriftReport(
    run="run",
    reference="train",
    reference_images=200,
    images=90,
    copies=0,
    clusters=(90, 200),
    tested=(90, 200),
    verdict="DRIFT",
    tests=(DriftTest("classifier", Estimate(0.72, 0.68, 0.76, n=290), 0.001, 0.002),),
    alpha=0.05,
    least=20,
    detectable=0.6,
    bandwidth=1.0,
    permutations=999,
    foreign=(),
    beyond=wilson(9, 90),
    distances={"new": np.zeros(90), "reference": np.zeros(200)},
    k=5,
    confidence=0.95,
    strategy="frozen",
)


def test_errors_say_how_many_are_wrong_and_what_is_taken_for_what():
    one = predictions_of([0] * 40 + [1] * 60, [1] * 10 + [0] * 30 + [1] * 60)
    said = errors_sentence(find_errors(one))
    assert "10 of 100 images are wrong: 10.0% [5.5, 17.4]" in said and "10 of 40" in said
    none = errors_sentence(find_errors(predictions_of([0, 1] * 20, [0, 1] * 20)))
    assert "None of 40 images" in none and "8.8%" in none  # Wilson's end for 0 of 40


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("DRIFT", "72.0% [68.0, 76.0]"), ("NO DRIFT FOUND", "can go unseen"), ("NOT ENOUGH DATA", "too few")],
)
def test_drift_says_whether_images_differ_and_what_to_do(verdict, words):
    said = drift_sentence(replace(DRIFT, verdict=verdict))
    assert words in said and "90 new images" in said
    assert ("label some" in said) is (verdict == "DRIFT")


def test_label_next_says_what_labels_would_bring_or_that_it_cannot():
    result = LabelNext("run", "margin", 500, 0, (), 200, Estimate(0.012, -0.003, 0.027, n=200), 0.95)
    assert "+1.2 points of accuracy [-0.3, +2.7]" in label_next_sentence(result)
    assert "cannot be said" in label_next_sentence(replace(result, gain=Estimate(None, None, None, n=0)))


def test_robustness_names_certain_losses_with_their_severity_and_what_is_undecided():
    def corruption(name, verdict, first):
        return CorruptionResult(name, "", "", (), wilson(1, 2), first, verdict, None)

    report = RobustnessReport(
        run="run",
        split="test",
        n=153,
        clean=wilson(146, 153),
        corruptions=(
            corruption("jpeg", "NO LOSS BEYOND TOLERANCE", None),
            corruption("occlusion", "LOSS", 5),
            corruption("darkness", "LOSS", 3),
            corruption("contrast", "NOT ENOUGH DATA", None),
        ),
        tests=20,
        alpha=0.05,
        tolerance=0.05,
        detectable=0.1,
        columns=(),
        min_group_size=20,
        group_severity=3,
        clusters="",
        trained_on=False,
        seed=0,
        confidence=0.95,
    )
    said = robustness_sentence(report)
    assert "darkness from severity 3, occlusion from severity 5" in said
    assert "within 5 points with jpeg" in said and "Too few images to tell for contrast" in said


def test_unknown_says_how_many_known_and_foreign_images_are_called_unknown_and_how_to_apply_it():
    said = unknown_sentence(made_unknown(100))
    assert "4.5% [2.4, 8.3]" in said and "5% is wanted" in said  # Wilson 9 of 200
    assert "digits 90.0% [78.6, 95.7]" in said and "predict --unknown" in said  # Wilson 45 of 50
    assert "--against" in unknown_sentence(made_unknown(100, foreign=False))
    assert "not stored" in unknown_sentence(made_unknown(100, stored=False))


def test_unknown_without_a_threshold_says_how_many_validation_images_it_takes():
    said = unknown_sentence(made_unknown(12))
    assert "NOT ENOUGH DATA" in said and "12 validation images" in said and "takes 19" in said  # 1 / 0.05 - 1
    assert "digits" not in said


def test_unknown_without_held_out_images_says_that_nothing_checks_the_threshold():
    report = made_unknown(100)
    unchecked = replace(report.thresholds[0], held_out=Estimate(None, None, None, n=0, note="no images"))
    said = unknown_sentence(replace(report, thresholds=(unchecked,)))
    assert "5% false alarms" in said and "no held-out images" in said
