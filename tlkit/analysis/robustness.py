"""`robustness`: a run's accuracy under changes of light, blur, noise, compression, geometry, occlusion, weather."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from tlkit.analysis.corruption_figures import PairedImages, corruption_results
from tlkit.audit.groups.group_columns import By
from tlkit.choices import BATCH_SIZE, GROUP_SEVERITY
from tlkit.data.augment.corruption_kinds import SEVERITIES, corruption_names
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.errors import DataError, RunError
from tlkit.evaluation.clustered_figures import units_of
from tlkit.evaluation.robustness_report import RobustnessReport
from tlkit.inference.corrupted_images import predict_corrupted
from tlkit.inference.predictor import load_predictor
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions import Joinable
from tlkit.runs.assess_split import warn_trained_on
from tlkit.runs.run import Run, open_run
from tlkit.runs.run_options import options_of_run, with_all_columns
from tlkit.runs.stored_measurements import store_robustness
from tlkit.stats.paired import detectable_paired_difference

logger = logging.getLogger(__name__)

DISCORDANT = 0.1
"""Share of images that change sides, for which the smallest loss that can be found is stated."""


@with_notebook_bar("predicting corrupted images")
def robustness(
    run: Run | str | Path,
    corruptions: Sequence[str] | None = None,
    *,
    split: str | None = None,
    by: By | Sequence[By] | None = None,
    groups: Joinable | None = None,
    group_severity: int = GROUP_SEVERITY,
    seed: int | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> RobustnessReport:
    """Return the accuracy of a run's model on corrupted copies of a split's images, paired with the clean ones.

    Every image is decoded once. Corruptions apply to the image as the network gets it, at severities 1 to 5; the same
    seed gives the same pixels. Intervals and tests allow for the clusters or matched sets of the recipe's audit; images
    count once each, whatever their weights there. The result is stored with the run, unless it rests on `groups`.

    Args:
        run: a run with a stored model, or its directory.
        corruptions: names; default: all but the slow ones (fog, glass_blur).
        split: test by default, or val where there is no test split.
        by: group columns for the worst group; default: the recipe's `audit.by`, else all that do not look like
            identifiers.
        groups: more group columns, as a CSV file or a table keyed by path, to join.
        group_severity: severity at which the worst group is searched.
        seed: of the corruptions; default: the recipe's.
        device: auto, cpu, cuda or mps.
        batch_size: images per forward pass.
        progress: called with (images done, images in all).

    Raises:
        TlkitError: there is no such run, split, corruption or column, or no image can be read.

    Example:
        >>> report = robustness("runs/pets", ["jpeg"], device="cpu")
        >>> [at.severity for at in report.corruption("jpeg").severities]
        [1, 2, 3, 4, 5]
    """
    names = corruption_names(corruptions)
    if group_severity not in SEVERITIES:
        raise DataError(f"group_severity is {group_severity}. Use 1, 2, 3, 4 or 5.")
    if batch_size < 1:
        raise DataError(f"batch_size is {batch_size}. Use 1 or more.")
    run = run if isinstance(run, Run) else open_run(run)
    split = run.judged_split(split)
    samples = run.samples.split(split)
    if not len(samples):
        raise RunError(f"{run.path} has no images of its {split} split.")
    warn_trained_on(split, run.directory.name)
    seed = run.recipe.seed if seed is None else seed
    predictor = load_predictor(run, device=device)
    decode = DecodeOptions.of(run.recipe.data)
    found = predict_corrupted(
        predictor,
        samples,
        names,
        seed=seed,
        batch_size=batch_size,
        decode_options=decode,
        tolerance=run.recipe.features.tolerance,
        progress=progress,
    )
    clean = found.clean
    if groups is not None:
        clean = clean.with_groups(groups, verbatim=run.recipe.data.verbatim)
    options = with_all_columns(options_of_run(run, by=by or None), clean.groups, level=logging.DEBUG)
    missing = [spec.column for spec in options.columns if spec.column not in clean.group_columns]
    if missing:
        raise RunError(
            f"{run.path}: there is no group column {missing[0]!r}. There are "
            f"{', '.join(clean.group_columns) or 'none'}; join others with --groups FILE."
        )
    column = run.recipe.audit.pair_by or run.recipe.audit.cluster_by
    units = units_of(clean.groups, column) if column in clean.group_columns else None
    results = corruption_results(clean, found.corrupted, units=units, options=options, group_severity=group_severity)
    report = RobustnessReport(
        run=run.directory.name,
        split=split,
        n=len(clean),
        clean=PairedImages(clean.correct, units, options.confidence).rate(clean.correct),
        corruptions=results,
        tests=sum(at.p is not None for one in results for at in one.severities),
        alpha=options.alpha,
        tolerance=options.tolerance,
        detectable=None
        if units is not None
        else detectable_paired_difference(len(clean), DISCORDANT, alpha=options.alpha),
        columns=options.by,
        min_group_size=options.min_group_size,
        group_severity=group_severity,
        clusters=(column or "") if units is not None else "",
        trained_on=split == "train",
        seed=seed,
        confidence=options.confidence,
    )
    if groups is None:
        store_robustness(run.directory, report)
    return report
