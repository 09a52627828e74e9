"""`tlkit data labels`: the suspect labels of a run, ranked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlkit.choices import FOLDS, HEAD, HeadKind
from tlkit.cli.arguments import MOST, AsJson, FoldsOption, FrozenRunPath, Overwrite
from tlkit.cli.output import image_progress, print_json, print_lines, print_tables, require_own_html
from tlkit.errors import DataError

if TYPE_CHECKING:
    from tlkit.runs.run import Run


def labels(
    run: FrozenRunPath,
    split: Annotated[list[str] | None, typer.Option(help="Split to audit; repeat it for more; default: all.")] = None,
    head: Annotated[HeadKind, typer.Option(help="Kind of the head.")] = HEAD,
    folds: FoldsOption = FOLDS,
    out: Annotated[Path | None, typer.Option(help="Write the suspect labels to this CSV file, to decide on.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a review sheet with thumbnails to this file.")] = None,
    overwrite: Overwrite = False,
    top: Annotated[int, typer.Option(min=1, max=MOST, help="How many to print.")] = 20,
    json: AsJson = False,
) -> None:
    """Rank suspect labels of a run; decide on them in the CSV file, and refit with data.label_corrections=FILE."""
    from tlkit.data.checks.label_decisions import write_decisions
    from tlkit.data.checks.quarantine import require_new_csv
    from tlkit.data.checks.thumbnails import draw_thumbnails
    from tlkit.runs.run import open_run

    require_new_csv(out, what="list of labels")
    require_own_html(html, command="labels", overwrite=overwrite)
    opened = open_run(run)
    if opened.task == "multilabel":
        if html is not None:
            raise DataError(
                f"--html is about one class for each image; {run} is of several labels. Use --out FILE.csv."
            )
        _audit_label_sets(opened, split, head=head, folds=folds, out=out, top=top, json=json)
        return
    from tlkit.analysis.audit_labels import audit_labels

    with image_progress() as on_check:
        result = audit_labels(opened, splits=split, head=head, folds=folds, progress=on_check)
    if out is not None:
        write_decisions(out, result.table())
    if html is not None:
        from tlkit.render.report.dataset_pages import MOST_SUSPECTS, write_label_sheet

        drawn = draw_thumbnails(opened.samples.root, (one.path for one in result.suspects[:MOST_SUSPECTS]))
        write_label_sheet(html, result, name=opened.directory.name, thumbnails=drawn)
    if json:
        print_json(result.to_dict())
        return
    print_tables(result.tables(), most_rows=top)
    print_lines(_next_step(result.suspects, out, html))


def _audit_label_sets(
    run: Run, split: list[str] | None, *, head: HeadKind, folds: int, out: Path | None, top: int, json: bool
) -> None:
    """Audit each of several labels of a run."""
    from tlkit.analysis.task_label_audit import audit_label_sets
    from tlkit.csv_files import csv_text
    from tlkit.disk import write_text

    with image_progress() as on_check:
        result = audit_label_sets(run, splits=split, head=head, folds=folds, progress=on_check)
    if out is not None:
        write_text(out, csv_text(result.table()))
    if json:
        print_json(result.to_dict())
        return
    print_tables(result.tables(), most_rows=top)
    if result.suspects:
        print_lines([f"Next: look at the images, correct the list of {run.directory.name}, and fit again."])


def _next_step(suspects: Sequence[object], out: Path | None, html: Path | None) -> list[str]:
    """Return what to do next with the suspect labels; no lines where there are none."""
    if not suspects:
        return []
    if out is None:
        page = "" if html is not None else ", and with --html sheet.html a page with their pictures"
        return [f"Next: with --out labels.csv the same command writes a list to decide in{page}."]
    return [
        f"Next: look at {html or 'the images'}, write keep, drop or relabel to CLASS into the column decision of "
        f"{out}, and fit with data.label_corrections={out}."
    ]
