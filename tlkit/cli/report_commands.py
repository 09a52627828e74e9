"""`tlkit report`, `tlkit card` and `tlkit evidence`: report, model card and evidence files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import BOM_VERSION, MIN_CELL_SIZE, BomVersion
from tlkit.cli.arguments import MOST, AsJson, Details, RunPath, SplitOption
from tlkit.cli.output import print_json, print_lines, print_paragraphs, print_tables, wants_details
from tlkit.output_files import require_folder_name, require_writable


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="A run directory, or several side by side.")],
    split: SplitOption = None,
    out: Annotated[
        Path | None, typer.Option(help="File of several runs; default: report_RUN_RUN.html in the working directory.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is no such report.")] = False,
) -> None:
    """Write a run's report, or several runs side by side: one HTML file that needs nothing else."""
    from tlkit.errors import RunError
    from tlkit.runs.run import open_run
    from tlkit.runs.runs_side_by_side import report_side_by_side

    if len(runs) > 1:
        require_writable({"--out": out})
        opened = [open_run(run) for run in runs]
        print_lines([str(report_side_by_side(opened, split=split, path=out, overwrite=overwrite))])
        return
    if out is not None:
        raise RunError("--out is for several runs: the report of one run is written into its directory.")
    print_lines([str(open_run(runs[0]).report(split))])


def card(
    run: RunPath,
    split: SplitOption = None,
    intended_use: Annotated[str | None, typer.Option(help="What the model is for; default: the recipe's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card that was edited.")] = False,
) -> None:
    """Write a run's model card: MODEL_CARD.md, with limits filled from the audit."""
    from tlkit.runs.run import open_run

    print_lines([str(open_run(run).card(split, intended_use=intended_use, overwrite=overwrite))])


def evidence(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: the run's.")] = None,
    split: SplitOption = None,
    min_cell_size: Annotated[
        int, typer.Option(min=2, max=MOST, help="Cells with fewer images have no figure.")
    ] = MIN_CELL_SIZE,
    bom_version: Annotated[BomVersion, typer.Option(help="Version of CycloneDX.")] = BOM_VERSION,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace other files of these names in --out.")
    ] = False,
    details: Details = False,
    json: AsJson = False,
) -> None:
    """Write a run's evidence: model card, CycloneDX ML-BOM, Croissant, and a table of clauses; small cells hidden."""
    shown = wants_details(details)
    from tlkit.evidence.evidence import write_evidence
    from tlkit.evidence.evidence_tables import evidence_sentence
    from tlkit.runs.run import open_run

    if out is not None:
        require_folder_name(out, name="--out")
        require_writable({"--out": out / "evidence.json"})
    opened = open_run(run)
    result = write_evidence(
        opened, out, split=split, min_cell_size=min_cell_size, bom_version=bom_version, overwrite=overwrite
    )
    if json:
        print_json(result.to_dict())
        return
    if shown:
        print_tables(result.tables())
    print_paragraphs([evidence_sentence(result), result.statement])
    print_lines(["", *(str((out or opened.path) / name) for name in result.written)])
