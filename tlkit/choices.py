"""Choices of recipe keys and words of results as literal types, and the defaults that recipe and Python share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Annotations = Literal["one", "majority", "soft"]
DatasetName = Literal[
    "animals",
    "digit-scenes",
    "digits",
    "emoji-keywords",
    "emoji-masks",
    "emoji-scenes",
    "fashion-mnist",
    "flags",
    "glyphs",
    "occupations",
    "solar",
    "textiles",
]
BomVersion = Literal["1.6", "1.7"]
Calibrate = Literal["temperature", "auto", "vector", "none"]
Criterion = Literal[
    "accuracy_parity", "demographic_parity", "equal_opportunity", "equalized_odds", "predictive_parity", "four_fifths"
]
Decoder = Literal["unet", "fpn", "deeplabv3plus"]
EngineName = Literal["torch", "torch-bf16", "onnxruntime", "openvino"]
ExplainMethod = Literal["auto", "grad_cam", "attention", "rollout", "occlusion"]
ExportFormat = Literal["onnx", "openvino"]
GraphEngineName = Literal["onnxruntime", "openvino"]
HeadKind = Literal[
    "logistic", "lda", "ridge", "linear_svm", "knn", "svm", "random_forest", "gradient_boosting"
]  # from simple to complex
HeadWord = Literal["linear", HeadKind, "auto"]
ImageCacheUse = Literal["auto", "never"]
ImportKind = Literal["coco", "voc", "yolo", "parquet", "cifar10", "mnist"]
TASK_HEADS: dict[str, HeadKind] = {"multilabel": "logistic", "regression": "ridge"}
"""The kind of head that is fitted to features for another task than one class; grades have none."""
TRAINED_HEADS = ("linear", "text")
"""Heads that the optimizer trains; scikit-learn fits the others."""
MaskLoss = Literal["dice", "cross_entropy", "focal"]
MetricSet = Literal["headline", "all"]
OnLeak = Literal["warn", "drop", "error"]
PredictEngine = Literal["auto", "torch", "onnxruntime", "openvino"]
SetMethod = Literal["lac", "aps", "raps"]
OodScoreName = Literal["msp", "energy", "knn", "mahalanobis"]
SelectionMethod = Literal["margin", "coverage", "typicality"]
Task = Literal["multiclass", "multilabel", "ordinal", "regression", "segmentation", "detection"]
ListedTask = Literal["multiclass", "multilabel", "ordinal", "regression", "segmentation"]
TrackerKind = Literal["none", "wandb", "mlflow", "tensorboard"]
TrackerMode = Literal["auto", "offline", "online"]
Counted = Literal["image", "object"]
"""What a rate or figure counts: images, or of boxes the true objects in them."""
TrainedTask = Literal["multiclass", "multilabel", "ordinal", "regression", "segmentation", "detection"]
Views = Literal["none", "flip", "ten_crop"]

Verdict = Literal["FAIL", "PASS", "NOT ENOUGH DATA"]
EXIT_CODES: Mapping[Verdict, int] = {"PASS": 0, "FAIL": 1, "NOT ENOUGH DATA": 3}
"""Exit codes of the command line."""
ChangeDirection = Literal["better", "worse", "not distinguishable"]
"""How the second of two models compares with the first."""

OBJECT_SIZE = "object_size"
"""A column that the audit of detection has of itself: small, medium or large."""
LABEL_SEPARATOR = ";"
"""Between several values in one cell."""
CONFIDENCE = 0.95
"""Two-sided level of every interval."""
ALPHA = 0.05
"""Chance of any false alarm in a family of tests."""
RESOLVED_DIFFERENCE = 0.02
"""Difference of two models for which a comparison says how many images would show it."""
TOLERANCE = 0.05
"""Largest tolerated difference between a group and its complement."""
ENGINE_TOLERANCE = 0.9999
"""Smallest cosine similarity with float32 torch that `engine: auto` accepts."""
CACHE_LIMIT_GB = 10.0
"""Gigabytes that cached features may take."""
IMAGE_CACHE: ImageCacheUse = "auto"
"""Whether decoded images are kept for later epochs."""
IMAGE_CACHE_LIMIT_GB = 10.0
"""Gigabytes that decoded images may take."""
BATCH_SIZE = 32
"""Images of a batch."""
WEIGHTS = "hub"
"""Source of pretrained weights."""
DECODER: Decoder = "unet"
"""What stands above the backbone of a network for segmentation."""
DECODER_CHANNELS = 256
"""Width of the last layers of a decoder, or of the pyramid of a detector."""
VAL_SHARE = 0.2
"""Share of the training images that is held out for validation, where there is no val split."""
TEST_SHARE = 0.0
"""The same for test."""
ANNOTATIONS: Annotations = "one"
"""How several labels of an image become one."""
Y_TRUE, Y_PRED, PATH = "y_true", "y_pred", "path"
"""Columns of a table of predictions."""
HEAD: HeadKind = "logistic"
"""Kind of the head that analyses fit to features."""
RATE_STEPS = 100
"""Steps of a search for the learning rate."""
VERIFIED_IMAGES = 200
"""Images on which exported files are compared with their run."""
SET_METHOD: SetMethod = "lac"
"""How conformal prediction sets are made."""
BOM_VERSION: BomVersion = "1.6"
"""Version of CycloneDX in which evidence is written."""
BENCH_CALLS = 100
"""Timed calls of each configuration at most; the interval of the 95th percentile needs about 75."""
BENCH_BUDGET_S = 60.0
"""Seconds of timing at most, once each configuration has 8 calls."""
COVERAGE = 0.95
"""Share of prediction sets, or of intervals of numbers, that should hold the truth."""
TEMPLATES = "simple"
"""Prompts around the names of classes."""
TRACKED_ROWS = 10_000
"""Rows of a table that goes to a tracker, at most."""
FOLDS = 5
"""Folds of a cross-validation."""
REPEATS = 1
"""Repetitions of a cross-validation, each with other folds."""
CURVE_REPEATS = 3
"""Repetitions of the cross-validation behind a learning curve, each with other folds and subsets."""
OOD_SCORE: OodScoreName = "knn"
"""Score whose threshold says which images are unknown."""
FALSE_ALARMS = 0.05
"""Share of known images that may be called unknown."""
LABEL_COUNT = 20
"""Images to label next."""
SELECTION: SelectionMethod = "margin"
"""How images to label next are chosen."""
GROUP_SEVERITY = 3
"""Severity of corruptions, 1 to 5, at which the worst group is searched."""
SEED = 0
"""Seed of random numbers."""
DRAWS = 10_000
"""Random permutations for the largest gap, where the exact test is too large."""
REPAIR_MARGIN = 0.05
"""Largest loss of overall accuracy that a repair may cost."""
SLICE_CLUSTERS = 8
"""Clusters of features among the columns that are searched for slices."""
MIN_CELL_SIZE = 5
"""Fewest images that a cell of exported counts may show."""
MIN_GROUP_SIZE = 20
"""Smaller groups get no rate, no test and no verdict."""
MAX_INTERSECTION_ORDER = 2
"""Most columns of an intersection."""

HEADS_WITHOUT_CLASS_WEIGHTS: tuple[HeadKind, ...] = ("lda", "knn")
MOST_HEAD_IMAGES: dict[HeadWord, int] = {"svm": 10_000}
"""Training images that a kind of head takes at most. Cross-validation of the SVM holds four kernels of all pairs of
images in double precision: 3.2 GB at 10,000."""
