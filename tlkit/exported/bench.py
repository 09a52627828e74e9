"""`Benchmark`: latency, throughput, memory and size of a model in several engines; `bench_files` makes it. No torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tlkit.choices import BENCH_BUDGET_S, BENCH_CALLS, CONFIDENCE, EXIT_CODES, Verdict
from tlkit.errors import ModelError, refuse_newer
from tlkit.exported.bench_inputs import noise_for
from tlkit.exported.bench_tables import bench_tables
from tlkit.exported.bench_timing import Configuration, peak_memory, quantile_estimate, time_alternating
from tlkit.exported.model import open_exported
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

BATCHES = (1, 32)
FORMAT_VERSION = 1


@dataclass(frozen=True)
class BenchRow:
    """One way to run the model.

    Attributes:
        engine: such as "onnxruntime 1.31.1".
        subject: the file, or "model" for torch.
        precision: float32 or int8.
        batch: images in a call.
        threads: threads of a call.
        p50: median latency of a call in ms, with its interval.
        p95: 95th percentile of the latency in ms, with its interval.
        throughput: images per second at the median latency, with the interval of the latter.
        memory: peak memory in bytes of a process of its own; None = not measured.
        size: bytes of the files.
        verdict: on the budget of latency; None without one, or where it is not about this row.
    """

    engine: str
    subject: str
    precision: str
    batch: int
    threads: int
    p50: Estimate
    p95: Estimate
    throughput: Estimate
    memory: int | None
    size: int
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Benchmark:
    """How fast a model is in several engines, measured side by side.

    Attributes:
        subject: the run or file.
        image: height and width of the images in px.
        processor: of this machine.
        cores: that this process may use.
        load: the machine's load average over a minute when the timing began; None = not known.
        confidence: level of the intervals.
        max_latency_ms: the budget of the 95th percentile at batch 1 on all cores; None = no budget.
        rows: one for each engine, file, batch and number of threads.
        notes: what was not measured, and why.
    """

    subject: str
    image: tuple[int, int]
    processor: str
    cores: int
    load: float | None
    confidence: float
    max_latency_ms: float | None
    rows: tuple[BenchRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """PASS where any way to run the model keeps the budget, FAIL where none does; None without a budget."""
        found = {row.verdict for row in self.rows if row.verdict is not None}
        if not found:
            return None
        return "PASS" if "PASS" in found else "FAIL" if found == {"FAIL"} else "NOT ENOUGH DATA"

    @property
    def exit_code(self) -> int:
        """0 = within the budget, or no budget; 1 = beyond it; 3 = not enough data."""
        return 0 if self.verdict is None else EXIT_CODES[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, "verdict": self.verdict, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Benchmark:
        """Read what `to_dict` wrote.

        Raises:
            ModelError: a newer tlkit wrote it.
        """
        refuse_newer("This benchmark was", values["format_version"], known=FORMAT_VERSION, error=ModelError)
        return from_plain(cls, values)

    def tables(self) -> tuple[Table, ...]:
        """Return one row for each configuration."""
        return bench_tables(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())


@dataclass(frozen=True)
class BenchCandidate:
    """A model in an engine, before it is timed.

    Attributes:
        engine: such as "onnxruntime 1.31.1".
        subject: the file, or "model".
        precision: float32 or int8.
        size: bytes of its files.
        make: returns what runs a batch (first argument) on a number of threads (second), ready to be called.
        memory: arguments of the module that measures its peak memory, for a batch and a number of threads.
    """

    engine: str
    subject: str
    precision: str
    size: int
    make: Callable[[int, int], Callable[[], object]]
    memory: Callable[[int, int], Sequence[str]]


def candidate_of(path: Path) -> BenchCandidate:
    """Return an exported file as a candidate.

    Raises:
        ModelError: it cannot be opened.
    """
    model = open_exported(path)
    parts = (path, path.with_suffix(".bin")) if path.suffix.lower() == ".xml" else (path,)
    size = sum(part.stat().st_size for part in parts if part.is_file())

    def make(batch: int, threads: int) -> Callable[[], object]:
        return partial(open_exported(path, threads=threads).run, noise_for(model.facts, batch))

    def memory(batch: int, threads: int) -> Sequence[str]:
        return "tlkit.exported.peak_memory", os.fspath(path), str(batch), str(threads)

    return BenchCandidate(model.engine, path.name, model.facts.precision, size, make, memory)


def bench_files(
    files: Sequence[str | Path],
    *,
    subject: str | None = None,
    others: Sequence[BenchCandidate] = (),
    batches: Sequence[int] = BATCHES,
    calls: int = BENCH_CALLS,
    budget_s: float = BENCH_BUDGET_S,
    max_latency_ms: float | None = None,
    confidence: float = CONFIDENCE,
    notes: Sequence[str] = (),
) -> Benchmark:
    """Return latency, throughput, peak memory and size of exported files, on one and on all cores.

    All are timed in one run, with a warm-up and in alternating order. The time runs from uint8 pixels in memory to
    probabilities; images are noise in the network's input size.

    Args:
        files: exported files.
        subject: name for the tables; default: that of the first file.
        others: further ways to run the same model, such as torch.
        batches: numbers of images in a call.
        calls: timed calls of each configuration at most.
        budget_s: seconds of timing at most, once each configuration has 8 calls.
        max_latency_ms: budget of the 95th percentile at batch 1 on all cores: PASS where the whole interval is within
            it, FAIL where it is wholly beyond, else NOT ENOUGH DATA.
        confidence: level of the intervals, in (0, 1).
        notes: what else the tables say.

    Raises:
        ModelError: a file cannot be opened, or an option is out of its range.
    """
    problems = []
    if max_latency_ms is not None and not 0 < max_latency_ms < float("inf"):
        problems.append(f"max_latency_ms is {max_latency_ms:g}. Use a number of milliseconds above 0.")
    if not batches or min(batches) < 1:
        problems.append(f"batches are {list(batches)}. Use numbers of images of at least 1.")
    if calls < 1:
        problems.append(f"calls is {calls}. Use at least 1.")
    if problems:
        raise ModelError(*problems)
    paths = [Path(path) for path in files]
    facts = open_exported(paths[0]).facts
    candidates = [*others, *map(candidate_of, paths)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    plan = [(one, batch, threads) for one in candidates for batch in batches for threads in dict.fromkeys((1, cores))]
    timed = [
        Configuration(one.engine, one.subject, batch, threads, one.make(batch, threads)) for one, batch, threads in plan
    ]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    seconds = time_alternating(timed, calls=calls, budget_s=budget_s)
    del timed
    rows = []
    for (one, batch, threads), found in zip(plan, seconds, strict=True):
        p50, p95 = (
            quantile_estimate([1000 * value for value in found], share, confidence=confidence) for share in (0.5, 0.95)
        )
        judged = max_latency_ms is not None and batch == 1 and threads == cores
        rows.append(
            BenchRow(
                one.engine,
                one.subject,
                one.precision,
                batch,
                threads,
                p50,
                p95,
                _throughput(p50, batch),
                peak_memory(one.memory(batch, threads)),
                one.size,
                _verdict(p95, max_latency_ms) if judged and max_latency_ms is not None else None,
            )
        )
    return Benchmark(
        subject or paths[0].name,
        facts.preprocess.image_size,
        _processor(),
        cores,
        load,
        confidence,
        max_latency_ms,
        tuple(rows),
        tuple(notes),
    )


def _throughput(p50: Estimate, batch: int) -> Estimate:
    assert p50.value is not None, "every configuration has calls"
    rate = 1000 * batch / p50.value
    if p50.low is None or p50.high is None:
        return Estimate(rate, None, None, n=p50.n, note=p50.note)
    return Estimate(rate, 1000 * batch / p50.high, 1000 * batch / p50.low, n=p50.n)


def _verdict(p95: Estimate, budget: float) -> Verdict:
    if p95.low is None or p95.high is None:
        return "NOT ENOUGH DATA"
    return "PASS" if p95.high <= budget else "FAIL" if p95.low > budget else "NOT ENOUGH DATA"


def _processor() -> str:
    """Return the model of the processor, as far as the system says."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
