"""The one step that a run suggests next, with the command that takes it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.audit.explanation import Explanation
from tlkit.audit.plain_verdicts import sample_words, shown_by
from tlkit.errors import PredictionsError, RunError, first_few
from tlkit.runs.repair_groups import Grouping
from tlkit.runs.run_options import options_of_run
from tlkit.runs.stored_judgements import stored_result
from tlkit.tables import two_figures

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.explanation import ExplainedGroup
    from tlkit.audit.group_tables import GroupRow, GroupTable
    from tlkit.audit.task_audit_result import TaskAudit
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
        return _hold_out_step(run, path)
    if evaluation.without_leaks is not None:
        return NextStep(f"tlkit data leaks {path}", "lists the images that are also in an earlier split.")
    if audit is None:
        return NextStep(
            f"tlkit slices {path}",
            "looks for groups of images on which it fails. To compare groups that you know, name their columns in "
            "data.metadata, data.groups and audit.by.",
        )
    return _after_audit(run, audit, path)


def task_next_step(run: Run, audit: TaskAudit | None, *, split: str) -> NextStep:
    """Return the step that matters most after a run of several labels, grades or numbers.

    Args:
        run: the run.
        audit: of the split that it is judged on; None without group columns.
        split: that split.
    """
    path = shlex.quote(str(run.path))
    if run.status == "interrupted":
        return resume_step(run)
    if split == "train":
        return _hold_out_step(run, path)
    if audit is None:
        why = "To compare groups that you know, name their columns in data.groups and audit.by."
        return NextStep(f"tlkit evaluate {path} --details", f"shows every label or figure with its interval. {why}")
    if audit.verdict != "PASS":
        return NextStep(f"tlkit audit {path} --details", "shows each group with its interval, its test and its needs.")
    return NextStep(f"tlkit predict {path} IMAGES --out predictions.csv", "predicts images of your own.")


def _hold_out_step(run: Run, path: str) -> NextStep:
    """Return how a run that is judged on its training images gets others to be judged on."""
    if run.recipe.data.test:  # it was asked for, and nothing could be held out
        return NextStep(
            "",
            f"Collect more images, or name others as test: of these {len(run.samples)} none could be held out without "
            "taking a whole class out of training.",
        )
    return NextStep(
        f"tlkit fit {path}/recipe.yaml data.test=0.2 --overwrite",
        "holds out a fifth of the images: figures on images that it was trained on say nothing about new ones.",
    )


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
        return _for_the_worst(run, path, *min(below, key=lambda one: _difference(one[1])))
    if audit.verdict == "FAIL":
        return NextStep(f"tlkit audit {path} --details", "shows each group with its interval, its test and images.")
    if audit.verdict == "PASS":
        return NextStep(f"tlkit predict {path} IMAGES --out predictions.csv", "predicts images of your own.")
    clustered = audit.settings.unit_column is not None
    rows = [row for table in audit.group_tables for row in table.rows]
    wanted = [(row.name, row.clusters_needed if clustered else row.images_needed) for row in rows]
    known = [(name, number) for name, number in wanted if number is not None]
    if not known:
        return NextStep(f"tlkit audit {path}", "says for each group what the images could show.")
    most = max(two_figures(number) for _, number in known)
    names = first_few(list(dict.fromkeys(name for name, _ in known)), most=3)
    more = f"up to about {most:,} more of a group would decide ({names})."
    return NextStep("", f"Collect more {sample_words(audit)} to judge it on: {more}")


def _for_the_worst(run: Run, path: str, table: GroupTable, row: GroupRow) -> NextStep:
    """Return what helps a group: images to train on where few show it, else another head, else a look at its errors."""
    if (scarce := _scarce(run, table, row)) is not None:
        why = f"Add training images of {row.name}: {shown_by(scarce)}. No other head for this backbone replaces them."
        return NextStep("", why)
    if run.repair is None and _can_be_repaired(run, table):
        return NextStep(
            f"tlkit repair {path} --by {shlex.quote(table.by)}",
            f"tries other heads for the same backbone that serve {row.name} better.",
        )
    return NextStep(f"tlkit audit {path} --details", f"lists the images of {row.name} that it gets wrong.")


def _scarce(run: Run, table: GroupTable, row: GroupRow) -> ExplainedGroup | None:
    """Return a group that few training images show, by the stored explanation; None where that does not say so."""
    try:
        stored = stored_result(run.directory, run.directory.explanation, run.judged_split(), Explanation.from_dict)
    except RunError:  # damaged: the report names the file
        return None
    return None if stored is None else stored.scarce_group(table.by, row.name)


def _can_be_repaired(run: Run, table: GroupTable) -> bool:
    """Return whether a repair has the model, the splits and, in two groups or more, the validation images it takes."""
    if not ({"val", "test"} <= set(run.directory.predicted_splits) and run.directory.model.is_dir()):
        return False
    try:
        options = options_of_run(run)
        counts = Grouping.of(run.samples, options.cut(table.columns)).validation_images(run.samples)
    except PredictionsError:
        return False
    return sum(count >= options.min_group_size for count in counts.values()) >= 2


def _difference(row: GroupRow) -> float:
    return (row.difference.value or 0.0) if row.difference else 0.0
