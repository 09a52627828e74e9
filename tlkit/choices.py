"""Choices of recipe keys as literal types, and the defaults that recipe, gates and Python share."""

from __future__ import annotations

from typing import Literal

Criterion = Literal[
    "accuracy_parity", "demographic_parity", "equal_opportunity", "equalized_odds", "predictive_parity", "four_fifths"
]
EngineName = Literal["torch", "torch-bf16", "onnxruntime", "openvino"]
HeadKind = Literal[
    "logistic", "lda", "ridge", "linear_svm", "knn", "svm", "random_forest", "gradient_boosting"
]  # from simple to complex
HeadWord = Literal["linear", HeadKind, "auto"]
OnLeak = Literal["warn", "drop", "error"]
TrackerKind = Literal["none", "wandb"]
TrackerMode = Literal["auto", "offline", "online"]
Views = Literal["none", "flip", "ten_crop"]

CONFIDENCE = 0.95
"""Two-sided level of every interval."""
ALPHA = 0.05
"""Chance of any false alarm in a family of tests."""
TOLERANCE = 0.05
"""Largest tolerated difference between a group and its complement."""
ENGINE_TOLERANCE = 0.9999
"""Smallest cosine similarity with float32 torch that `engine: auto` accepts."""
CACHE_LIMIT_GB = 10.0
"""Gigabytes that cached features may take."""
MIN_GROUP_SIZE = 20
"""Smaller groups get no rate, no test and no verdict."""
MAX_INTERSECTION_ORDER = 2
"""Most columns of an intersection."""

HEADS_WITHOUT_CLASS_WEIGHTS: tuple[HeadKind, ...] = ("lda", "knn")
