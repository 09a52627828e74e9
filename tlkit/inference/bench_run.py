"""`bench_run`: a run's model in torch beside its exported files, measured side by side. Needs torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tlkit.arrays import Pixels
from tlkit.choices import BENCH_BUDGET_S, BENCH_CALLS, CONFIDENCE
from tlkit.data.loading.batch import normalize
from tlkit.errors import ModelError
from tlkit.exported import EXPORT_FOLDER, ExportFolder
from tlkit.exported.bench import BATCHES, BenchCandidate, Benchmark, bench_files
from tlkit.exported.peak_memory import peak_bytes
from tlkit.inference.predictor import Predictor, load_predictor
from tlkit.process_state import preserved_process_state
from tlkit.runs import RunDirectory, folder_of_run
from tlkit.runs.stored_measurements import store_benchmark


def bench_run(
    run: str | Path | object,
    *,
    batches: Sequence[int] = BATCHES,
    calls: int = BENCH_CALLS,
    budget_s: float = BENCH_BUDGET_S,
    max_latency_ms: float | None = None,
    confidence: float = CONFIDENCE,
) -> Benchmark:
    """Return latency, throughput, peak memory and size of a run's model: torch on the CPU, and every exported file.

    The result is stored with the run. Arguments as for `bench_files`.

    Raises:
        RunError: there is no such run.
        ModelError: there is no exported file, or one has been changed.
    """
    directory = RunDirectory.open(folder_of_run(run))
    files = ExportFolder(directory.path / EXPORT_FOLDER).files()
    if not files:
        raise ModelError(f"There is no exported model of {directory.path}. Export the run first: tlkit export RUN")
    kinds = {path.suffix for path in files}
    notes = [] if ".xml" in kinds else ["OpenVINO: not exported (tlkit export RUN --format openvino)."]
    if not any("int8" in path.name for path in files):
        notes.append("int8: not exported (tlkit export RUN --int8).")
    with preserved_process_state():  # torch's number of threads is global
        result = bench_files(
            files,
            subject=directory.name,
            others=(_torch_candidate(directory),),
            batches=batches,
            calls=calls,
            budget_s=budget_s,
            max_latency_ms=max_latency_ms,
            confidence=confidence,
            notes=notes,
        )
    store_benchmark(directory, result)
    return result


def _torch_candidate(directory: RunDirectory) -> BenchCandidate:
    predictor = load_predictor(directory.path, device="cpu")

    def make(batch: int, threads: int) -> Callable[[], object]:
        pixels = _noise(predictor, batch)

        def call() -> object:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            return _probabilities(predictor, pixels)

        return call

    def memory(batch: int, threads: int) -> Sequence[str]:
        return "tlkit.inference.bench_run", str(directory.path.resolve()), str(batch), str(threads)

    size = sum(path.stat().st_size for path in directory.model.iterdir())
    return BenchCandidate(f"torch {torch.__version__}", "model", "float32", size, make, memory)


def _noise(predictor: Predictor, batch: int) -> Pixels:
    height, width = predictor.facts.preprocess.image_size
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)


def _probabilities(predictor: Predictor, pixels: Pixels) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        image = normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), predictor.facts.preprocess)
        found: npt.NDArray[np.float32] = torch.softmax(predictor.network(image).float(), dim=1).numpy()
        return found


def main(run: str, batch: str, threads: str) -> None:
    """Run a run's model once in torch and print the peak memory; `bench` starts it."""
    torch.set_num_threads(int(threads))
    predictor = load_predictor(run, device="cpu")
    _probabilities(predictor, _noise(predictor, int(batch)))
    sys.stdout.write(f"{peak_bytes()}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
