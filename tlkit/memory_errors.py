"""Errors of memory that is full: torch's, numpy's and ONNX Runtime's, and worker processes that the system killed."""

from __future__ import annotations

import re

DEAD_WORKER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) "
    r"(?:is killed by signal: [\w ]+|exited unexpectedly(?: with exit code)?)"
)
SHARED_MEMORY = re.compile(r"Bus error|shared memory")
FULL = re.compile(
    r"out of memory|allocate memory|not enough memory|ALLOC_FAILED|bad_alloc|bad allocation", re.IGNORECASE
)


def memory_problem(error: BaseException) -> str | None:
    """Say in words that memory was full; None for an error of another cause.

    Recognized by their texts are: `torch.OutOfMemoryError`, the plain RuntimeError of torch's allocator for CPUs and of
    CUDA's libraries, MemoryError with numpy's, ONNX Runtime's failed allocations, and the RuntimeError of a DataLoader
    one of whose worker processes was killed (PyTorch 2.13). A process that crashed, or ended with an exit code, had
    another cause.

    Example:
        >>> memory_problem(MemoryError("Unable to allocate 4.00 GiB for an array with shape (1073741824,)"))
        'The memory is full: Unable to allocate 4.00 GiB for an array with shape (1073741824,).'
        >>> memory_problem(ValueError("math domain error")) is None
        True
    """
    text = str(error)
    if isinstance(error, RuntimeError) and DEAD_WORKER.search(text):
        texts = [text, str(error.__cause__)]  # the waiting queue raises from torch's handler, which names the signal
        dead = [found[0] for one in texts if (found := DEAD_WORKER.search(one))][-1]
        if not dead.endswith((": Killed", ": Bus error", "unexpectedly")):
            return None  # such as a library that crashes on an image
        if any(map(SHARED_MEMORY.search, texts)):
            return (
                f"A process that loads images ended ({dead}): the shared memory, /dev/shm, is full. A container often "
                "has 64 MB of it; start it with more, such as docker run --shm-size=2g."
            )
        return f"A process that loads images ended ({dead}), most often because the memory is full."
    if isinstance(error, MemoryError) or FULL.search(text):
        first = re.split(r"\.\s|\n", text.strip(), maxsplit=1)[0].rstrip(".")
        return f"The memory is full{f': {first}' if first else ''}."
    return None
