"""The one step that a run suggests next, with the command that takes it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.tables import two_figures

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.evaluation import Evaluation
    from tlkit.runs.run import Run


@dataclass(frozen=True)
class NextStep:
    """What to do next.

    Attributes:
        command: the command line that does it; "" where no command does.
        why: what it does, and why now; one sentence.
    """

    command: str
    why: str


def next_step(run: Run, evaluation: Evaluation, audit: Audit | None) -> NextStep:
    """Return the step that matters most after a run: usable figures first, then groups, then use.

    Args:
        run: the run.
        evaluation: of the split that it is judged on.
        audit: of the same split; None without group columns.
    """
    path = shlex.quote(str(run.path))
    if run.status == "interrupted":
        return resume_step(run)
    if evaluation.trained_on:
        return NextStep(
            f"tlkit fit {path}/recipe.yaml data.test=0.2 --overwrite",
            "holds out a fifth of the images: figures on images that it was trained on say nothing about new ones.",
        )
    if evaluation.without_leaks is not None:
        return NextStep(f"tlkit data leaks {path}", "lists the images that are also in an earlier split.")
    if audit is None:
        return NextStep(
            f"tlkit slices {path}",
            "looks for groups of images on which it fails. To compare groups that you know, name their columns in "
            "data.metadata, data.groups and audit.by.",
        )
    return _after_audit(run, audit, path)


def resume_step(run: Run) -> NextStep:
    """Return the step that continues a run which was stopped."""
    return NextStep(
        f"tlkit fit {shlex.quote(str(run.path))}/recipe.yaml --resume",
        "continues the run, to the same weights as if it had never stopped.",
    )


def _after_audit(run: Run, audit: Audit, path: str) -> NextStep:
    """Return the step that the verdicts on the groups suggest."""
    below = [
        (table, row)
        for table, row, _ in audit.failures
        if table.metric == "accuracy" and len(table.columns) == 1 and not table.is_better(row)
    ]
    if below:
        table, row = min(below, key=lambda one: one[1].difference.value or 0.0 if one[1].difference else 0.0)
        judges = {"val", "test"} <= set(run.directory.predicted_splits) and run.directory.model.is_dir()
        if judges and run.repair is None:
            return NextStep(
                f"tlkit repair {path} --by {shlex.quote(table.by)}",
                f"tries other heads for the same backbone that serve {row.name} better.",
            )
        return NextStep(f"tlkit audit {path} --details", f"lists the images of {row.name} that it gets wrong.")
    if audit.verdict == "FAIL":
        return NextStep(f"tlkit audit {path} --details", "shows each group with its interval, its test and images.")
    if audit.verdict == "PASS":
        return NextStep(f"tlkit predict {path} IMAGES --out predictions.csv", "predicts images of your own.")
    rows = [row for table in audit.group_tables for row in table.rows if row.images_needed is not None]
    if not rows:
        return NextStep(f"tlkit audit {path}", "says for each group what the images could show.")
    most = max(two_figures(row.images_needed or 0) for row in rows)
    names = first_few(list(dict.fromkeys(row.name for row in rows)), most=3)
    return NextStep(
        "", f"Collect more images to judge it on: up to about {most:,} more of a group would decide ({names})."
    )
