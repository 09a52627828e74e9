"""The summary of the report: verdict, main figures, and what one can and cannot conclude, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlkit.evaluation.evaluation_tables import TRAINED_ON
from tlkit.render.report.limitations import limits_of
from tlkit.render.report.page_section import Claim, Strip, Summary, VerdictBadge
from tlkit.render.report.plain_words import (
    MARKS,
    failing_sentence,
    other_sentence,
    training_sentence,
    verdict_of,
    verdict_of_row,
)
from tlkit.render.report.sections.classes_section import confusion_sentence, weakest_sentence
from tlkit.render.report.sections.dataset_section import data_sentence
from tlkit.render.report.sections.measurements_section import drift_claim, robustness_claim
from tlkit.render.report.sections.provenance_section import model_sentence
from tlkit.render.report.sections.training_section import kept_sentence
from tlkit.tables import counted, two_figures
from tlkit.tables.formatting import SIGNS
from tlkit.tables.shares import percent, percent_range

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.evaluation import Evaluation
    from tlkit.render.report.run_contents import RunContents
    from tlkit.stats.estimate import Estimate

MOST_FAILURES = 6
"""Failing groups that the top of the page names on either side; the audit shows all."""
OPTIMISTIC = (
    "That split also selected the epoch whose weights are kept, so its figures are slightly optimistic; a test split"
    " (data.test) avoids that."
)


def summary_of(run: RunContents) -> Summary:
    """Return the summary of a run."""
    audit = run.audit
    questions = (
        ("What was trained on what", _trained(run)),
        ("How good it is", _good(run)),
        *(
            (("For whom it was checked", (Claim("Nobody checked whether groups of images are served alike."),)),)
            if audit is None
            else ()
        ),
        ("What you can conclude", _conclusions(run)),
        ("What you cannot conclude", (*_drifted(run), *limits_of(run, failures=False))),
        ("What to do next", _next(run)),
    )
    return Summary(
        verdict=None if audit is None else verdict_of(audit.group_tables),
        verdict_lines=() if audit is None else audit_claims(audit),
        strips=_strips(run.evaluation),
        questions=tuple((question, claims) for question, claims in questions if claims),
    )


def lead(run: RunContents) -> tuple[str, ...]:
    """Return the opening lines of the model card: the model, and the assessed images."""
    model, judged = model_sentence(run.recipe_text), _judged(run)
    if run.evaluation.trained_on:
        judged += f" {TRAINED_ON}"
    return (model, judged) if model else (judged,)


def audit_claims(audit: Audit) -> tuple[Claim, ...]:
    """Return a claim for each group that fails, the worse off and the widest gaps first, then one for each column."""
    failed = [
        (table.is_better(row), -abs(difference.value or 0.0), table, row) for table, row, difference in audit.failures
    ]
    failed.sort(key=lambda one: one[:2])
    claims = []
    for better in (False, True):
        side = [(table, row) for is_better, _, table, row in failed if is_better == better]
        claims += [
            Claim(failing_sentence(audit, table, row), ("audit",), verdict_of_row(table, row))
            for table, row in side[:MOST_FAILURES]
        ]
        if len(side) > MOST_FAILURES:
            what = "better" if better else "worse"
            claims.append(Claim(f"{len(side) - MOST_FAILURES} more groups are {what} off than the rest.", ("audit",)))
    for columns in dict.fromkeys(table.columns for table in audit.group_tables):
        tables = [table for table in audit.group_tables if table.columns == columns]
        words = [row.verdict for table in tables for row in table.rows]
        if "PASS" in words or "NOT ENOUGH DATA" in words or "FAIL" not in words:
            open_tables = [table for table in tables if any(row.verdict != "FAIL" for row in table.rows)]
            claims.append(Claim(other_sentence(audit, open_tables or tables), ("audit",), _without_failures(words)))
    return tuple(claims)


def _without_failures(words: Sequence[str | None]) -> VerdictBadge:
    """Return the verdict over the rows that do not fail."""
    passed = "PASS" in words and "NOT ENOUGH DATA" not in words
    word = "PASS" if passed else "NOT ENOUGH DATA"
    return VerdictBadge(SIGNS[word], MARKS[word])


def _trained(run: RunContents) -> tuple[Claim, ...]:
    model = " ".join(filter(None, (model_sentence(run.recipe_text), kept_sentence(run.kept_epochs))))
    found = [Claim(model, ("training", "repeat"))] if model else []
    return (*found, Claim(data_sentence(run.counts), ("data",)), Claim(_judged(run), ("result",)))


def _judged(run: RunContents) -> str:
    judged = f"Assessed on {run.evaluation.n:,} images of the {run.split} split, {len(run.evaluation.classes)} classes."
    return f"{judged} {OPTIMISTIC}" if run.chose_epoch else judged


def _good(run: RunContents) -> tuple[Claim, ...]:
    evaluation = run.evaluation
    claims = [Claim(_accuracy_sentence(evaluation), ("result",))]
    clean = evaluation.without_leaks
    if clean is not None and clean.accuracy.value is not None:
        share = percent(clean.accuracy.value, n=clean.accuracy.n)
        text = f"Without the {counted(clean.n_leaked, 'image')} that an earlier split holds as well it is {share}"
        claims.append(Claim(f"{text} ({percent_range(clean.accuracy)}).", ("data",)))
    claims.append(Claim(weakest_sentence(evaluation), ("classes",)))
    claims.append(Claim(confusion_sentence(evaluation), ("confusions", "worst")))
    if run.robustness is not None:
        claims.append(Claim(robustness_claim(run.robustness), ("robustness",)))
    return tuple(claims)


def _accuracy_sentence(evaluation: Evaluation) -> str:
    accuracy = evaluation.accuracy
    right = int(np.trace(evaluation.confusion))
    return f"It names the right class for {right:,} of {evaluation.n:,} images{_within(accuracy, evaluation)}."


def _within(estimate: Estimate, evaluation: Evaluation) -> str:
    if estimate.value is None:
        return ""
    return f": {percent(estimate.value, n=estimate.n)} ({evaluation.confidence:.0%} interval {percent_range(estimate)})"


def _drifted(run: RunContents) -> tuple[Claim, ...]:
    """Return a claim for each set of new images; not on the card, since a set has the name of its folder."""
    return tuple(Claim(drift_claim(name, report), ("drift",)) for name, report in run.drift.items())


def _conclusions(run: RunContents) -> tuple[Claim, ...]:
    evaluation, audit = run.evaluation, run.audit
    if evaluation.trained_on:
        return (Claim(TRAINED_ON, ("result",)),)
    clean = evaluation.without_leaks
    accuracy = evaluation.accuracy if clean is None else clean.accuracy
    claims = []
    if span := percent_range(accuracy):
        text = f"On new images drawn like these, expect it to be right for {span} of them"
        claims.append(Claim(f"{text} ({evaluation.confidence:.0%} interval).", ("result", "reading")))
    if audit is not None and (failed := len(audit.failures)):
        text = (
            f"{counted(failed, 'gap')} beyond the tolerance {'is' if failed == 1 else 'are'} more than chance: tested"
            f" with {audit.settings.test_name}, corrected for all {audit.tests} comparisons of this audit."
        )
        claims.append(Claim(text, ("audit", "reading")))
    elif audit is not None and audit.verdict == "PASS":
        claims.append(Claim("Every group that was compared lies within the tolerance of the rest.", ("audit",)))
    return tuple(claims)


def _next(run: RunContents) -> tuple[Claim, ...]:
    audit, found = run.audit, []
    if audit is None:
        there = f" The data has {', '.join(run.group_columns)}." if run.group_columns else ""
        found.append(Claim(f"Name group columns (audit.by) to see for whom it works less well.{there}"))
    else:
        worse = [(table, row) for table, row, _ in audit.failures if not table.is_better(row)]
        scarce = (
            () if run.explanation is None else (run.explanation.scarce_group(one.by, row.name) for one, row in worse)
        )
        missing = [group for group in dict.fromkeys(scarce) if group is not None]
        found += [Claim(training_sentence(group), ("explanation", "data")) for group in missing]
        if missing:
            found.append(Claim("Look at the images of the groups that are worse off.", ("examples", "audit")))
        elif worse and run.repair is None:
            text = "Look at the images of the groups that are worse off, then try `tlkit repair`: another head for the"
            found.append(Claim(f"{text} same backbone, in seconds.", ("examples", "explanation", "audit")))
        elif run.repair is not None:
            found.append(Claim("See what the repair of the head changes for the worst group.", ("repair",)))
        needed = [row.images_needed for table in audit.group_tables for row in table.rows if row.images_needed]
        if needed:
            ends = [f"{two_figures(count):,}" for count in (min(needed), max(needed))]
            least = " to ".join(dict.fromkeys(ends))
            text = f"Collect more images of the groups without a verdict: {least} each"
            found.append(Claim(f"{text}, as the audit's statistics say.", ("audit",)))
    if run.images.worst is not None and run.images.worst.wrong:
        found.append(Claim("Look at its worst errors: some may be wrong labels.", ("worst",)))
    return tuple(found)


def _strips(evaluation: Evaluation) -> tuple[Strip, ...]:
    """Return accuracy with the majority-class baseline, accuracy without leaks, and balanced accuracy."""
    support = evaluation.confusion.sum(axis=1)
    blind = float(support.max() / evaluation.n)
    often = evaluation.classes[int(support.argmax())]
    seen = " on training images" if evaluation.trained_on else ""
    by = " by y_pred" if evaluation.n_not_most_probable else ""
    level = f"{evaluation.confidence:.0%} interval"
    images = f"n = {evaluation.n:,} images"
    strips = [
        _strip(
            f"Accuracy{seen}{by}", evaluation.accuracy, level, images, baseline=blind, name=f"always saying “{often}”"
        )
    ]
    if evaluation.without_leaks is not None:
        clean = evaluation.without_leaks
        leaked = counted(clean.n_leaked, "image")
        basis = f"n = {evaluation.n - clean.n_leaked:,}; {leaked} also in an earlier split left out"
        strips.append(_strip("Accuracy without leaks", clean.accuracy, level, basis))
    basis = f"every one of the {evaluation.n_present} classes counts the same"
    return (*strips, _strip("Balanced accuracy", evaluation.balanced_accuracy, level, basis))


def _strip(
    title: str, estimate: Estimate, level: str, basis: str, *, baseline: float | None = None, name: str = ""
) -> Strip:
    if estimate.value is None:
        return Strip(title, "undefined", f"{estimate.note}; {basis}", None, None, None)
    text = percent(estimate.value, n=estimate.n)
    detail = f"{level} {percent_range(estimate)}; {basis}" if percent_range(estimate) else basis
    return Strip(title, text, detail, estimate.value, estimate.low, estimate.high, baseline, name)
