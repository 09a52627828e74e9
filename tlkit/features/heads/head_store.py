"""Heads at rest: skops with a fixed allowlist, and a JSON card beside it. Loading one runs no code from its files."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tlkit.disk import whole_file, write_text
from tlkit.errors import ModelError, refuse_newer
from tlkit.features.heads.head import Head, ScorePart
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
    ("numpy.ndarray", "NdArrayNode"),
    ("numpy.float64", "NdArrayNode"),
    ("numpy.float32", "NdArrayNode"),
    ("numpy.int64", "NdArrayNode"),
    ("numpy.int32", "NdArrayNode"),
    ("numpy.uint64", "NdArrayNode"),
}
_BOOSTING = "sklearn.ensemble._hist_gradient_boosting"
_OWN: Mapping[HeadKind, set[tuple[str, str]]] = {
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
"""What skops does not trust by itself and these heads need; nothing else is ever let through."""


def save_head(folder: Path, head: Head) -> None:
    """Write a head that is not linear as `head.skops` and `head.json`; each file appears whole or not at all.

    A linear head needs no file of its own: its weight and bias belong into the model's tensors.
    """
    import sklearn
    from skops.io import dump

    assert isinstance(head.part, ScorePart), "a linear head is stored with the model's tensors"
    part = head.part
    if head.kind == "gradient_boosting":
        part.scorer.estimator._feature_subsample_rng = None  # used while fitting only; no random state is let in again
    folder.mkdir(parents=True, exist_ok=True)
    values = {"estimator": part.scorer.estimator, "mean": part.mean, "scale": part.scale, "present": part.present}
    with whole_file(folder / HEAD_FILE) as partial:
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
    """Read what `save_head` wrote; nothing in the files can run code.

    Before anything is built, every type that the file names is compared with the fixed list of what a head of its kind
    is made of; then the shapes of its arrays, which scikit-learn's compiled code does not check.

    Raises:
        ModelError: a file is missing, damaged, from a newer tlkit, or holds anything that does not belong into it.
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
    if foreign := sorted(set(_foreign(path, kind))):
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
        part = ScorePart(values["mean"], values["scale"], EstimatorScores(kind, values["estimator"]), values["present"])
        _require_sound(part, kind, width=card["width"], classes=len(card["classes"]))
        return Head(
            kind, tuple(card["classes"]), card["settings"], float(card["temperature"]), part, card["width"], card["n"]
        )
    except ModelError:
        raise
    except Exception as error:  # skops and scikit-learn raise a different kind for every damage
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


def _foreign(path: Path, kind: HeadKind) -> Iterator[str]:
    """Yield what a skops file names that a head of this kind is not made of."""
    allowed = _PLAIN | _OWN[kind]
    try:
        with zipfile.ZipFile(path) as archive:
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read ({type(error).__name__}: {error}). Restore it or fit again."
        ) from error
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if "__loader__" in node or "__class__" in node:
                name, loader = f"{node.get('__module__')}.{node.get('__class__')}", node.get("__loader__")
                if (name, loader) not in allowed:
                    yield name if (name, loader) not in _PLAIN else f"{name} ({loader})"
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _require_sound(part: ScorePart, kind: HeadKind, *, width: int, classes: int) -> None:
    """Check the shapes and indices that compiled code would follow without looking."""
    estimator, present = part.scorer.estimator, part.present
    expected = {name.rpartition(".")[2] for name, loader in _OWN[kind] if loader == "ObjectNode"}
    sound = type(estimator).__name__ in expected and part.mean.shape == part.scale.shape == (width,)
    sound = sound and present.ndim == 1 and len(set(present.tolist())) == len(present) >= 2
    sound = sound and present.min() >= 0 and present.max() < classes
    sound = sound and np.array_equal(estimator.classes_, np.arange(len(present)))
    sound = sound and estimator.n_features_in_ == width and _sound_inside(estimator, kind, width, len(present))
    if not sound:
        raise ModelError(f"The stored {kind} head contradicts itself: its arrays do not fit together. Fit it again.")


def _sound_inside(estimator: Any, kind: HeadKind, width: int, classes: int) -> bool:
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
                tree.n_features == width and _goes_down(tree.children_left, tree.children_right, tree.feature, width)
                for tree in trees
            )
        case _:
            parts = [tree.nodes for group in estimator._predictors for tree in group]
            return all(
                _goes_down(
                    np.where(nodes["is_leaf"], -1, nodes["left"].astype(np.int64)),
                    np.where(nodes["is_leaf"], -1, nodes["right"].astype(np.int64)),
                    nodes["feature_idx"].astype(np.int64),
                    width,
                )
                and not nodes["is_categorical"].any()
                for nodes in parts
            )


def _goes_down(left: Any, right: Any, feature: Any, width: int) -> bool:
    """Return whether each inner node's children come after it and exist, so that every walk ends, on known features."""
    inner = left >= 0
    here = np.arange(len(left))
    ends = np.array_equal(inner, right >= 0)
    for child in (left, right):
        ends = ends and bool((child[inner] > here[inner]).all() and (child[inner] < len(left)).all())
    return bool(len(left) and ends and (feature[inner] >= 0).all() and (feature[inner] < width).all())
