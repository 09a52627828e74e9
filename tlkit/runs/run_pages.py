"""What the report and the model card of a run show. Needs no torch."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.audit.error_examples import GroupImages, Neighbors, worst_images
from tlkit.audit.heat_maps import HeatMaps, ImageHeatMap
from tlkit.audit.repair_tables import origin_sentence
from tlkit.audit.slices.slice_report import SliceReport
from tlkit.data.checks.thumbnails import draw_thumbnails
from tlkit.errors import RunError, first_few
from tlkit.features.heads.head_tables import facts_sentence
from tlkit.models.model_format import FACTS_FILE
from tlkit.output_files import require_writable
from tlkit.predictions import Predictions
from tlkit.render.report import ReportImages, RunContents
from tlkit.runs.assess_split import chose_epoch
from tlkit.runs.run_tables import kept_epochs
from tlkit.runs.run_uncertainty import scaling_of, val_predictions
from tlkit.runs.stored_measurements import read_measurements
from tlkit.uncertainty.confidence_report import ConfidenceReport, assess_confidence

if TYPE_CHECKING:
    from tlkit.runs.run import Run

logger = logging.getLogger(__name__)

LARGE = 240
"""Pixels per side of the images that a report is about; their nearest images have 96."""
BYTES = 3_200_000
"""Most bytes of all thumbnails of a page, as text: with figures and tables of 1,000 classes it stays below 5 MB."""


def contents_for_card(run: Run, split: str | None = None) -> RunContents:
    """Return what the model card of a stored run shows of a split, computing missing evaluations and audits.

    Raises:
        RunError: the run has no predictions for it, or the card cannot be written.
    """
    require_writable({"The card": run.directory.card}, error=RunError)
    split, recipe, directory = run.judged_split(split), run.recipe, run.directory
    model = directory.model / FACTS_FILE
    head = directory.read_model_facts().get("head", {})
    environment = run.environment
    with directory.damaged(model if head else directory.environment):
        notes = notes_of(environment, head, interrupted=run.status == "interrupted")
    return RunContents(
        title=recipe.report.title or recipe.name,
        recipe_text=directory.recipe.read_text(encoding="utf-8", errors="replace"),
        environment=environment,
        counts=run.samples.counts(),
        split=split,
        evaluation=run.evaluation(split),
        audit=run.get_audit(split),
        slices=run.get_slices(split),
        group_columns=run.predictions(split).group_columns,
        excluded=run.excluded,
        leaks=run.leaks.query("split == @split"),
        kept_epochs=kept_epochs(directory, run.history, monitor=recipe.train.monitor),
        notes=notes,
        attribution=read_attribution(directory.attribution),
        chose_epoch=chose_epoch(split, run.history),
    )


def contents_for_report(run: Run, split: str | None = None) -> RunContents:
    """Return what the report of a stored run shows of a split: that of its card, images, explanation and history.

    Raises:
        RunError: the run has no predictions for it, or the report cannot be written.
    """
    require_writable({"The report": run.directory.report}, error=RunError)
    split = run.judged_split(split)
    card, measured = contents_for_card(run, split), read_measurements(run.directory, split)
    images = report_images(
        run.predictions(split),
        run.audit_images(split=split) if run.recipe.audit.by else (),
        card.slices,
        root=run.samples.root,
        most=run.recipe.report.thumbnails,
        neighbors=measured.neighbors,
        heat=measured.heat,
    )
    return replace(
        card,
        images=images,
        explanation=run.get_explanation(split),
        confidence=confidence_of(run, split),
        repair=run.repair,
        history=run.history,
        robustness=measured.robustness,
        unknown=measured.unknown,
        drift=measured.drift,
        label_next=measured.label_next,
        speed=measured.speed,
        unread=measured.unread,
    )


def confidence_of(run: Run, split: str) -> ConfidenceReport | None:
    """Return calibration, abstention and prediction sets of a split; None without probabilities or labels."""
    return assess_confidence(
        run.predictions(split),
        val=val_predictions(run, judged=split),
        scaling=scaling_of(run.directory),
        confidence=run.recipe.evaluate.confidence,
        tolerance=run.recipe.audit.tolerance,
        cluster_by=run.recipe.audit.pair_by or run.recipe.audit.cluster_by,
        chose_epoch=chose_epoch("val", run.history),
    )


def report_images(
    predictions: Predictions,
    groups: tuple[GroupImages, ...],
    slices: SliceReport | None,
    *,
    root: Path,
    most: int,
    neighbors: Neighbors | None = None,
    heat: HeatMaps | None = None,
) -> ReportImages:
    """Return the images of a report with their thumbnails: of failing groups, of slices, and the worst of all.

    Args:
        predictions: of the assessed split.
        groups: images of the groups that fail in the audit.
        slices: the slices; None if they were not searched for.
        root: folder of the images.
        most: at most so many thumbnails; none of heat maps where it is 0.
        neighbors: nearest images by features; None = not known.
        heat: where in images the model looked; None = not known.
    """
    shown = (*groups, *((one.images for one in slices.confirmed if one.images) if slices else ()))
    worst = worst_images(predictions, neighbors=neighbors)
    shown = (*shown, worst)
    paths = list(dict.fromkeys(path for one in shown for path in one.paths))
    thumbnails: dict[str, str] = {}
    without = ""
    if paths and most == 0:
        without = "The recipe asks for no thumbnails (report.thumbnails: 0), so paths are shown instead."
    elif paths:
        near = {near.path for one in shown for image in (*one.wrong, *one.close) for near in image.near}
        large = draw_thumbnails(root, (p for p in paths if p not in near), side=LARGE, most=most, most_bytes=BYTES)
        small = draw_thumbnails(root, (p for p in paths if p in near), most=most - len(large), most_bytes=BYTES)
        thumbnails = _within(large | small, Counter(_shown_paths(shown)))
        if not thumbnails:
            logger.warning("None of the images to show is at %s any more: the report shows their paths instead.", root)
            without = f"The images are no longer at {root}, so paths are shown instead of thumbnails."
    maps = _heat_within(heat, Counter(_shown_paths(shown)), BYTES - _size_of(thumbnails, shown)) if most else {}
    return ReportImages(groups, worst, thumbnails, without, maps, heat.method if heat and maps else "")


def _size_of(thumbnails: Mapping[str, str], shown: Iterable[GroupImages]) -> int:
    uses = Counter(_shown_paths(shown))
    return sum(len(data) * uses.get(path, 1) for path, data in thumbnails.items())


def _heat_within(heat: HeatMaps | None, uses: Mapping[str, int], most_bytes: int) -> dict[str, ImageHeatMap]:
    """Return the heat maps of images that are shown, as many as take no more bytes in the page."""
    kept, size = {}, 0
    for path, one in heat.images.items() if heat else ():
        size += len(one.picture) * uses.get(path, 0)
        if size > most_bytes:
            break
        if path in uses:
            kept[path] = one
    return kept


def _shown_paths(shown: Iterable[GroupImages]) -> Iterator[str]:
    """Yield the path of each picture of a report, as often as it is shown."""
    for one in shown:
        for image in (*one.wrong, *one.close):
            yield image.path
            yield from (near.path for near in image.near)


def _within(thumbnails: Mapping[str, str], uses: Mapping[str, int]) -> dict[str, str]:
    """Return the first thumbnails that take no more than `BYTES` in the page, which holds one for each use."""
    kept, size = {}, 0
    for path, data in thumbnails.items():
        size += len(data) * uses.get(path, 1)
        if size > BYTES:
            break
        kept[path] = data
    return kept


def notes_of(environment: Mapping[str, Any], head: Mapping[str, Any], *, interrupted: bool) -> list[str]:
    """Return sentences on the weights, the head and the end of training.

    Args:
        environment: the run's environment, with its weights.
        head: facts of the head, from the stored model's facts.
        interrupted: whether training was interrupted.
    """
    notes = []
    weights = environment.get("weights", {})
    if weights.get("non_commercial"):
        notes.append(f"The backbone's weights are licensed {weights['license']}: no commercial use.")
    if weights.get("source") == "none":
        notes.append("The backbone started from random weights.")
    if origin := environment.get("repair"):
        notes.append(origin_sentence(origin))
    elif head:
        notes.append(facts_sentence(head))
    if changed := environment.get("changed_images"):
        notes.append(
            f"Images that changed after they were checked, so that split.csv has their earlier digests: "
            f"{len(changed)} ({first_few(changed)})."
        )
    if interrupted:
        notes.append("Training was interrupted; these are the best weights up to then.")
    return notes


def read_attribution(path: Path) -> str | None:
    """Return the attribution of the images in a file; None where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
