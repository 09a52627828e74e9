"""The environment of a run: versions, commit, hardware, data and weights."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import tlkit
from tlkit.data.decode.decoding import DECODER
from tlkit.data.sources.manifest import digest_of
from tlkit.recipe import Recipe
from tlkit.samples import DIGEST, LABEL, MASK_DIGEST, PATH, SPLIT, Samples
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "pytorch-lightning",
    "albumentations",
    "opencv-python-headless",
    "pillow",
    "scikit-learn",
    "numpy",
    "pandas",
    "wandb",
    "onnxruntime",
)


def environment_of(prepared: Prepared, *, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return versions, hardware, data and weights of a run as plain JSON values.

    Of a resumed run, `before` is the environment of its last attempt: changes are added, and its engine is kept.
    """
    samples, excluded = prepared.data.samples, prepared.data.dataset.excluded
    weights, device = prepared.classifier.source.weights, prepared.device
    now = {
        "tlkit": tlkit.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "decoder": DECODER,
        "commit": _commit(),
        "device": device,
        "device_name": torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "precision": prepared.precision,
        "processes": prepared.world.size,
        "data": {
            "root": str(samples.root),
            "images": len(samples),
            "excluded": len(excluded),
            "fingerprint": dataset_fingerprint(samples),
            "sources": {str(file): digest_of(file) for file in _input_files(prepared.recipe)},
        },
        "weights": {**asdict(weights), "non_commercial": weights.non_commercial},
    }
    if before is None:
        return now
    kept = {name: before[name] for name in ("features", "changed_images") if name in before}
    return {**_with_changes(before, now), **kept}


def _input_files(recipe: Recipe) -> list[Path]:
    """Return the files that list images, labels or splits."""
    data = recipe.data
    labels = (data.label_corrections,) if isinstance(data.label_corrections, str) else data.label_corrections
    return [Path(file) for file in (data.manifest, data.split, data.quarantine, *labels) if file is not None]


def _with_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environment of a resumed run; changes that may affect its last digits are logged.

    It is `now` with one mapping of changes (name: "old → new") per resumption in "changed_on_resume".
    """
    labels = {"tlkit": "tlkit", "python": "Python", "device": "device", "precision": "precision"}
    pairs = {word: (before.get(key), now.get(key)) for key, word in labels.items()}
    packages = [name for name in now["packages"] if name not in ("pandas", "wandb")]  # these affect no weight
    pairs |= {name: (before.get("packages", {}).get(name), now["packages"][name]) for name in packages}
    changes = {name: f"{old} → {new}" for name, (old, new) in pairs.items() if old != new}
    if changes:
        logger.warning(
            "The run was started in another environment: %s. Its results may differ in the last digits.",
            ", ".join(f"{name} {change}" for name, change in changes.items()),
        )
    earlier = list(before.get("changed_on_resume", []))
    listed = [*earlier, changes] if changes else earlier
    return {**now, "changed_on_resume": listed} if listed else dict(now)


def dataset_fingerprint(samples: Samples) -> str:
    """Return the sha256 (hex) over every image's path, label, split and content digest, in path order.

    Masks count with their own digests.
    """
    own = [MASK_DIGEST] if MASK_DIGEST in samples.table.columns else []
    rows = samples.table[[PATH, LABEL, SPLIT, DIGEST, *own]].astype(str).sort_values(PATH)
    return hashlib.sha256("\n".join("\t".join(row) for row in rows.itertuples(index=False)).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the working directory's git checkout, with "+changes" where it has any; None outside one."""
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}+changes" if _git("status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10)  # noqa: S603, S607
    return done.stdout.strip()
