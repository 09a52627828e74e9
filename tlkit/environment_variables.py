"""Environment variables that other libraries read and fail on, with what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from tlkit.errors import TlkitError

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""The first of these that is set is read by Lightning 2.6, as the number of this process, while it is imported."""
_INTEGERS = {
    "joblib": ("LOKY_MAX_CPU_COUNT", "LOKY_MAX_DEPTH", "JOBLIB_MULTIPROCESSING"),
    "scikit-learn": ("SKLEARN_WORKING_MEMORY",),
    "NumPy": ("SOURCE_DATE_EPOCH",),
    "huggingface_hub": ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"),
    "timm": (
        "TIMM_FUSED_ATTN",
        "TIMM_USE_SCIPY_INTERP",
        "TIMM_USE_OLD_CACHE",
        "TIMM_DATASET_MAX_RETRIES",
        "TIMM_FOREACH_CHUNK_SIZE",
        "WDS_SHUFFLE_SIZE",
        "WDS_INITIAL_SIZE",
        "HFIDS_SHUFFLE_SIZE",
    ),
    "torchmetrics": ("DOCTEST_DOWNLOAD_TIMEOUT",),
    "torch": (
        "TORCHDYNAMO_REPRO_LEVEL",
        "AOTINDUCTOR_REPRO_LEVEL",
        "TORCHINDUCTOR_COMPILE_THREADS",
        "TORCHINDUCTOR_MIN_NUM_SPLIT",
        "TORCHINDUCTOR_FILE_LOCK_TIMEOUT",
        "TORCHINDUCTOR_CPP_MIN_CHUNK_SIZE",
        "TORCHINDUCTOR_CPP_GEMM_MAX_K_SLICES",
    ),
    "Lightning": ("NODE_RANK", "GROUP_RANK"),
    "tqdm": ("TQDM_NCOLS", "TQDM_NROWS", "TQDM_POSITION", "TQDM_INITIAL", "TQDM_UNIT_DIVISOR"),
    "typer": ("TERMINAL_WIDTH",),
}
"""Variables that a library takes for a whole number, by the library; most do so while they are imported."""
_NUMBERS = ("TQDM_TOTAL", "TQDM_MININTERVAL", "TQDM_MAXINTERVAL", "TQDM_MINITERS", "TQDM_SMOOTHING", "TQDM_DELAY")
_EMPTY_IS_UNSET = ("TIMM_DATASET_MAX_RETRIES", "TERMINAL_WIDTH")
_SIZES = (
    "OPENCV_IO_MAX_IMAGE_PIXELS",
    "OPENCV_IO_MAX_IMAGE_WIDTH",
    "OPENCV_IO_MAX_IMAGE_HEIGHT",
    "OPENCV_FOR_THREADS_NUM",
)
"""Those that OpenCV reads; most end the process from within it, without an exception."""
_BACKENDS = frozenset(
    {
        "agg",
        "cairo",
        "gtk3agg",
        "gtk3cairo",
        "gtk4agg",
        "gtk4cairo",
        "inline",
        "ipympl",
        "macosx",
        "nbagg",
        "notebook",
        "pdf",
        "pgf",
        "ps",
        "qt5agg",
        "qt5cairo",
        "qtagg",
        "qtcairo",
        "svg",
        "template",
        "tkagg",
        "tkcairo",
        "webagg",
        "widget",
        "wx",
        "wxagg",
        "wxcairo",
    }
)


def require_usable_variables() -> None:
    """Check the variables by which a library fails, most while it is imported; imports none of them, as a rule.

    Raises:
        TlkitError: a variable's value is unusable; the error names all of them.
    """
    problems: list[str] = []
    rank = next((name for name in _RANKS if name in os.environ), None)
    if rank is not None and not _is_read(rank, int):
        problems.append(
            f"The environment variable {rank} is {os.environ[rank]!r}. Lightning reads the number of this process "
            "there. Unset it, or set a whole number."
        )
    checks: list[tuple[str, str, Callable[[str], object], Sequence[str]]] = [
        *((library, "whole number", int, names) for library, names in _INTEGERS.items()),
        ("tqdm", "number", float, _NUMBERS),
        ("OpenCV", "whole number", _size, _SIZES),
    ]
    problems += [
        f"The environment variable {name} is {os.environ[name]!r}. {library} reads a {kind} there. Unset it, or set "
        "one."
        for library, kind, read, names in checks
        for name in names
        if name in os.environ and not _is_read(name, read)
    ]
    if os.environ.get("TORCH_LOGS") is not None:
        try:
            import torch  # noqa: F401  which knows the names of its logs
        except ValueError:
            problems.append(
                f"The environment variable TORCH_LOGS is {os.environ['TORCH_LOGS']!r}, which torch does not know. "
                "Unset it, or set names such as dynamo or +inductor."
            )
        except ImportError:
            pass
    backend = os.environ.get("MPLBACKEND", "")
    if backend and backend.lower() not in _BACKENDS and not backend.startswith("module://"):
        try:
            import matplotlib  # noqa: F401  another package may have registered the backend
        except ValueError:
            problems.append(
                f"The environment variable MPLBACKEND is {backend!r}, which matplotlib does not know. Unset it, or set "
                "agg."
            )
    if problems:
        raise TlkitError(*problems)


def _is_read(name: str, read: Callable[[str], object]) -> bool:
    """Return whether a library can read the value of a variable that is set."""
    value = os.environ[name]
    if not value and name in _EMPTY_IS_UNSET:
        return True
    try:
        read(value)
    except ValueError:
        return False
    return True


def _size(text: str) -> int:
    """Return the number in a size as OpenCV writes it: 1024, 64KB or 64MB."""
    return int(re.sub(r"(KB|Kb|kb|MB|Mb|mb)$", "", text))
