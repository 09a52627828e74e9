"""`audit_labels`: which of a run's labels look wrong, from the features of its images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from tlkit.analysis.label_audit import LabelAudit
from tlkit.analysis.label_issues import find_label_issues
from tlkit.analysis.run_probes import read_features
from tlkit.choices import HeadKind
from tlkit.data.checks.duplicates import find_duplicates
from tlkit.data.checks.image_check import check_images
from tlkit.errors import DataError, did_you_mean
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Progress
from tlkit.runs.run import Run, open_run
from tlkit.samples import SPLITS, Samples

logger = logging.getLogger(__name__)


def audit_labels(
    run: Run | str | Path,
    *,
    splits: Sequence[str] | None = None,
    head: HeadKind = "logistic",
    folds: int = 5,
    repeats: int = 1,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> LabelAudit:
    """Find the labels of a run's images that look wrong, most doubtful first; nothing is changed.

    Each image is judged by a head on cached features that has not learnt from it, and by its nearest neighbors; all
    images are read once more, so that pictures that occur twice stay in one fold. Give a run with a frozen backbone:
    one that was fine-tuned has learnt the labels of its training images, wrong ones included.

    Args:
        run: a run or its directory.
        splits: which of its images, audited together; default: all of them.
        head: kind of the head.
        folds: how many.
        repeats: how many times to deal the folds anew for the head; probabilities are averaged.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images read, images in all).

    Raises:
        TlkitError: there is no such run or split, it has no stored model, or its images are too few.

    Example:
        >>> audit = audit_labels("runs/pets")  # doctest: +SKIP
        >>> print(audit.tables()[0].notes[0])  # doctest: +SKIP
        16 of 398 images look like another class than the label says: wrongly labelled, or only hard to tell. 1 stands …
    """
    run = run if isinstance(run, Run) else open_run(run)
    chosen = _splits(run, splits)
    features, samples, groups = read_features(run, chosen, embedding=embedding)
    features = features.of(samples.paths)
    recipe = run.recipe
    notes = []
    if recipe.strategy.kind != "frozen":
        notes.append(
            f"The backbone of {run.directory.name} was fine-tuned (strategy: {recipe.strategy.kind}) and has learnt "
            "the labels of its training images, wrong ones included, so fewer are found. Better audit a run with "
            "strategy: frozen."
        )
        logger.warning("%s", notes[0])
    return find_label_issues(
        features.x,
        samples.targets,
        classes=samples.classes,
        paths=features.path.tolist(),
        splits=samples.table["split"].tolist(),
        digests=features.digest.tolist(),
        head=head,
        folds=folds,
        repeats=repeats,
        seed=recipe.seed,
        groups=groups,
        duplicates=_same_pictures(samples, recipe.data.max_pixels, progress),
        confidence=recipe.evaluate.confidence,
        notes=notes,
    )


def _splits(run: Run, splits: Sequence[str] | None) -> tuple[str, ...]:
    held = set(run.samples.table["split"])
    there = tuple(name for name in SPLITS if name in held)
    unknown = [name for name in splits or () if name not in there]
    if unknown:
        raise DataError(
            f"{run.path} has no images in {unknown[0]!r}.{did_you_mean(unknown[0], there)} It has {', '.join(there)}."
        )
    return tuple(splits) if splits else there


def _same_pictures(samples: Samples, max_pixels: int, progress: Progress | None) -> list[list[int]]:
    """Return the rows that show the same picture: copies, also saved again, scaled or mirrored."""
    checked = check_images(samples, max_pixels=max_pixels, progress=progress)
    row_of = {path: row for row, path in enumerate(samples.table["path"])}
    rows = [row_of[path] for path in checked.samples.table["path"]]
    return [[rows[place] for place in group] for group in find_duplicates(checked.fingerprints).groups]
