"""`RunContents`: all that the report and the model card of a run show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.audit.audit_result import Audit
    from tlkit.audit.error_examples import GroupImages
    from tlkit.audit.explanation import Explanation
    from tlkit.audit.heat_maps import ImageHeatMap
    from tlkit.audit.repair_result import Repair
    from tlkit.audit.slices.slice_report import SliceReport
    from tlkit.evaluation import Evaluation
    from tlkit.evaluation.drift_report import DriftReport
    from tlkit.evaluation.label_next_result import LabelNext
    from tlkit.evaluation.robustness_report import RobustnessReport
    from tlkit.evaluation.unknown_report import UnknownReport
    from tlkit.exported.bench import Benchmark
    from tlkit.uncertainty.confidence_report import ConfidenceReport


@dataclass(frozen=True)
class ReportImages:
    """Example images of a report.

    Attributes:
        groups: images of the groups that fail in the audit.
        worst: the wrong images of all groups; None if other examples are shown.
        thumbnails: small JPEGs, base64, by path.
        without_thumbnails: why there are none; "" = there are, or none is needed.
        heat: where in an image the model looked, by path.
        heat_method: how that was found, such as "grad_cam"; "" without heat maps.
    """

    groups: tuple[GroupImages, ...] = ()
    worst: GroupImages | None = None
    thumbnails: Mapping[str, str] = field(default_factory=dict)
    without_thumbnails: str = ""
    heat: Mapping[str, ImageHeatMap] = field(default_factory=dict)
    heat_method: str = ""


@dataclass(frozen=True, eq=False)
class RunContents:
    """A run with its results for one split. Its card shows no history, explanation, confidence, repair or images.

    The card shows no robustness, drift, images to label and speed either.

    Attributes:
        title: heading of the page, name of the model.
        recipe_text: the resolved recipe, YAML.
        environment: versions, device, dataset fingerprint, weights and their licence; may be nested.
        counts: images per class (rows) and split (columns), as `Samples.counts()` gives them.
        split: the assessed split.
        evaluation: its evaluation.
        audit: its audit; None without groups.
        history: one row per epoch, as in metrics.csv; None where nothing was trained here.
        explanation: the explanation of the gaps; None without groups.
        repair: the repair of the head; None if there is none.
        confidence: calibration, abstention and prediction sets; None without probabilities or labels.
        robustness: accuracy under corruptions; None if it was not measured.
        unknown: the threshold for unknown images; None if there is none.
        drift: comparisons with new images, by the name of the images; empty if there are none.
        label_next: images to label next, by the name of the unlabelled images; empty if nobody asked.
        speed: benchmarks, by processor; empty if there are none.
        images: its example images.
        slices: its slices; None if they were not searched for.
        group_columns: columns that the predictions carry.
        excluded: path and reason of each file that could not be read.
        leaks: assessed images with duplicates in an earlier split, as `Run.leaks` gives them; None if not checked.
        kept_epochs: epochs whose weights the model has, as `epoch` of the history names them; empty = not known.
        notes: further sentences for the reader, such as warnings about licences.
        attribution: attribution of the images.
        chose_epoch: whether the split was used for model selection.
        unread: a sentence for each stored result that could not be read, with its file and the remedy.
    """

    title: str
    recipe_text: str
    environment: Mapping[str, Any]
    counts: pd.DataFrame
    split: str
    evaluation: Evaluation
    audit: Audit | None
    history: pd.DataFrame | None = None
    explanation: Explanation | None = None
    repair: Repair | None = None
    confidence: ConfidenceReport | None = None
    robustness: RobustnessReport | None = None
    unknown: UnknownReport | None = None
    drift: Mapping[str, DriftReport] = field(default_factory=dict)
    label_next: Mapping[str, LabelNext] = field(default_factory=dict)
    speed: Mapping[str, Benchmark] = field(default_factory=dict)
    images: ReportImages = ReportImages()
    slices: SliceReport | None = None
    group_columns: Sequence[str] = ()
    excluded: Sequence[tuple[str, str]] = ()
    leaks: pd.DataFrame | None = None
    kept_epochs: Sequence[int] = ()
    notes: Sequence[str] = ()
    attribution: str | None = None
    chose_epoch: bool = False
    unread: Sequence[str] = ()
