"""`tlkit bench`: latency, throughput, memory and size of a run's model or of an exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import BENCH_BUDGET_S, BENCH_CALLS
from tlkit.cli.arguments import AsJson
from tlkit.cli.output import print_json, print_tables


def bench(
    path: Annotated[Path, typer.Argument(metavar="RUN_OR_FILE", help="A run directory, or an exported file.")],
    batch: Annotated[list[int] | None, typer.Option(min=1, max=4096, help="Images in a call; repeat it.")] = None,
    calls: Annotated[int, typer.Option(min=1, max=100_000, help="Timed calls of each at most.")] = BENCH_CALLS,
    seconds: Annotated[
        float, typer.Option(min=0, max=1e6, help="Seconds of timing at most, after 8 calls of each.")
    ] = BENCH_BUDGET_S,
    max_latency_ms: Annotated[
        float | None,
        typer.Option(
            min=1e-6, max=1e9, help="Budget of the 95th percentile at batch 1, all cores; exit 1 if beyond it."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG file to write the plot to.")] = None,
    json: AsJson = False,
) -> None:
    """Measure a model in torch, ONNX Runtime and OpenVINO, float32 and int8, side by side in one run."""
    from tlkit.output_files import require_writable

    require_writable({"--plot": plot})
    from tlkit.exported.bench import BATCHES, bench_files

    batches = tuple(dict.fromkeys(batch or BATCHES))
    if path.suffix in (".onnx", ".xml"):
        result = bench_files([path], batches=batches, calls=calls, budget_s=seconds, max_latency_ms=max_latency_ms)
    else:
        from tlkit.exported import EXPORT_FOLDER, ExportFolder
        from tlkit.runs import RunDirectory

        folder = ExportFolder(RunDirectory.open(path).path / EXPORT_FOLDER)
        folder.require_classes()
        folder.files()  # before torch is loaded
        from tlkit.inference.bench_run import bench_run

        result = bench_run(path, batches=batches, calls=calls, budget_s=seconds, max_latency_ms=max_latency_ms)
    if plot is not None:
        from tlkit.disk import write_text
        from tlkit.render.plots import plot_bench, to_svg

        write_text(plot, to_svg(lambda: plot_bench(result)))
    print_json(result.to_dict()) if json else print_tables(result.tables())
    raise typer.Exit(result.exit_code)
