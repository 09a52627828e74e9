"""Limitations for the model card: what failed, what is undecided, what was not assessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.audit.audit_tables import undecided_table
from tlkit.choices import MIN_CELL_SIZE
from tlkit.errors import first_few
from tlkit.evaluation.evaluation_tables import TRAINED_ON
from tlkit.render.report.page_section import Claim

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.slices.slice_report import SliceReport
    from tlkit.evaluation import Evaluation
    from tlkit.render.report.run_contents import RunContents


def limits_of(run: RunContents, *, failures: bool = True) -> list[Claim]:
    """Return the claims of `limits` about a run."""
    return limits(
        run.evaluation,
        run.audit,
        run.slices,
        split=run.split,
        group_columns=run.group_columns,
        excluded=len(run.excluded),
        leaks=0 if run.leaks is None else int((run.leaks["dropped"] == "").sum()),
        failures=failures,
    )


def limits(
    evaluation: Evaluation,
    audit: Audit | None,
    slices: SliceReport | None,
    *,
    split: str,
    group_columns: Sequence[str] = (),
    excluded: int = 0,
    leaks: int = 0,
    failures: bool = True,
) -> list[Claim]:
    """Return claims on the limits of the figures and on what was not assessed, each with the sections that show it.

    Args:
        evaluation: the evaluation of the model.
        audit: its audit; None if there is none.
        slices: its slices; None if they were not searched for.
        split: the assessed split.
        group_columns: columns that the predictions carry.
        excluded: number of files that could not be read.
        leaks: number of assessed images with duplicates in an earlier split.
        failures: name the groups that fail; the report does so elsewhere.
    """
    found = [Claim(TRAINED_ON, ("result",))] if evaluation.trained_on else []
    found.append(
        Claim(
            f"All metrics apply to images like those of the {split} split. Images of another source, camera or time "
            "were not assessed.",
            ("result",),
        )
    )
    absent = [result.name for result in evaluation.per_class if result.support == 0]
    if absent:
        found.append(Claim(f"Classes without a test image: {first_few(absent)}.", ("classes",)))
    if leaks:
        were = "was" if leaks == 1 else "were"
        text = f"{leaks:,} of the assessed images {were} also in an earlier split, so the figures are optimistic."
        found.append(Claim(text, ("data",)))
    if excluded:
        files = "1 file could not be read and is" if excluded == 1 else f"{excluded:,} files could not be read and are"
        found.append(Claim(f"{files} in no metric.", ("data",)))
    if audit is None:
        there = f" The data has the columns {first_few(list(group_columns))}." if group_columns else ""
        found.append(Claim(f"Differences between groups of images were not assessed.{there}", ("repeat",)))
    else:
        found += [Claim(text, ("audit",)) for text in _audit_limits(audit, group_columns, failures=failures)]
    if slices is None:
        text = "Dark, blurred, small or otherwise unusual images were not assessed separately."
        found.append(Claim(text, ("repeat",)))
    elif candidates := [one.name for one in slices.slices if one.standing == "candidate"]:
        text = f"Slices with a high error rate and too few images to test: {first_few(candidates)}."
        found.append(Claim(text, ("slices",)))
    found.append(
        Claim(
            "No attribute was inferred from any image: groups are those of the columns that came with the data, and "
            "are as correct as these are.",
            ("repeat",),
        )
    )
    return found


def _audit_limits(audit: Audit, group_columns: Sequence[str], *, failures: bool) -> list[str]:
    settings = audit.settings
    found = []
    failed = [
        f"{table.name}: {row.name} ({row.direction})"
        for table in audit.group_tables
        for row in table.rows
        if row.verdict == "FAIL"
    ]
    if failed and failures:
        found.append(f"Rates differ by more than the tolerance of {settings.tolerance:g} for {first_few(failed)}.")
    undecided = undecided_table(audit)
    if undecided.rows:
        known = sum(count is not None for count in undecided.column("images_needed"))
        more = f" For {known} of them the audit says how many more images are needed." if known else ""
        found.append(
            f"{len(undecided.rows)} comparisons could not be decided; this does not show that groups are alike.{more}"
        )
    used = {*settings.by, settings.cluster_by, settings.pair_by, settings.weights}
    unused = [name for name in group_columns if name not in used]
    if unused:
        found.append(f"Columns of the data that were not audited: {first_few(unused)}.")
    if len(settings.by) > settings.max_intersection_order:
        crossed = (
            "were not crossed"
            if settings.max_intersection_order == 1
            else f"were crossed {settings.max_intersection_order} at a time only"
        )
        found.append(f"Columns {crossed}: further intersections of groups were not assessed.")
    if settings.metrics == ("accuracy",):
        found.append("Groups were compared by accuracy only; rates of single classes were not.")
    missing = [f"{facts.column} ({_protected(facts.missing)})" for facts in audit.columns if facts.missing]
    if missing:
        found.append(f"Images whose group is not known: {first_few(missing)}.")
    return found


def _protected(count: int) -> str:
    """Return a count of images of a group for publication."""
    return f"fewer than {MIN_CELL_SIZE}" if count < MIN_CELL_SIZE else f"{count:,}"
