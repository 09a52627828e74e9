"""Transfer learning for image classifiers: fine-tuning by a recipe, evaluation with error bars, audits across groups.

Here are the functions of a user, and the classes that one builds or catches. Types of results and arguments are public
in their packages: `tlkit.analysis`, `tlkit.audit`, `tlkit.data`, `tlkit.evaluation`, `tlkit.features`,
`tlkit.inference`, `tlkit.preprocess`, `tlkit.recipe`, `tlkit.samples`.

Names are imported at first use, so that `import tlkit` loads no other package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.lazy_names import lazy_names

if TYPE_CHECKING:
    from tlkit.analysis.advise import advise
    from tlkit.analysis.audit_labels import audit_labels
    from tlkit.analysis.data_doctor import data_doctor
    from tlkit.analysis.drift import drift
    from tlkit.analysis.explain_images import explain_images
    from tlkit.analysis.find_errors import find_errors
    from tlkit.analysis.find_slices import find_slices
    from tlkit.analysis.find_unknown import find_unknown
    from tlkit.analysis.label_next import label_next
    from tlkit.analysis.repair import repair
    from tlkit.analysis.robustness import robustness
    from tlkit.analysis.run_analyses import learning_curve
    from tlkit.analysis.run_plots import plot_confusion, plot_top_losses, show_batch
    from tlkit.analysis.zero_shot import zero_shot
    from tlkit.audit.audit import audit_groups
    from tlkit.data.loading.datamodule import ImageFolderDataModule
    from tlkit.errors import TlkitError
    from tlkit.evaluation.evaluation import evaluate
    from tlkit.inference.embed import embed
    from tlkit.inference.export.export_run import export_run
    from tlkit.inference.load_model import load_model
    from tlkit.models.classifier import Classifier
    from tlkit.predictions import Predictions, read_predictions
    from tlkit.recipe import load_recipe
    from tlkit.runs.gate_run import gate
    from tlkit.runs.run import Run, open_run
    from tlkit.sweeps.sweep import run_sweep
    from tlkit.training.fit import fit
    from tlkit.training.push_run import push_run

__version__ = "0.1.0"

_MODULES = {
    "Classifier": "tlkit.models.classifier",
    "ImageFolderDataModule": "tlkit.data.loading.datamodule",
    "Predictions": "tlkit.predictions",
    "Run": "tlkit.runs.run",
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
    "plot_top_losses": "tlkit.analysis.run_plots",
    "push_run": "tlkit.training.push_run",
    "read_predictions": "tlkit.predictions",
    "repair": "tlkit.analysis.repair",
    "robustness": "tlkit.analysis.robustness",
    "run_sweep": "tlkit.sweeps.sweep",
    "show_batch": "tlkit.analysis.run_plots",
    "zero_shot": "tlkit.analysis.zero_shot",
}

__all__ = [
    "Classifier",
    "ImageFolderDataModule",
    "Predictions",
    "Run",
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
    "plot_top_losses",
    "push_run",
    "read_predictions",
    "repair",
    "robustness",
    "run_sweep",
    "show_batch",
    "zero_shot",
]


__getattr__ = lazy_names("tlkit", _MODULES)


def __dir__() -> list[str]:
    return __all__
