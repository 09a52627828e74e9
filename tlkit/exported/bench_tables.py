"""Table of a `Benchmark`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.exported.bench import Benchmark


def bench_tables(benchmark: Benchmark) -> tuple[Table, ...]:
    """Return latency, throughput, memory and size, one row for each configuration."""
    level = f"{benchmark.confidence:.0%}"
    height, width = benchmark.image
    columns = (
        Column("engine", "engine", "word"),
        Column("subject", "of", "word"),
        Column("precision", "precision", "word"),
        Column("batch", "batch", "count"),
        Column("threads", "threads", "count"),
        Column("p50", f"p50 [{level}]", "estimate", unit="ms", digits=2),
        Column("p95", f"p95 [{level}]", "estimate", unit="ms", digits=2),
        Column("throughput", f"images/s [{level}]", "estimate", digits=1),
        Column("memory", "peak memory", "bytes"),
        Column("size", "size", "bytes"),
        *(() if benchmark.max_latency_ms is None else (Column("verdict", "verdict", "verdict"),)),
    )
    rows = tuple(
        (
            row.engine,
            row.subject,
            row.precision,
            row.batch,
            row.threads,
            row.p50,
            row.p95,
            row.throughput,
            row.memory,
            row.size,
            *(() if benchmark.max_latency_ms is None else (row.verdict,)),
        )
        for row in benchmark.rows
    )
    load = "" if benchmark.load is None else f", load average {benchmark.load:.1f}"
    notes = [
        f"{benchmark.processor}, {benchmark.cores} cores{load}. From uint8 pixels of {height}x{width} px in memory to "
        "probabilities; warm-up, alternating order.",
        "Intervals are distribution-free (order statistics). Peak memory is that of a process of its own, with "
        "everything it loads.",
    ]
    if benchmark.max_latency_ms is not None:
        notes.append(
            f"Budget: the 95th percentile at batch 1 on all cores within {benchmark.max_latency_ms:g} ms, by any row: "
            f"{benchmark.verdict}."
        )
    return (Table("bench", f"Speed of {benchmark.subject}", columns, rows, (*notes, *benchmark.notes)),)
