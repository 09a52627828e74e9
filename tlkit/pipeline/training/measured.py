"""What was measured on this machine before, so that two runs of one recipe choose alike and compute the same bits."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from tlkit.disk import cache_folder, write_text

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


def measured_once(
    facts: Mapping[str, Any], measure: Callable[[], Mapping[str, float]]
) -> tuple[dict[str, float], Path | None]:
    """Return the figures that belong to some facts, as this machine has noted them, or measure and note them.

    Where several runs measure at the same time, the first to note its figures decides for all.

    Args:
        facts: everything that the figures depend on; plain values.
        measure: takes the figures, by name.

    Returns:
        The figures, and the file that held them; None = they were measured now.
    """
    text = json.dumps(facts, sort_keys=True)
    path = cache_folder() / "measured" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    noted = _read(path)
    if noted is not None:
        return noted, path
    with suppress(OSError):
        path.unlink()  # it is damaged
    figures = dict(measure())
    note = {"format_version": FORMAT_VERSION, "facts": dict(facts), "figures": figures}
    mine = path.with_name(f"{path.stem}-{os.getpid()}.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(mine, json.dumps(note, indent=2) + "\n")
        try:
            os.link(mine, path)
        except FileExistsError:
            figures = _read(path) or figures
        except OSError:  # a file system without links
            mine.replace(path)
        finally:
            mine.unlink(missing_ok=True)
    except OSError as error:
        logger.warning(
            "What was measured cannot be noted in %s (%s), so another run may choose otherwise.", path.parent, error
        )
    return figures, None


def processor(device: str) -> str:
    """Return the name of what computes: the GPU, or the CPU's model where the system tells it."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _read(path: Path) -> dict[str, float] | None:
    """Return the figures of a file; None where there is none, or it is damaged or of another format."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        if noted["format_version"] != FORMAT_VERSION:
            return None
        return {str(name): float(figure) for name, figure in noted["figures"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
