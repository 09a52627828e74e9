"""The section `tracking` of a recipe: Weights & Biases, MLflow or TensorBoard."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tlkit.choices import TrackerKind, TrackerMode
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class TrackingSection(Section):
    """Tracking of the run in Weights & Biases, MLflow or TensorBoard, in addition to its directory."""

    kind: TrackerKind = Field(
        "none", description="none; wandb for Weights & Biases; mlflow, or tensorboard (extra: trackers)."
    )
    mode: TrackerMode = Field(
        "auto", description="auto = online where W&B has a key, or MLFLOW_TRACKING_URI is set; else offline."
    )
    project: Annotated[v.Text, Expected("the name of a project", text=True)] = Field(
        "tlkit", description="W&B project or MLflow experiment."
    )
    entity: Annotated[v.OptionalText, Expected("a W&B user or team, or null for your own", text=True)] = Field(
        None, description="W&B user or team; null = the logged-in user's own."
    )
    tags: Annotated[v.Names, Expected("a list of tags, such as [baseline, frozen]")] = Field(
        (), description="Tags of the run."
    )
    group: Annotated[v.OptionalText, Expected("the name of a group of runs, or null for none", text=True)] = Field(
        None,
        description="Group that the tracker shows this run in, such as the seeds of one experiment; null = none, for "
        "folds the name without its number.",
    )
    job_type: Annotated[v.OptionalText, Expected("a word such as fold-1, or null for none", text=True)] = Field(
        None, description="W&B job type of the run within its group, such as fold-1."
    )
    phase_runs: v.Switch = Field(
        False,
        description="W&B: record each phase of the strategy as a run of its own, too, in the group (or one named "
        "after the run).",
    )
    log_images: v.Whole = Field(
        48,
        description="Most thumbnails of predictions of each split: half the most confident errors, half spread over "
        "all confidences; 0 = no image leaves the run.",
    )
    log_audit: v.Switch = Field(
        False, description="Store the audit's table, with names and rates of groups but no image's group."
    )
    log_model: v.Switch = Field(True, description="Store the finished model as an artifact.")
    log_report: v.Switch = Field(
        True,
        description="Store the report as a page and artifact, without example images and their paths; needs "
        "`report.enabled`.",
    )
