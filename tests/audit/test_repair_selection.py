"""Choosing a repaired head by its worst group, judging it on test, and what the result says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from messages import saying, says

from tlkit.audit.model_comparison import compare_predictions
from tlkit.audit.options import AuditOptions
from tlkit.audit.repair_result import Repair
from tlkit.audit.repair_selection import choose, judge_on_test, try_candidate
from tlkit.audit.repair_tables import METHODS
from tlkit.errors import TlkitError
from tlkit.features.repair import REPAIR_METHODS
from tlkit.predictions import Predictions
from tlkit.stats.estimate import Estimate

GROUP = np.repeat([0, 1, 2, 3], 100)
NAMES = ("a", "b", "c", "d")


def right(*rates):
    """Return who is right: the first images of each group of 100."""
    return np.concatenate([np.arange(100) < round(100 * rate) for rate in rates])


def trial(name, after, *, before=None, at_prediction=False, margin=0.05):
    return try_candidate(
        name,
        learns_from="val",
        at_prediction=at_prediction,
        group=GROUP,
        names=NAMES,
        margin=margin,
        before=right(0.9, 0.9, 0.5, 0.9) if before is None else before,
        after=after,
        confidence=0.95,
        seconds=0.1,
    )


def chosen(*candidates, **more):
    trials = [trial(name, after, at_prediction="offsets" in name) for name, after in candidates]
    place = choose(trials, [after for _, after in candidates], group=GROUP, groups=4, confidence=0.95, **more)
    return None if place is None else trials[place].method


def test_a_candidate_helps_where_the_whole_interval_of_the_worst_groups_change_lies_above_zero():
    better = trial("good", right(0.9, 0.88, 0.8, 0.9))
    assert (better.helps, better.worst_group, better.worst.value) == (True, "c", 0.8)
    assert better.change.value == pytest.approx(0.3)
    hardly = trial("slight", right(0.9, 0.9, 0.53, 0.9))
    assert hardly.change.value > 0 and not hardly.helps


def test_a_gain_of_the_worst_group_that_ruins_another_one_is_no_gain():
    assert not trial("moved", right(0.45, 0.9, 0.95, 0.9)).helps


def test_a_candidate_that_loses_clearly_more_than_the_margin_overall_does_not_help():
    costly = right(0.7, 0.7, 0.7, 0.7)
    assert not trial("costly", costly).helps
    assert trial("costly", costly, margin=0.2).helps


def test_the_simplest_of_those_that_cannot_be_told_apart_is_chosen():
    simple, best = ("simple", right(0.9, 0.9, 0.78, 0.9)), ("best", right(0.9, 0.9, 0.82, 0.9))
    assert chosen(simple, best) == "simple"
    assert chosen(best, simple) == "best"
    far = ("far", right(0.95, 0.95, 0.95, 0.95))
    assert chosen(simple, best, far) == "far"


def test_nothing_is_chosen_where_nothing_helps():
    assert chosen(("same", right(0.9, 0.9, 0.5, 0.9)), ("worse", right(0.9, 0.9, 0.3, 0.9))) is None


def test_what_needs_the_attribute_to_predict_is_never_chosen_unless_asked():
    candidates = (("group_offsets", right(0.9, 0.9, 0.9, 0.9)),)
    assert chosen(*candidates) is None
    assert chosen(*candidates, allow_attribute=True) == "group_offsets"


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (right(0.9, 0.9, 0.5, 0.9), right(0.9, 0.9, 0.8, 0.9), "PASS"),
        (right(0.9, 0.9, 0.5, 0.9), right(0.9, 0.9, 0.53, 0.9), "NOT ENOUGH DATA"),
        (right(0.9, 0.9, 0.5, 0.9), right(0.9, 0.9, 0.2, 0.9), "FAIL"),
        (right(1, 1, 0.5, 1), right(0.75, 0.75, 0.75, 0.75), "FAIL"),  # the worst group gains, all together lose 0.125
    ],
)
def test_the_verdict_on_test_has_three_states(before, after, verdict):
    found, worst, unseen = judge_on_test(before, after, group=GROUP, names=NAMES, margin=0.05, confidence=0.95)
    assert (found, worst.before_group, unseen) == (verdict, "c", ())
    assert worst.overall_change.value == pytest.approx(after.mean() - before.mean())


def test_a_group_without_test_images_is_named():
    verdict, worst, unseen = judge_on_test(
        right(1, 1, 1, 1),
        right(1, 1, 1, 1),
        group=np.where(GROUP == 2, -1, GROUP),
        names=NAMES,
        margin=0.05,
        confidence=0.95,
    )
    assert (verdict, worst, unseen) == ("NOT ENOUGH DATA", None, ("c",))


@pytest.fixture
def result():
    before, after = right(0.9, 0.9, 0.5, 0.9), right(0.9, 0.88, 0.8, 0.9)
    images = {"classes": ["x", "y"], "path": [str(i) for i in range(400)], "y_true": [0] * 400}
    tables = [Predictions.build(**images, y_pred=np.where(one, 0, 1)) for one in (before, after)]
    verdict, test, _ = judge_on_test(before, after, group=GROUP, names=NAMES, margin=0.05, confidence=0.95)
    first = trial("dfr_val", after)
    return Repair(
        parent="birds",
        by=("water<b>",),
        judged_by="class × water<b>",
        groups=NAMES,
        verdict=verdict,
        too_few={},
        trials=(first, trial("group_offsets", after, at_prediction=True)),
        before=("c", first.worst),
        chosen="dfr_val",
        run="birds-repaired",
        test=test,
        comparison=compare_predictions(*tables, names=("before", "after")),
        offsets={},
        margin=0.05,
        settings=AuditOptions(),
        images={"train": 9, "val": 400, "test": 400},
        seconds=1.5,
    )


def test_the_result_comes_back_from_its_json_and_shows_itself_escaped(result):
    assert Repair.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert says(repr(result), "birds", result.verdict, "2 candidates", "dfr_val")
    shown = result._repr_html_()
    assert "water&lt;b&gt;" in shown and "water<b>" not in shown
    with pytest.raises(TlkitError, match="newer tlkit"):
        Repair.from_dict({**result.to_dict(), "version": 99})
    assert (result.test.before.value, result.test.after.value) == (0.5, 0.8)


def test_a_chosen_method_that_needs_the_attribute_carries_a_warning(result):
    asked = replace(result, chosen="group_offsets", run=None)
    said = "\n".join(asked.tables()[0].notes)
    assert says(said, "WARNING", "group_offsets", "water<b>")
    assert says(said, "No run")


def change(value, low, high):
    return Estimate(value, low, high, n=400)


@pytest.mark.parametrize(
    ("verdict", "worst", "overall", "said"),
    [
        ("PASS", (0.3, 0.2, 0.4), (0.0, -0.04, 0.1), ("+0.300 [+0.200, +0.400]", "margin 0.05")),
        ("FAIL", (-0.3, -0.4, -0.2), (0.0, -0.04, 0.1), ("the worst group loses",)),
        ("FAIL", (0.3, 0.2, 0.4), (-0.2, -0.3, -0.1), ("overall", "inferior")),
        ("NOT ENOUGH DATA", (0.1, -0.1, 0.3), (0.0, -0.04, 0.1), ("do not show whether the worst group gains.",)),
        ("NOT ENOUGH DATA", (0.1, 0.01, 0.3), (0.0, -0.1, 0.1), ("overall accuracy loses no more than 0.05",)),
    ],
)
def test_the_reason_of_a_verdict_is_told_from_the_changes_on_test(verdict, worst, overall, said, result):
    test = replace(result.test, change=change(*worst), overall_change=change(*overall))
    reason = replace(result, verdict=verdict, test=test).tables()[0].notes[0]
    assert says(reason, "On test", *said)
    assert ("do not show" in reason) == (verdict == "NOT ENOUGH DATA")


def test_the_reason_why_nothing_is_tried_chosen_or_judged_is_told_from_numbers(result):
    def reason(**more):
        return replace(result, test=None, comparison=None, run=None, **more).tables()[0].notes[0]

    none = {"chosen": None, "trials": (), "before": None, "judged_by": "tone"}
    assert reason(**none, too_few={"a": 3, "b": 17}) == saying("tone", "20", "a 3, b 17", "17 more", "--min-group-size")
    assert reason(**none, images={"train": 9, "val": 0, "test": 0}) == saying("no val and no test images", "data.val")
    assert reason(too_few={"c": 0}) == "No test image is in c."
    unchosen = reason(chosen=None)
    assert unchosen == saying("(c, 0.800 [", "nearest was dfr_val", "group_offsets would help", "attribute")


def test_every_method_of_a_repair_has_its_words():
    assert list(METHODS) == [method.name for method in REPAIR_METHODS]


def test_a_stored_repair_holds_no_sentence(result):
    texts = [text for text in every_text(result.to_dict()) if text.count(" ") > 3]
    assert not texts


def every_text(value):
    """Yield the texts within plain JSON values."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from every_text(one)
    elif isinstance(value, str):
        yield value
