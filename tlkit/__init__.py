"""Transfer learning for image classifiers you can trust.

One pass through a pretrained backbone buys a classifier, an evaluation with error bars and an audit across subgroups.
Names are loaded when first used, so that `import tlkit` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlkit.audit.audit import Audit, audit_groups
    from tlkit.data.datamodule import ImageFolderDataModule
    from tlkit.errors import TlkitError
    from tlkit.evaluation.evaluation import Evaluation, evaluate
    from tlkit.features.features import Features
    from tlkit.features.label_audit import LabelAudit
    from tlkit.models.classifier import Classifier
    from tlkit.pipeline.fit import fit
    from tlkit.pipeline.inference.embed import embed
    from tlkit.pipeline.inference.predictor import Predictor, load_model
    from tlkit.pipeline.judging.gate import gate
    from tlkit.pipeline.judging.judge import Run, open_run
    from tlkit.pipeline.questions.advise import advise
    from tlkit.pipeline.questions.doctor import data_doctor
    from tlkit.pipeline.questions.labels import audit_labels
    from tlkit.pipeline.questions.probing import learning_curve
    from tlkit.pipeline.questions.repair import repair
    from tlkit.pipeline.questions.slices import find_slices
    from tlkit.predictions import Predictions, read_predictions
    from tlkit.preprocess import Preprocess
    from tlkit.recipe import Recipe, load_recipe
    from tlkit.samples import Samples

__version__ = "0.1.0"

_HOMES = {
    "Audit": "tlkit.audit.audit",
    "Classifier": "tlkit.models.classifier",
    "Evaluation": "tlkit.evaluation.evaluation",
    "Features": "tlkit.features.features",
    "ImageFolderDataModule": "tlkit.data.datamodule",
    "LabelAudit": "tlkit.features.label_audit",
    "Predictions": "tlkit.predictions",
    "Predictor": "tlkit.pipeline.inference.predictor",
    "Preprocess": "tlkit.preprocess",
    "Recipe": "tlkit.recipe",
    "Run": "tlkit.pipeline.judging.judge",
    "Samples": "tlkit.samples",
    "TlkitError": "tlkit.errors",
    "advise": "tlkit.pipeline.questions.advise",
    "audit_groups": "tlkit.audit.audit",
    "audit_labels": "tlkit.pipeline.questions.labels",
    "data_doctor": "tlkit.pipeline.questions.doctor",
    "embed": "tlkit.pipeline.inference.embed",
    "evaluate": "tlkit.evaluation.evaluation",
    "find_slices": "tlkit.pipeline.questions.slices",
    "fit": "tlkit.pipeline.fit",
    "gate": "tlkit.pipeline.judging.gate",
    "learning_curve": "tlkit.pipeline.questions.probing",
    "load_model": "tlkit.pipeline.inference.predictor",
    "load_recipe": "tlkit.recipe",
    "open_run": "tlkit.pipeline.judging.judge",
    "read_predictions": "tlkit.predictions",
    "repair": "tlkit.pipeline.questions.repair",
}

__all__ = [
    "Audit",
    "Classifier",
    "Evaluation",
    "Features",
    "ImageFolderDataModule",
    "LabelAudit",
    "Predictions",
    "Predictor",
    "Preprocess",
    "Recipe",
    "Run",
    "Samples",
    "TlkitError",
    "__version__",
    "advise",
    "audit_groups",
    "audit_labels",
    "data_doctor",
    "embed",
    "evaluate",
    "find_slices",
    "fit",
    "gate",
    "learning_curve",
    "load_model",
    "load_recipe",
    "open_run",
    "read_predictions",
    "repair",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tlkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
