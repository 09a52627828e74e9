"""Stored heads: a skops file with a fixed list of allowed types, and JSON beside it; loading runs no code of them."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tlkit.disk import atomic_file, write_text
from tlkit.errors import ModelError, refuse_newer
from tlkit.features.heads.head import Head, ScaledEstimator
from tlkit.features.heads.head_kinds import FACTS, HeadKind
from tlkit.features.heads.nonlinear import Nonlinear
from tlkit.stored_values import parse_json, read_json

logger = logging.getLogger(__name__)

HEAD_FILE, HEAD_FACTS = "head.skops", "head.json"
FORMAT_VERSION = 1
REMEDY = "Restore it or fit again."
MOST_TEMPERATURE = 1e6

_PLAIN = {
    ("builtins.dict", "DictNode"),
    ("builtins.list", "ListNode"),
    ("builtins.tuple", "TupleNode"),
    ("builtins.str", "JsonNode"),
    ("builtins.str", "TypeNode"),
    *((f"numpy.{name}", "NdArrayNode") for name in ("ndarray", "float64", "float32", "int64", "int32", "uint64")),
}


def save_head(folder: Path, head: Head) -> None:
    """Write a head that is not linear as `head.skops` and `head.json`; each file appears whole or not at all.

    Weight and bias of a linear head are stored with the model's tensors instead.
    """
    import sklearn
    from skops.io import dump

    assert isinstance(head.parameters, ScaledEstimator), "a linear head is stored with the model's tensors"
    part = head.parameters
    folder.mkdir(parents=True, exist_ok=True)
    values = {"estimator": part.estimator, "mean": part.mean, "scale": part.scale, "present": part.present}
    with atomic_file(folder / HEAD_FILE) as partial:
        dump(values, partial)
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    values = {
        "format_version": FORMAT_VERSION,
        "kind": head.kind,
        "classes": list(head.classes),
        "settings": dict(head.settings),
        "temperature": head.temperature,
        "width": head.width,
        "n": head.n,
        "sha256": digest,
        "scikit_learn": sklearn.__version__,
    }
    write_text(folder / HEAD_FACTS, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def load_head(folder: Path) -> Head:
    """Return the head that `save_head` wrote; nothing in the files can run code.

    Before anything is built, the types that the file names are compared with those of a head of its kind. Then the
    shapes and indices of its arrays are checked, which scikit-learn's compiled code does not do.

    Raises:
        ModelError: a file is missing, damaged, from a newer tlkit, or holds anything that is no part of such a head.
    """
    import sklearn
    from skops.io import loads

    values = _read_facts(folder)
    path = folder / HEAD_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {HEAD_FILE}. {REMEDY}") from None
    if hashlib.sha256(content).hexdigest() != values["sha256"]:
        raise ModelError(f"{path} is damaged: its sha256 is not the one in {HEAD_FACTS}. {REMEDY}")
    kind: HeadKind = values["kind"]
    facts = FACTS[kind].nonlinear
    assert facts is not None, "no linear head is stored so"
    if foreign := sorted(set(_disallowed_types(path, facts.stored_types))):
        raise ModelError(
            f"{path} names {', '.join(foreign)}, which is no part of a {kind} head. It was not written by tlkit and is "
            "not loaded."
        )
    if values["scikit_learn"] != sklearn.__version__:
        logger.warning(
            "%s was fitted with scikit-learn %s; this is %s. Fit again if its predictions differ.",
            path,
            values["scikit_learn"],
            sklearn.__version__,
        )
    try:
        loaded = loads(content, trusted=sorted(name for name, _ in facts.stored_types))
        part = ScaledEstimator(loaded["mean"], loaded["scale"], loaded["estimator"], loaded["present"])
        if not _arrays_fit(part, facts, width=values["width"], classes=len(values["classes"])):
            raise ModelError(
                f"The stored {kind} head contradicts itself: its arrays do not fit together. Fit it again."
            )
        return Head(
            kind,
            tuple(values["classes"]),
            values["settings"],
            float(values["temperature"]),
            part,
            values["width"],
            values["n"],
        )
    except ModelError:
        raise
    except Exception as error:  # skops and scikit-learn raise many classes of errors
        raise ModelError(f"{path} cannot be read ({type(error).__name__}: {error}). {REMEDY}") from error


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / HEAD_FACTS
    try:
        values = read_json(path, error=ModelError, remedy=REMEDY)
        refuse_newer(f"{path} was", values["format_version"], known=FORMAT_VERSION, error=ModelError)
        if values["kind"] not in get_args(HeadKind) or FACTS[values["kind"]].nonlinear is None:
            raise ValueError(f"kind is {values['kind']!r}")
        if not isinstance(values["classes"], list) or not all(isinstance(name, str) for name in values["classes"]):
            raise ValueError("classes is not a list of names")
        if not isinstance(values["width"], int) or not 0 < values["temperature"] <= MOST_TEMPERATURE:
            raise ValueError("width or temperature has no usable value")
        for name, kind in (("sha256", str), ("scikit_learn", str), ("settings", dict), ("n", int)):
            if not isinstance(values[name], kind):
                raise ValueError(f"{name} is {values[name]!r}")
        return values
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {HEAD_FACTS}. {REMEDY}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}). {REMEDY}") from error


def _disallowed_types(path: Path, stored_types: frozenset[tuple[str, str]]) -> Iterator[str]:
    """Yield the types in a skops file that are neither plain nor among the stored types of a kind of head."""
    allowed = _PLAIN | stored_types
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("its parts are compressed, which tlkit never does")
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise ValueError("its parts are larger than the file")
            schema = parse_json(archive.read("schema.json"))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({type(error).__name__}: {error}). {REMEDY}") from error
    stack = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, Mapping):
            if "__loader__" in node or "__class__" in node:
                name, loader = f"{node.get('__module__')}.{node.get('__class__')}", node.get("__loader__")
                if (name, loader) not in allowed:
                    yield name if (name, loader) not in _PLAIN else f"{name} ({loader})"
            stack += node.values()
        elif isinstance(node, list):
            stack += node


def _arrays_fit(part: ScaledEstimator, facts: Nonlinear, *, width: int, classes: int) -> bool:
    """Return whether the shapes and indices that scikit-learn's compiled code relies on are right."""
    estimator, present = part.estimator, part.present
    expected = {name.rpartition(".")[2] for name, loader in facts.stored_types if loader == "ObjectNode"}
    return bool(
        type(estimator).__name__ in expected
        and part.mean.shape == part.scale.shape == (width,)
        and present.ndim == 1
        and len(set(present.tolist())) == len(present) >= 2
        and present.min() >= 0
        and present.max() < classes
        and np.array_equal(estimator.classes_, np.arange(len(present)))
        and estimator.n_features_in_ == width
        and facts.is_sound(estimator, width, len(present))
    )
