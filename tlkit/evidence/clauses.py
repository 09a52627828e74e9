"""Clauses of rules on AI, and what a run has to show for each: file, figure, verdict, what was not assessed.

The wording of the subjects is ours. The numbers of Regulation (EU) 2024/1689 are those of its articles. ISO/IEC TS
12791:2024 is quoted by kind of treatment, since its clause numbers are not publicly readable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.evidence.clause import ACT, RMF, TS, Clause
from tlkit.evidence.resilience_clauses import monitoring_clauses, resilience_clauses
from tlkit.evidence.run_facts import RunFacts
from tlkit.render.published_figures import ALL_IMAGES
from tlkit.render.report.sections.dataset_section import data_sentence
from tlkit.tables import counted

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit


def clauses(facts: RunFacts) -> tuple[Clause, ...]:
    """Return the clauses of Art. 10 and 15, of TS 12791 and of MEASURE 2.4 to 2.6 and 2.11, each with what is shown."""
    return (
        *_data_clauses(facts),
        *_accuracy_clauses(facts),
        *_treatment_clauses(facts),
        *monitoring_clauses(facts),
        _measure(facts),
    )


def _data_clauses(facts: RunFacts) -> tuple[Clause, ...]:
    run, data = facts.contents, facts.environment.get("data", {})
    excluded = f"{counted(len(run.excluded), 'file')} could not be read and are in no split."
    leaks = 0 if run.leaks is None else len(run.leaks)
    audit_figure, audit_verdict = _audit(facts)
    columns = f"Group columns that came with the data: {first_few(facts.group_columns, most=10) or 'none'}."
    shown = (
        ("(2)(a)", "design choices", ("recipe.yaml",), "Every setting, resolved.", "", "Why they were chosen."),
        (
            "(2)(b)",
            "collection and origin of the data",
            ("croissant.json", "split.csv"),
            f"Fingerprint {str(data.get('fingerprint', 'unknown'))[:12]}; a digest of each image."
            + (" An attribution came with the data." if run.attribution else ""),
            "",
            "How, when and for what purpose the images were collected.",
        ),
        (
            "(2)(c)",
            "preparation: annotation, labelling, cleaning",
            ("recipe.yaml", "split.csv", "excluded.csv"),
            excluded,
            "",
            "Who labelled the images, and how well they agree.",
        ),
        ("(2)(d)", "assumptions about what the data measure", (), "", "", "The assumptions."),
        (
            "(2)(e)",
            "availability, quantity, suitability",
            ("croissant.json", "split.csv"),
            data_sentence(run.counts),
            "",
            "Whether images of this kind suit the purpose.",
        ),
        (
            "(2)(f)",
            "examination for possible biases",
            ("evidence.json", "bom.cdx.json"),
            audit_figure,
            audit_verdict,
            "Groups without a column; effects on persons' safety and rights.",
        ),
        (
            "(2)(g)",
            "measures against biases that were found",
            ("repair.json",) if facts.repair else (),
            _repair(facts),
            "",
            "" if facts.repair else "No measure was tried.",
        ),
        (
            "(2)(h)",
            "gaps and shortcomings of the data",
            ("MODEL_CARD.md", "leaks.csv"),
            f"{counted(leaks, 'image')} of the {run.split} split also in an earlier split. {_undecided(facts)}",
            "",
            "Gaps that no figure shows.",
        ),
        (
            "(3)",
            "relevant, representative, free of errors, complete",
            ("split.csv", "excluded.csv", "leaks.csv"),
            excluded,
            "",
            "Representativeness for the persons concerned: that needs a comparison with them. Errors in the labels.",
        ),
        ("(4)", "geographical, contextual, functional setting", (), "", "", "The setting of use."),
        (
            "(5)",
            "special categories of personal data",
            ("split.csv",) if facts.group_columns else (),
            f"{columns} No attribute was inferred from any image.",
            "",
            "Whether a column is such data, whether its use is strictly necessary, and the safeguards.",
        ),
    )
    return tuple(
        Clause(ACT, f"Art. 10{number}", subject, files, figure, verdict, missing)
        for number, subject, files, figure, verdict, missing in shown
    )


def _accuracy_clauses(facts: RunFacts) -> tuple[Clause, ...]:
    run = facts.contents
    level = f"{run.evaluation.confidence:.0%} interval"
    overall = [
        f"{one.metric} {one.text}" for one in facts.figures.shown if one.slice == ALL_IMAGES and one.value is not None
    ]
    accuracy = f"On {run.evaluation.n:,} images of the {run.split} split ({level}): {', '.join(overall)}."
    if run.chose_epoch:
        accuracy += " That split also selected the epoch, so the figures are slightly optimistic."
    return (
        Clause(
            ACT,
            "Art. 15(1)",
            "appropriate accuracy, over the lifecycle",
            ("evaluation.json", "bom.cdx.json"),
            accuracy,
            not_assessed="Whether this accuracy is appropriate for the use; accuracy after deployment.",
        ),
        Clause(
            ACT,
            "Art. 15(3)",
            "accuracy declared in the instructions for use",
            ("MODEL_CARD.md",),
            "The card states the figures with their intervals and limits.",
            not_assessed="The instructions for use.",
        ),
        *resilience_clauses(facts),
        Clause(
            ACT,
            "Art. 15(5)",
            "cybersecurity",
            ("bom.cdx.json",),
            f"Digests of {counted(len(facts.model_files), 'model file')}, the pretrained weights and the images; "
            "versions of the packages.",
            not_assessed="Adversarial images, poisoned data or weights, confidentiality, known holes of the packages.",
        ),
    )


def _treatment_clauses(facts: RunFacts) -> tuple[Clause, ...]:
    """Return the kinds of treatment of bias that TS 12791 names for classification."""
    figure, verdict = _audit(facts)
    repair, loss = facts.repair, facts.setting("train", "loss")
    in_training = loss == "group_dro"
    data = [f"train.{key}: {facts.setting('train', key) or 'null'}" for key in ("class_weights", "sampling")]
    chosen = repair.chosen if repair else None
    return (
        Clause(
            TS,
            "evaluation of unwanted bias",
            "measured before and after a treatment",
            ("evidence.json",),
            figure,
            verdict,
            "Which groups matter for the use, and how large a difference may be there.",
        ),
        Clause(
            TS,
            "treatment of the data",
            "collection, sampling, weights",
            ("recipe.yaml",),
            f"In the recipe: {', '.join(data)}.",
            not_assessed="The effect of other sampling.",
        ),
        Clause(
            TS,
            "treatment in training",
            "losses and algorithms that know the groups",
            ("recipe.yaml",) if in_training else (),
            "In the recipe: train.loss: group_dro." if in_training else "",
            not_assessed="" if in_training else "None was used.",
        ),
        Clause(
            TS,
            "treatment after training",
            "another head or other thresholds for the same backbone",
            ("repair.json",) if repair else (),
            _repair(facts),
            not_assessed="" if chosen else "None is in use.",
        ),
    )


def _measure(facts: RunFacts) -> Clause:
    figure, verdict = _audit(facts)
    return Clause(
        RMF,
        "MEASURE 2.11",
        "fairness and bias evaluated, results documented",
        ("evidence.json", "bom.cdx.json", "MODEL_CARD.md"),
        figure,
        verdict,
        "Biases named in MAP beyond the group columns: systemic and human ones; the views of those affected.",
    )


def _audit(facts: RunFacts) -> tuple[str, str]:
    """Return what the audit found, without a number of a group, and its verdict."""
    audit = facts.contents.audit
    if audit is None:
        return "", ""
    settings = audit.settings
    tests = "compared with the complement" if audit.tests else "too small to be compared"
    return (
        f"{counted(sum(one.group for one in facts.figures.shown), 'rate')} of groups published, by "
        f"{first_few(settings.by, most=10)}, {tests} at a tolerance of {settings.tolerance:g} (alpha "
        f"{settings.alpha:g}, Holm over {counted(audit.tests, 'test')}). {_failing(audit)}",
        audit.verdict,
    )


def _failing(audit: Audit) -> str:
    failed = [f"{table.name}: {row.name} ({row.direction})" for table, row, _ in audit.failures]
    return f"Beyond it: {first_few(failed)}." if failed else "None is certainly beyond it."


def _undecided(facts: RunFacts) -> str:
    audit = facts.contents.audit
    if audit is None:
        return "No comparison across groups was made."
    open_rows = sum(row.verdict == "NOT ENOUGH DATA" for table in audit.group_tables for row in table.rows)
    return f"{counted(open_rows, 'comparison')} across groups could not be decided."


def _repair(facts: RunFacts) -> str:
    repair = facts.repair
    if repair is None:
        return ""
    return (
        f"Another head for {first_few(repair.by) or 'the classes'}: {repair.chosen or 'none chosen'}; {repair.verdict}."
    )
