"""The audit in short: its verdict, what fails, what the columns and criteria say; and the profiles as a table."""

from __future__ import annotations

from collections import Counter

from tlkit.audit.audit_result import Audit
from tlkit.audit.criteria import choice_sentences, criterion_sentence
from tlkit.audit.group_profiles import MIN_CALIBRATION, MIN_RANKED, GroupProfile
from tlkit.audit.words import NONE, bare, difference_text, image_count, p_is, rate_text, signed, summary_rows
from tlkit.errors import first_few

_ACROSS = ("BNSP AUC", "BPSN AUC")
MOST_ROWS = 40  # with more rows, the brief table keeps those about the accuracy of single columns, and what fails


def headline(audit: Audit) -> list[str]:
    """Return the audit in a few sentences: the verdict, what fails, what the columns and the criteria say."""
    rows = [(table, row) for table in audit.tables for row in table.rows if row.verdict is not None]
    counts = Counter(row.verdict for _, row in rows)
    told = ", ".join(f"{counts[word]} {word}" for word in ("FAIL", "PASS", "NOT ENOUGH DATA") if counts[word])
    settings = audit.settings
    found = [f"Audit by {', '.join(settings.by)}: {audit.verdict}. Rows: {told or 'none to judge'}."]
    failed = [
        f"{row.name} ({table.rate_name} {rate_text(row)}, n = {row.rate.n}; "
        f"{difference_text(row, settings.max_half_width)} against the rest)"
        for table, row in sorted(rows, key=lambda pair: -abs((pair[1].difference and pair[1].difference.value) or 0.0))
        if row.verdict == "FAIL"
    ]
    if failed:
        found.append(f"Beyond the tolerance of {settings.tolerance:g}: {first_few(failed)}.")
    for facts in audit.columns:
        if facts.kind in ("continuous", "ordered", "multi-valued"):
            found.append(f"{facts.column} is {facts.kind}: {facts.how}.")
        if facts.missing and facts.missing_p is not None:
            found.append(
                f"{facts.column} is missing for {image_count(facts.missing)}; whether errors have to do with that: "
                f"{p_is(facts.missing_p)} ({facts.missing_test})."
            )
    found += design_sentences(audit) + choice_sentences(audit)
    return found + [criterion_sentence(result) for result in audit.criteria if len(result.columns) == 1]


def brief_rows(audit: Audit) -> tuple[list[tuple[str, ...]], str]:
    """Return `summary_rows`, of a large audit only what matters most, and a note on what is left out, else ""."""
    header, *rows = summary_rows(audit)
    if len(rows) <= MOST_ROWS:
        return [header, *rows], ""
    kept = [
        text
        for text, (table, row) in zip(rows, ((table, row) for table in audit.tables for row in table.rows), strict=True)
        if (table.metric == "accuracy" and len(table.columns) == 1) or row.verdict == "FAIL"
    ]
    return [header, *kept], f"{len(rows) - len(kept)} more rows, none of them FAIL: see --json, or `table()` in Python."


def profile_rows(audit: Audit) -> list[tuple[str, ...]]:
    """Return the profiles of single columns as text, one tuple a group, the header first; empty where there are none.

    The AUROCs are those of the positive class, where there is one: within the group, then across to the rest
    (`GroupProfile.auroc_positives`, `auroc_negatives`); the calibration error stands beside what a perfectly calibrated
    model would show with so many images. A column that has a figure for no group is left out; `profile_note` says why.
    """
    return _profiles(audit)[0]


def _profiles(audit: Audit) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the rows of the profiles, the header first, and the columns left out because no group has a figure."""
    positive = audit.settings.positive
    tables = [table for table in audit.profiles if len(table.columns) == 1]
    with_proba = any(row.confidence_gap is not None for table in tables for row in table.rows)
    more = ("confidence - accuracy", "ECE (by chance)", "Brier", "log loss") if with_proba else ()
    ranked = (f"AUROC of {positive}", *_ACROSS) if with_proba and positive is not None else ()
    rows: list[tuple[str, ...]] = []
    for table in tables:
        for row in table.rows:
            most = audit.settings.max_half_width
            texts = (_macro(row, most), *(_probabilities(row, most) if more else ()))
            areas = [
                (by_class or {}).get(positive or "")
                for by_class in (row.auroc, row.auroc_positives, row.auroc_negatives)
            ]
            rows.append(
                (
                    table.by,
                    row.name,
                    f"{row.images}",
                    *texts,
                    *((bare(area, area.format(), most) if area else NONE for area in areas) if ranked else ()),
                )
            )
    if not rows:
        return [], []
    header = ("by", "group", "n", "macro recall (classes)", *more, *ranked)
    may_go = {"ECE (by chance)", *ranked}
    empty = [i for i, name in enumerate(header) if name in may_go and all(row[i] == NONE for row in rows)]
    kept = [tuple(cell for i, cell in enumerate(row) if i not in empty) for row in (header, *rows)]
    return kept, [header[i] for i in empty]


def profile_note(audit: Audit) -> str:
    """Return what the columns of `profile_rows` mean that a name cannot say, and why some are left out, else ""."""
    positive = audit.settings.positive
    rows, left_out = _profiles(audit)
    meant = {
        "BNSP AUC": f"how surely the group's images of {positive} rank above the rest's other images",
        "BPSN AUC": f"how surely the rest's images of {positive} rank above the group's other images",
    }
    said = [f"{name}: {meaning}." for name, meaning in meant.items() if rows and name in rows[0]]
    ranked = [name for name in left_out if not name.startswith("ECE")]
    if len(ranked) < len(left_out):
        said.append(f"ECE is left out: it takes {MIN_CALIBRATION} images of a group, or what is worth as many.")
    if ranked:
        takes = "is left out: it takes" if len(ranked) == 1 else "are left out: each takes"
        sides = f"{MIN_RANKED} images of {positive} on one side and {MIN_RANKED} others on the other"
        said.append(f"{', '.join(ranked)} {takes} {sides}.")
    return " ".join(said)


def _macro(row: GroupProfile, most: float) -> str:
    if row.macro_recall is None or row.macro_recall.value is None:
        return NONE
    note = f" ({row.macro_recall.note})" if row.macro_recall.note else ""
    return f"{bare(row.macro_recall, row.macro_recall.format(), most)}{note}"


def _probabilities(row: GroupProfile, most: float) -> tuple[str, ...]:
    error = NONE
    if row.calibration is not None and row.calibration_expected is not None:
        error = f"{row.calibration:.3f} ({row.calibration_expected:.3f})"
    gap = NONE if row.confidence_gap is None else bare(row.confidence_gap, signed(row.confidence_gap), most)
    return gap, error, *(NONE if one is None else one.format() for one in (row.brier, row.log_loss))


def design_sentences(audit: Audit) -> list[str]:
    """Say what the intervals allow for, and what it costs."""
    settings = audit.settings
    if settings.pair_by is not None:
        matched = f"Groups are compared within matched sets of {settings.pair_by}"
        return [f"{matched}; images without a match take no part in the comparison."]
    if settings.cluster_by is None and settings.weights is None:
        return []
    effects = [
        row.design_effect
        for table in audit.tables
        for row in table.rows
        if row.design_effect is not None and not row.suppressed
    ]
    words = " and ".join(
        [f"weights in {settings.weights}"] * (settings.weights is not None)
        + [f"clusters of {settings.cluster_by}"] * (settings.cluster_by is not None)
    )
    cost = f" Design effects reach {max(effects):.2f}: so many times more images are needed." if effects else ""
    return [f"Intervals and tests allow for {words}.{cost}"]
