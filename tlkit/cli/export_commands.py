"""`tlkit export` and `tlkit verify`: a run's model as ONNX or OpenVINO files, and their comparison with it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tlkit.choices import VERIFIED_IMAGES, ExportFormat
from tlkit.cli.arguments import MOST, AsJson, RunPath
from tlkit.cli.output import print_json, print_lines, print_tables
from tlkit.preprocess import Decode

VerifiedImages = Annotated[
    int, typer.Option("--images", min=0, max=MOST, help="Images of the run to compare; 0 = all.")
]


def export(
    run: RunPath,
    format: Annotated[ExportFormat, typer.Option("--format", help="onnx, or openvino (needs the extra).")] = "onnx",
    fast: Annotated[
        bool, typer.Option("--fast", help="Also write model-fast.onnx, whose pixels are close to Pillow's, not equal.")
    ] = False,
    decode: Annotated[
        Decode | None, typer.Option(help="full = decode every pixel of large JPEGs for the exported files.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write int8 files, judged against float32 overall and by group.")
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.999999, help="Accuracy that int8 may cost, overall and in each group; default: 0.05."
        ),
    ] = None,
    require: Annotated[
        Literal["PASS"] | None, typer.Option(help="PASS = write the int8 files only if they pass.")
    ] = None,
    abstain_at_risk: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            max=0.999999,
            help="State in the files when the model abstains, for this share of wrong answers at most.",
        ),
    ] = None,
    images: VerifiedImages = VERIFIED_IMAGES,
    json: AsJson = False,
) -> None:
    """Export a run's model with preprocessing and classes inside, and verify it.

    Exit 1 if a file does not agree with the model or int8 fails, 3 if there is not enough data to say so.
    """
    from tlkit.runs import find_model

    find_model(run)  # before torch is loaded
    from tlkit.inference.export.export_run import export_run

    written = export_run(
        run,
        format=format,
        fast=fast,
        decode=decode,
        images=images,
        int8=int8,
        tolerance=tolerance,
        require=require,
        abstain_at_risk=abstain_at_risk,
    )
    if json:
        files = [str(path) for path in written.files]
        judged = {} if written.int8 is None else {"int8": written.int8.to_dict()}
        print_json({"files": files, "rung": written.rung, "verification": written.verification.to_dict(), **judged})
    else:
        print_lines([*map(str, written.files), ""])
        print_tables((*written.verification.tables(), *(() if written.int8 is None else written.int8.tables())))
    raise typer.Exit(written.exit_code)


def verify(run: RunPath, images: VerifiedImages = VERIFIED_IMAGES, json: AsJson = False) -> None:
    """Compare stored predictions, model and exported files on the same images; exit 1 if they differ."""
    from tlkit.exported import EXPORT_FOLDER, ExportFolder
    from tlkit.runs import RunDirectory

    ExportFolder(RunDirectory.open(run).path / EXPORT_FOLDER).files()  # damaged files, before torch is loaded
    from tlkit.inference.export.verify_run import verify_run

    result = verify_run(run, images=images)
    print_json(result.to_dict()) if json else print_tables(result.tables())
    raise typer.Exit(result.exit_code)
