"""The heads that a frozen backbone can have, by the words that recipes use."""

from __future__ import annotations

from typing import Literal, get_args

HeadKind = Literal[
    "logistic", "lda", "ridge", "linear_svm", "knn", "svm", "random_forest", "gradient_boosting"
]  # the simpler first
HeadWord = Literal["linear", HeadKind, "auto"]

HEAD_KINDS: tuple[HeadKind, ...] = get_args(HeadKind)
TAKES_NO_CLASS_WEIGHTS = ("lda", "knn")
APPLIES_TO_ALL_HEADS = ("class_weights", "device")
"""Keys of `train` that mean something without a training loop; the others are for `head: linear`."""
