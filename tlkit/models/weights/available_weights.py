"""Which pretrained weights can be had here without a network: the hub's cache, installed packages, files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import PurePosixPath

from tlkit.errors import ModelError, did_you_mean
from tlkit.models.backbone import default_weights, hub_names, list_models, split_name
from tlkit.models.weights.hub import cached_architecture, cached_repositories, is_cached
from tlkit.models.weights.weight_sources import WEIGHT_SUFFIXES, WeightsSource

PORTS = {"tf"}
"""Parts of timm's names that say where weights were ported from; packages that carry them leave them out."""


@dataclass(frozen=True)
class Found:
    """A backbone, as a recipe would name it.

    Attributes:
        name: what `model.name` takes.
        weights: what `model.weights` takes.
        problem: why the weights cannot be had here; "" where they can.
        guessed: whether the name was read off that of a package, which may fit several networks.
    """

    name: str
    weights: str
    problem: str = ""
    guessed: bool = False


def find_weights(asked: Sequence[str] = (), *, download: bool = False) -> list[Found]:
    """List backbones whose weights can be had here, and those of the asked ones whose weights cannot, with the reason.

    Args:
        asked: each a timm name with or without a tag ("resnet18"), a part or shell pattern of names ("vit_*"), or a
            name with its weights ("resnet18@file:weights.safetensors"); none = all that can be had here.
        download: take weights that are named in full from the hub where its cache lacks them.

    Raises:
        ModelError: names that nobody knows, all at once, with the nearest ones.
    """
    there = [*_in_hub_cache(), *_in_packages()]
    if not asked:
        return there
    found: list[Found] = []
    problems: list[str] = []
    for one in asked:
        try:
            found += _asked(one, there, download=download)
        except ModelError as error:
            problems += error.problems
    if problems:
        raise ModelError(*problems)
    return list(dict.fromkeys(found))


def _asked(one: str, there: Sequence[Found], *, download: bool) -> list[Found]:
    name, at, weights = one.partition("@")
    if at:
        source = WeightsSource.parse(weights)
        split_name(name)
        if source.kind == "hub":
            return [_from_hub(name, download=download)]
        gone = source.kind == "hf-hub" and not download and not is_cached(source.location)
        return [Found(name, weights, _not_cached(source.location) if gone else "")]
    if any(mark in name for mark in "*?[") or not list_models(name.partition(".")[0]):
        return _matching(name, there)
    try:
        split_name(name)
    except ModelError:
        if "." in name or not list_models(name):
            raise
        return _matching(name, there)  # a part of names, such as "vit"
    fits = [found for found in there if name in (found.name, found.name.partition(".")[0])]
    return fits or [_from_hub(name, download=download)]


def _matching(pattern: str, there: Sequence[Found]) -> list[Found]:
    wildcard = pattern if any(mark in pattern for mark in "*?[") else f"*{pattern}*"
    fits = [found for found in there if _matches(wildcard, found.name)]
    if fits:
        return fits
    known = list_models(pattern, pretrained=True)
    if not known and not list_models(pattern):
        near = did_you_mean(pattern, list_models())
        raise ModelError(f"No model matches {pattern!r}.{near} `tlkit models PATTERN` lists the names.")
    return [Found(pattern, "hub", f"timm knows {len(known)} sets of weights by this pattern, and none of them is here")]


def _matches(wildcard: str, name: str) -> bool:
    return fnmatchcase(name, wildcard) or fnmatchcase(name.partition(".")[0], wildcard)


def _from_hub(name: str, *, download: bool) -> Found:
    full = name if "." in name else default_weights(name)
    repository = next((repository for repository, known in hub_names().items() if known == full), None)
    if repository is None:
        return Found(full, "hub", f"the hub has no pretrained weights for {full}")
    return Found(full, "hub", "" if download or is_cached(repository) else _not_cached(repository))


def _not_cached(repository: str) -> str:
    return f"not in the hub's cache; `hf download {repository}` fetches it where there is a network"


def _in_hub_cache() -> list[Found]:
    names = hub_names()
    found = []
    for repository in cached_repositories():
        if repository in names:
            found.append(Found(names[repository], "hub"))
        elif (stated := cached_architecture(repository)) is not None and stated in list_models(stated):
            found.append(Found(stated, f"hf-hub:{repository}"))
    return found


def _in_packages() -> list[Found]:
    """List the weights in installed packages whose own or whose file's name says which of timm's networks they are.

    Where a name says more than one equally well, such as a port and its original, all are listed.
    """
    networks = {name: _words(name) - PORTS for name in list_models()}
    found = []
    for distribution in metadata.distributions():
        listed = distribution.read_text("RECORD") or ""
        if not any(suffix in listed for suffix in WEIGHT_SUFFIXES):
            continue
        files = [str(file) for file in distribution.files or [] if PurePosixPath(str(file)).suffix in WEIGHT_SUFFIXES]
        package = str(distribution.metadata["Name"])
        for file in files:
            said = _words(package) | _words(PurePosixPath(file).stem)
            fits = [name for name, own in networks.items() if own and own <= said]
            most = max((len(networks[name]) for name in fits), default=0)
            source = f"pip:{package}" if len(files) == 1 else f"pip:{package}/{file}"
            found += [Found(name, source, guessed=True) for name in fits if len(networks[name]) == most]
    return found


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[-_./]", name.lower()))
