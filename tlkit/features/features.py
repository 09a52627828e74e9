"""`Features`: the feature vectors (N, D) of images, with their `Provenance`, which addresses them in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.errors import DataError, first_few
from tlkit.features.cache_format import CACHE_VERSION
from tlkit.preprocess import Preprocess


@dataclass(frozen=True)
class View:
    """One augmented view of every image, as training sees it in one epoch.

    Attributes:
        augment: a preset, or the list of transforms as canonical JSON.
        seed: of the augmentation.
        number: which view, from 0; view k is what epoch k of a training with this seed sees.
        made_with: the versions that the pixels depend on, as `augmentation_version` states them.
    """

    augment: str
    seed: int
    number: int
    made_with: str = ""


@dataclass(frozen=True)
class Provenance:
    """Everything that an image's features depend on, except the image's own bytes.

    Attributes:
        architecture: timm's name of the backbone.
        weights: sha256 (hex) of the backbone's tensors.
        layer: the layer that is read; "pooled" for the vector before the classifier; for activations of a frozen prefix
            the module, the shape and how they are stored.
        preprocess: size, crop, filter, mean, std and background.
        decoder: how files become pixels: the version of tlkit's rules and of the library that reads the formats.
        engine: what ran the backbone and where, such as "torch/cpu" or "onnxruntime/cpu".
        dtype: arithmetic of the backbone, "float32" or "bfloat16"; features are stored as float32 whichever it was.
        view: None for the image as evaluation sees it.
        options: keyword arguments of the architecture (`Backbone.options`), as canonical JSON; they can change what
            equal weights compute, such as an activation or a stride. "" = none.
        engine_build: versions and settings that the engine's bits depend on, as `EngineIdentity.build` states them.
    """

    architecture: str
    weights: str
    layer: str
    preprocess: Preprocess
    decoder: str
    engine: str
    dtype: str
    view: View | None = None
    options: str = ""
    engine_build: str = ""

    @cached_property
    def digest(self) -> str:
        """The sha256 (hex) of all fields."""
        return hashlib.sha256(_canonical({"cache_version": CACHE_VERSION, **self.to_dict()}).encode()).hexdigest()

    def key(self, image: str, *, sample_id: int | None = None) -> str:
        """Return the cache key (sha256, hex) of one image's features.

        Args:
            image: sha256 of the image file, hex.
            sample_id: seed of its augmentation; part of the key of an augmented view only.

        Example:
            >>> made_by = Provenance("resnet18", "0f", "pooled", Preprocess(), "rules 1", "torch/cpu", "float32")
            >>> made_by.key("ab") == made_by.key("ab") != made_by.key("ac")
            True
        """
        drawn = None if self.view is None else sample_id
        return hashlib.sha256(_canonical([self.digest, image, drawn]).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "preprocess": self.preprocess.to_dict(),
            "view": None if self.view is None else asdict(self.view),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """Read what `to_dict` wrote."""
        view = values["view"]
        return cls(
            **{
                **values,
                "preprocess": Preprocess.from_dict(values["preprocess"]),
                "view": None if view is None else View(**view),
            }
        )


def canonical_options(options: Mapping[str, Any]) -> str:
    """Return an architecture's options as canonical JSON, for cache keys; "" for none.

    Example:
        >>> canonical_options({"patch_size": 8, "act_layer": "silu"}), canonical_options({})
        ('{"act_layer":"silu","patch_size":8}', '')
    """
    return _canonical(dict(options)) if options else ""


def _canonical(values: object) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True, eq=False)
class Features:
    """The features of N images.

    Attributes:
        x: (N, D) float32; read-only, and possibly mapped from disk: index rows instead of copying the whole.
        path: (N,) paths as given to `embed`; relative to the root where samples were given.
        digest: (N,) sha256 of each image file, hex.
        made_by: their provenance.

    Example:
        >>> made_by = Provenance("resnet18", "0f", "pooled", Preprocess(), "rules 1", "torch/cpu", "float32")
        >>> x, names = np.zeros((2, 512), dtype=np.float32), np.array(["a.jpg", "b.jpg"])
        >>> Features(x, names, np.array(["0a", "0b"]), made_by).of(["b.jpg"])
        Features(1 x 512, resnet18, torch/cpu float32)
    """

    x: npt.NDArray[np.float32]
    path: npt.NDArray[np.str_]
    digest: npt.NDArray[np.str_]
    made_by: Provenance

    def __post_init__(self) -> None:
        assert self.x.ndim == 2 and self.x.dtype == np.float32, (self.x.shape, self.x.dtype)
        assert len(self.x) == len(self.path) == len(self.digest), "features, paths and digests differ in number"

    def __len__(self) -> int:
        return len(self.x)

    @property
    def width(self) -> int:
        """D, the number of features of an image."""
        return int(self.x.shape[1])

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Features:
        """Return some of the rows, in the order given."""
        chosen = np.asarray(rows, dtype=np.int64)
        return Features(self.x[chosen], self.path[chosen], self.digest[chosen], self.made_by)

    def rows_in(self, paths: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        """Return the positions of those paths that have features, in their order."""
        return np.flatnonzero(np.isin(paths, self.path)).astype(np.int64)

    def values(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the features of some images, (n, D)."""
        return np.asarray(self.x[places])

    def of(self, paths: Sequence[str | Path] | npt.NDArray[np.str_]) -> Features:
        """Return the rows of these paths, in their order.

        Raises:
            DataError: some of the paths have no features.
        """
        row_of = {str(path): row for row, path in enumerate(self.path)}
        unknown = [str(path) for path in paths if str(path) not in row_of]
        if unknown:
            raise DataError(
                f"{len(unknown)} of {len(paths)} images have no features: {first_few(unknown)}. They could not be read "
                "when the features were made, or were not among the images; the log names the unreadable ones."
            )
        return self.take([row_of[str(path)] for path in paths])

    def __repr__(self) -> str:
        by = self.made_by
        return f"Features({len(self)} x {self.width}, {by.architecture}, {by.engine} {by.dtype})"

    def _repr_html_(self) -> str:
        by = self.made_by
        return (
            f"<p><b>Features</b>: {len(self):,} images x {self.width:,}, {by.architecture} "
            f"(weights {by.weights[:12]}), {by.layer} layer, made by {by.engine} in {by.dtype}</p>"
        )
