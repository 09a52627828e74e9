"""The words by which a recipe chooses what a room below it carries out. Each list stands here, and only here."""

from __future__ import annotations

from typing import Literal

Criterion = Literal[
    "accuracy_parity",
    "demographic_parity",
    "equal_opportunity",
    "equalized_odds",
    "predictive_parity",
    "four_fifths",
]
EngineName = Literal["torch", "torch-bf16", "onnxruntime", "openvino"]
HeadKind = Literal[
    "logistic", "lda", "ridge", "linear_svm", "knn", "svm", "random_forest", "gradient_boosting"
]  # the simpler first
HeadWord = Literal["linear", HeadKind, "auto"]
OnLeak = Literal["warn", "drop", "error"]
TrackerKind = Literal["none", "wandb"]
TrackerMode = Literal["auto", "offline", "online"]
Views = Literal["none", "flip", "ten_crop"]

HEADS_WITHOUT_CLASS_WEIGHTS: tuple[HeadKind, ...] = ("lda", "knn")
