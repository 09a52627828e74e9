"""Transfer learning for image classifiers: fine-tuning by a recipe, evaluation with error bars, audits across groups.

Names are imported at first use, so that `import tlkit` loads no other package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlkit.analysis.advise import advise
    from tlkit.analysis.audit_labels import audit_labels
    from tlkit.analysis.data_doctor import data_doctor
    from tlkit.analysis.drift import drift
    from tlkit.analysis.explain_images import explain_images
    from tlkit.analysis.find_errors import find_errors
    from tlkit.analysis.find_slices import find_slices
    from tlkit.analysis.find_unknown import find_unknown
    from tlkit.analysis.label_audit import LabelAudit
    from tlkit.analysis.label_next import label_next
    from tlkit.analysis.repair import repair
    from tlkit.analysis.robustness import robustness
    from tlkit.analysis.run_analyses import learning_curve
    from tlkit.analysis.run_plots import (
        plot_confusion,
        plot_feature_maps,
        plot_filters,
        plot_map,
        plot_suspects,
        plot_top_losses,
        show_batch,
    )
    from tlkit.audit.audit import Audit, audit_groups
    from tlkit.data.dataset_source import Source
    from tlkit.data.decode.decode_options import DecodeOptions
    from tlkit.data.loading.datamodule import ImageFolderDataModule
    from tlkit.data.splits.hold_out import SplitPlan
    from tlkit.errors import TlkitError
    from tlkit.evaluation.evaluation import Evaluation, evaluate
    from tlkit.features.features import Features
    from tlkit.inference.embed import embed
    from tlkit.inference.embed_options import EmbedOptions
    from tlkit.inference.export.export_run import export_run
    from tlkit.inference.export.verify_run import verify_run
    from tlkit.inference.load_model import load_model
    from tlkit.inference.predictor import Predictor
    from tlkit.models.classifier import Classifier
    from tlkit.predictions import Predictions, read_predictions
    from tlkit.preprocess import Preprocess
    from tlkit.recipe import Recipe, load_recipe
    from tlkit.runs.gate_run import gate
    from tlkit.runs.run import Run, open_run
    from tlkit.samples import Samples
    from tlkit.sweeps.sweep import run_sweep
    from tlkit.training.fit import fit
    from tlkit.training.push_run import push_run

__version__ = "0.1.0"

_MODULES = {
    "Audit": "tlkit.audit.audit",
    "Classifier": "tlkit.models.classifier",
    "DecodeOptions": "tlkit.data.decode.decode_options",
    "EmbedOptions": "tlkit.inference.embed_options",
    "Evaluation": "tlkit.evaluation.evaluation",
    "Features": "tlkit.features.features",
    "ImageFolderDataModule": "tlkit.data.loading.datamodule",
    "LabelAudit": "tlkit.analysis.label_audit",
    "Predictions": "tlkit.predictions",
    "Predictor": "tlkit.inference.predictor",
    "Preprocess": "tlkit.preprocess",
    "Recipe": "tlkit.recipe",
    "Run": "tlkit.runs.run",
    "Samples": "tlkit.samples",
    "Source": "tlkit.data.dataset_source",
    "SplitPlan": "tlkit.data.splits.hold_out",
    "TlkitError": "tlkit.errors",
    "advise": "tlkit.analysis.advise",
    "audit_groups": "tlkit.audit.audit",
    "audit_labels": "tlkit.analysis.audit_labels",
    "data_doctor": "tlkit.analysis.data_doctor",
    "drift": "tlkit.analysis.drift",
    "embed": "tlkit.inference.embed",
    "evaluate": "tlkit.evaluation.evaluation",
    "explain_images": "tlkit.analysis.explain_images",
    "export_run": "tlkit.inference.export.export_run",
    "find_errors": "tlkit.analysis.find_errors",
    "find_slices": "tlkit.analysis.find_slices",
    "find_unknown": "tlkit.analysis.find_unknown",
    "fit": "tlkit.training.fit",
    "gate": "tlkit.runs.gate_run",
    "label_next": "tlkit.analysis.label_next",
    "learning_curve": "tlkit.analysis.run_analyses",
    "load_model": "tlkit.inference.load_model",
    "load_recipe": "tlkit.recipe",
    "open_run": "tlkit.runs.run",
    "plot_confusion": "tlkit.analysis.run_plots",
    "plot_feature_maps": "tlkit.analysis.run_plots",
    "plot_filters": "tlkit.analysis.run_plots",
    "plot_map": "tlkit.analysis.run_plots",
    "plot_suspects": "tlkit.analysis.run_plots",
    "plot_top_losses": "tlkit.analysis.run_plots",
    "push_run": "tlkit.training.push_run",
    "read_predictions": "tlkit.predictions",
    "repair": "tlkit.analysis.repair",
    "robustness": "tlkit.analysis.robustness",
    "run_sweep": "tlkit.sweeps.sweep",
    "show_batch": "tlkit.analysis.run_plots",
    "verify_run": "tlkit.inference.export.verify_run",
}

__all__ = [
    "Audit",
    "Classifier",
    "DecodeOptions",
    "EmbedOptions",
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
    "Source",
    "SplitPlan",
    "TlkitError",
    "__version__",
    "advise",
    "audit_groups",
    "audit_labels",
    "data_doctor",
    "drift",
    "embed",
    "evaluate",
    "explain_images",
    "export_run",
    "find_errors",
    "find_slices",
    "find_unknown",
    "fit",
    "gate",
    "label_next",
    "learning_curve",
    "load_model",
    "load_recipe",
    "open_run",
    "plot_confusion",
    "plot_feature_maps",
    "plot_filters",
    "plot_map",
    "plot_suspects",
    "plot_top_losses",
    "push_run",
    "read_predictions",
    "repair",
    "robustness",
    "run_sweep",
    "show_batch",
    "verify_run",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tlkit' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
