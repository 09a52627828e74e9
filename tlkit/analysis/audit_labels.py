"""`audit_labels`: finds probable label errors in a run's images, from their features."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tlkit.analysis.label_audit import LabelAudit
from tlkit.analysis.label_audit_tables import fine_tuned_sentence
from tlkit.analysis.label_issues import find_label_issues
from tlkit.analysis.run_analyses import load_run_features, measured_accuracy
from tlkit.choices import FOLDS, HEAD, REPEATS, HeadKind
from tlkit.errors import DataError, RunError, did_you_mean, other_task
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Progress
from tlkit.runs.run import Run, open_run
from tlkit.samples import SPLITS, Samples
from tlkit.stats.connected_components import connected_components

logger = logging.getLogger(__name__)


def audit_labels(
    run: Run | str | Path,
    *,
    splits: str | Sequence[str] | None = None,
    head: HeadKind = HEAD,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> LabelAudit:
    """Return the images of a run whose labels are probably wrong, most doubtful first; nothing is changed.

    The evidence is the out-of-fold prediction of a head on cached features, and the labels of the nearest neighbors.
    Copies and near duplicates, as the run's fit found them, share a fold. Use a run with a frozen backbone: one that
    was fine-tuned has learned the labels of its training images, wrong ones included.

    Args:
        run: a run or its directory.
        splits: the split or splits of its images, audited together; default: all of them.
        head: kind of the head.
        folds: how many.
        repeats: how many times to deal the folds anew for the head; probabilities are averaged.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those whose features are not in the cache.

    Raises:
        TlkitError: there is no such run or split, it has no stored model, or its images are too few.

    Example:
        >>> audit = audit_labels("runs/pets")
        >>> [suspect.path for suspect in audit.suspects]
        []
    """
    run = run if isinstance(run, Run) else open_run(run)
    if run.task != "multiclass":
        raise RunError(other_task(str(run.path), run.task))
    chosen = splits_of(run, (splits,) if isinstance(splits, str) else splits)
    features, samples, bound = load_run_features(run, chosen, embedding=embedding, progress=progress)
    recipe = run.recipe
    name, strategy = run.directory.name, recipe.strategy.kind
    if strategy != "frozen":
        logger.warning("%s", fine_tuned_sentence(name, strategy))
    found = find_label_issues(
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
        groups=bound,
        duplicates=copies_of(samples, run.alike),
        confidence=recipe.evaluate.confidence,
    )
    return replace(found, run=name, strategy=strategy, measured=measured_accuracy(run))


def splits_of(run: Run, splits: Sequence[str] | None) -> tuple[str, ...]:
    """Return the splits to audit: the given ones, else all of a run.

    Raises:
        DataError: the run has no images in one.
    """
    present = set(run.samples.table["split"])
    known = tuple(name for name in SPLITS if name in present)
    unknown = [name for name in splits or () if name not in known]
    if unknown:
        raise DataError(
            f"{run.path} has no images in {unknown[0]!r}.{did_you_mean(unknown[0], known)} It has {', '.join(known)}."
        )
    return tuple(splits) if splits else known


def copies_of(samples: Samples, alike: pd.DataFrame) -> list[list[int]]:
    """Return sets of rows that show the same picture."""
    row_of = {path: row for row, path in enumerate(samples.table["path"])}
    pairs = zip(alike["path"], alike["other"], alike["is_copy"], strict=True)
    joined = [
        (row_of[one], row_of[other]) for one, other, is_copy in pairs if is_copy and {one, other} <= row_of.keys()
    ]
    sets: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(connected_components(len(samples), joined).tolist()):
        sets[number].append(row)
    return [rows for rows in sets.values() if len(rows) > 1]
