"""Stored heads: a skops file with a fixed list of allowed types, and a JSON card. Loading runs no code of the files."""

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
from tlkit.features.heads.nonlinear import EstimatorScores

logger = logging.getLogger(__name__)

HEAD_FILE, HEAD_CARD = "head.skops", "head.json"
FORMAT_VERSION = 1

_PLAIN = {
    ("builtins.dict", "DictNode"),
    ("builtins.list", "ListNode"),
    ("builtins.tuple", "TupleNode"),
    ("builtins.str", "JsonNode"),
    ("builtins.str", "TypeNode"),
    *((f"numpy.{name}", "NdArrayNode") for name in ("ndarray", "float64", "float32", "int64", "int32", "uint64")),
}
_BOOSTING = "sklearn.ensemble._hist_gradient_boosting"
_ALLOWED: Mapping[HeadKind, set[tuple[str, str]]] = {
    "knn": {("sklearn.neighbors._classification.KNeighborsClassifier", "ObjectNode")},
    "svm": {("sklearn.svm._classes.SVC", "ObjectNode")},
    "random_forest": {
        ("sklearn.ensemble._forest.RandomForestClassifier", "ObjectNode"),
        ("sklearn.tree._classes.DecisionTreeClassifier", "ObjectNode"),
        ("sklearn.tree._tree.Tree", "TreeNode"),
    },
    "gradient_boosting": {
        (f"{_BOOSTING}.gradient_boosting.HistGradientBoostingClassifier", "ObjectNode"),
        (f"{_BOOSTING}.binning._BinMapper", "ObjectNode"),
        (f"{_BOOSTING}.predictor.TreePredictor", "ObjectNode"),
        ("sklearn.preprocessing._label.LabelEncoder", "ObjectNode"),
        ("sklearn._loss.loss.HalfBinomialLoss", "ObjectNode"),
        ("sklearn._loss.loss.HalfMultinomialLoss", "ObjectNode"),
        ("sklearn._loss._loss.CyHalfBinomialLoss", "LossNode"),
        ("sklearn._loss._loss.CyHalfMultinomialLoss", "LossNode"),
        ("sklearn._loss.link.Interval", "ObjectNode"),
        ("sklearn._loss.link.LogitLink", "ObjectNode"),
        ("sklearn._loss.link.MultinomialLogit", "ObjectNode"),
    },
}
TRUSTED = ("sklearn.tree._tree.Tree", f"{_BOOSTING}.predictor.TreePredictor")
"""Types that these heads need and that skops does not trust by default; no others are trusted."""


def save_head(folder: Path, head: Head) -> None:
    """Write a head that is not linear as `head.skops` and `head.json`; each file appears whole or not at all.

    Weight and bias of a linear head are stored with the model's tensors instead.
    """
    import sklearn
    from skops.io import dump

    assert isinstance(head.parameters, ScaledEstimator), "a linear head is stored with the model's tensors"
    part = head.parameters
    if head.kind == "gradient_boosting":
        part.scorer.estimator._feature_subsample_rng = None  # used by fit only; random states are not allowed types
    folder.mkdir(parents=True, exist_ok=True)
    values = {"estimator": part.scorer.estimator, "mean": part.mean, "scale": part.scale, "present": part.present}
    with atomic_file(folder / HEAD_FILE) as partial:
        dump(values, partial)
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    card = {
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
    write_text(folder / HEAD_CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def load_head(folder: Path) -> Head:
    """Return the head that `save_head` wrote; nothing in the files can run code.

    Before anything is built, the types that the file names are compared with those of a head of its kind. Then the
    shapes and indices of its arrays are checked, which scikit-learn's compiled code does not do.

    Raises:
        ModelError: a file is missing, damaged, from a newer tlkit, or holds anything that is no part of such a head.
    """
    import sklearn
    from skops.io import loads

    card = _read_card(folder)
    path = folder / HEAD_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {HEAD_FILE}. Restore it or fit again.") from None
    kind: HeadKind = card["kind"]
    if foreign := sorted(set(_disallowed_types(path, kind))):
        raise ModelError(
            f"{path} names {', '.join(foreign)}, which is no part of a {kind} head. It was not written by tlkit and is "
            "not loaded."
        )
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise ModelError(f"{path} is damaged: its sha256 is not the one in {HEAD_CARD}. Restore it or fit again.")
    if card["scikit_learn"] != sklearn.__version__:
        logger.warning(
            "%s was fitted with scikit-learn %s; this is %s. Fit again if its predictions differ.",
            path,
            card["scikit_learn"],
            sklearn.__version__,
        )
    try:
        values = loads(content, trusted=list(TRUSTED))
        part = ScaledEstimator(
            values["mean"], values["scale"], EstimatorScores(kind, values["estimator"]), values["present"]
        )
        _validate_arrays(part, kind, width=card["width"], classes=len(card["classes"]))
        return Head(
            kind, tuple(card["classes"]), card["settings"], float(card["temperature"]), part, card["width"], card["n"]
        )
    except ModelError:
        raise
    except Exception as error:  # skops and scikit-learn raise many classes of errors
        raise ModelError(
            f"{path} cannot be read ({type(error).__name__}: {error}). Restore it or fit again."
        ) from error


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / HEAD_CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        refuse_newer(f"{path} was", card["format_version"], known=FORMAT_VERSION, error=ModelError)
        if card["kind"] not in get_args(HeadKind) or FACTS[card["kind"]].linear:
            raise ValueError(f"kind is {card['kind']!r}")
        if not isinstance(card["classes"], list) or not isinstance(card["width"], int) or not card["temperature"] > 0:
            raise ValueError("classes, width or temperature has no usable value")
        for name in ("sha256", "scikit_learn", "settings", "n"):
            card[name]
        return card
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {HEAD_CARD}. Restore it or fit again.") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}). Restore it or fit again.") from error


def _disallowed_types(path: Path, kind: HeadKind) -> Iterator[str]:
    """Yield the types in a skops file that are no part of a head of this kind."""
    allowed = _PLAIN | _ALLOWED[kind]
    try:
        with zipfile.ZipFile(path) as archive:
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read ({type(error).__name__}: {error}). Restore it or fit again."
        ) from error
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


def _validate_arrays(part: ScaledEstimator, kind: HeadKind, *, width: int, classes: int) -> None:
    """Check the shapes and indices that scikit-learn's compiled code relies on."""
    estimator, present = part.scorer.estimator, part.present
    expected = {name.rpartition(".")[2] for name, loader in _ALLOWED[kind] if loader == "ObjectNode"}
    sound = type(estimator).__name__ in expected and part.mean.shape == part.scale.shape == (width,)
    sound = sound and present.ndim == 1 and len(set(present.tolist())) == len(present) >= 2
    sound = sound and present.min() >= 0 and present.max() < classes
    sound = sound and np.array_equal(estimator.classes_, np.arange(len(present)))
    sound = sound and estimator.n_features_in_ == width and _arrays_fit(estimator, kind, width, len(present))
    if not sound:
        raise ModelError(f"The stored {kind} head contradicts itself: its arrays do not fit together. Fit it again.")


def _arrays_fit(estimator: Any, kind: HeadKind, width: int, classes: int) -> bool:
    match kind:
        case "svm":
            vectors = len(estimator.support_vectors_)
            return bool(
                estimator.kernel == "rbf"
                and estimator.support_vectors_.shape == (vectors, width)
                and estimator._dual_coef_.shape == (classes - 1, vectors)
                and estimator._n_support.shape == (classes,)
                and estimator._n_support.min() >= 0
                and estimator._n_support.sum() == vectors
                and estimator._intercept_.shape == (classes * (classes - 1) // 2,)
            )
        case "knn":
            labels = estimator._y
            return bool(
                estimator._fit_X.shape == (len(labels), width)
                and 0 < estimator.n_neighbors <= len(labels)
                and labels.min() >= 0
                and labels.max() < classes
            )
        case "random_forest":
            trees = [tree.tree_ for tree in estimator.estimators_]
            return all(
                tree.n_features == width and _is_tree(tree.children_left, tree.children_right, tree.feature, width)
                for tree in trees
            )
        case _:
            parts = [tree.nodes for group in estimator._predictors for tree in group]
            return all(
                _is_tree(
                    np.where(nodes["is_leaf"], -1, nodes["left"].astype(np.int64)),
                    np.where(nodes["is_leaf"], -1, nodes["right"].astype(np.int64)),
                    nodes["feature_idx"].astype(np.int64),
                    width,
                )
                and not nodes["is_categorical"].any()
                for nodes in parts
            )


def _is_tree(left: Any, right: Any, feature: Any, width: int) -> bool:
    """Return whether every node's children exist and come after it, so that each path ends, and features are known."""
    inner = left >= 0
    node = np.flatnonzero(inner)
    valid = np.array_equal(inner, right >= 0)
    for child in (left, right):
        valid = valid and bool((child[inner] > node).all() and (child[inner] < len(left)).all())
    return bool(len(left) and valid and (feature[inner] >= 0).all() and (feature[inner] < width).all())
