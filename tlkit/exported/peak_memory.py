"""Prints the peak memory of a process that loads an exported file and runs it once; `bench` starts it.

python -m tlkit.exported.peak_memory FILE BATCH THREADS
"""

from __future__ import annotations

import sys
from pathlib import Path

from tlkit.exported.bench_inputs import noise_for
from tlkit.exported.model import open_exported


def peak_bytes() -> int:
    """Return the largest resident memory of this process in bytes; 0 where the system does not say.

    Linux states it in /proc; `ru_maxrss` would count the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(file: str, batch: str, threads: str) -> None:
    """Run a file once and print the peak memory."""
    model = open_exported(file, threads=int(threads))
    model.run(noise_for(model.facts, int(batch)))
    sys.stdout.write(f"{peak_bytes()}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
