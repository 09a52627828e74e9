"""Learning curve and out-of-fold predictions of a run's training images, from cached features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.analysis.learning_curve import learning_curve as curve_of_features
from tlkit.analysis.learning_curve_result import LearningCurve
from tlkit.analysis.out_of_fold import OutOfFold
from tlkit.analysis.out_of_fold import out_of_fold as out_of_fold_of_features
from tlkit.choices import CURVE_REPEATS, FOLDS, HEAD, REPEATS, HeadKind
from tlkit.features.features import Features
from tlkit.features.folds import bound_images
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.embed_run import embed_run
from tlkit.inference.extraction import Progress
from tlkit.runs.run import Run, open_run
from tlkit.runs.run_options import split_groups
from tlkit.samples import Samples
from tlkit.stats.estimate import Estimate


def learning_curve(
    run: Run | str | Path,
    *,
    head: HeadKind = HEAD,
    sizes: tuple[int, ...] | None = None,
    folds: int = FOLDS,
    repeats: int = CURVE_REPEATS,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> LearningCurve:
    """Return the learning curve of a head on a run's training images, by the backbone of its stored model.

    Training images are predicted out of fold; val and test images are not used. The curve of a fine-tuned backbone,
    which has seen all training images, is too optimistic: use a run with a frozen one.

    Args:
        run: a run or its directory.
        head: kind of the head that learns from the features.
        sizes: images per class, at least 2 each; default: 8 sizes up to all images.
        folds: how many.
        repeats: how many times to deal folds and subsets anew.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those that are not in the cache.

    Raises:
        TlkitError: there is no such run, it has no stored model, or its images are too few.

    Example:
        >>> curve = learning_curve("runs/pets", sizes=(4, 8), folds=2, repeats=1)
        >>> [point.per_class for point in curve.points]
        [4, 8]
    """
    run = run if isinstance(run, Run) else open_run(run)
    features, samples, bound = load_run_features(run, ("train",), embedding=embedding, progress=progress)
    return curve_of_features(
        features.x,
        samples.targets,
        classes=samples.classes,
        kind=head,
        sizes=sizes,
        folds=folds,
        repeats=repeats,
        seed=run.recipe.seed,
        keys=features.path.tolist(),
        digests=features.digest.tolist(),
        groups=bound,
        confidence=run.recipe.evaluate.confidence,
        measured=measured_accuracy(run),
    )


def out_of_fold(
    run: Run | str | Path,
    *,
    head: HeadKind = HEAD,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> OutOfFold:
    """Return out-of-fold predictions of a run's training images, by a head on the features of its stored model.

    Args:
        run: a run or its directory; with a frozen backbone, since a fine-tuned one has seen all training images.
        head: kind of the head.
        folds: how many.
        repeats: how many times to deal the folds anew; probabilities are averaged.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those that are not in the cache.

    Raises:
        TlkitError: there is no such run, it has no stored model, or its images are too few.
    """
    run = run if isinstance(run, Run) else open_run(run)
    features, samples, bound = load_run_features(run, ("train",), embedding=embedding, progress=progress)
    return out_of_fold_of_features(
        features.x,
        samples.targets,
        classes=samples.classes,
        paths=features.path.tolist(),
        kind=head,
        folds=folds,
        repeats=repeats,
        seed=run.recipe.seed,
        groups=bound,
        group_table=samples.groups.reset_index(drop=True),
    )


def load_run_features(
    run: Run, splits: Sequence[str], *, embedding: EmbedOptions | None = None, progress: Progress | None = None
) -> tuple[Features, Samples, list[int]]:
    """Return features and samples of some splits' readable images, row for row, and which share a fold."""
    features = embed_run(run, splits=splits, options=embedding, progress=progress)
    samples = run.samples
    kept = samples.table["split"].isin(list(splits)) & samples.table["path"].isin(features.path.tolist())
    table = samples.table[kept].reset_index(drop=True)
    samples = samples.with_table(table)
    features, groups = features.of(samples.paths), split_groups(run, samples)
    bound = bound_images(features.path.tolist(), groups=groups, digests=features.digest.tolist(), alike=run.alike)
    return features, samples, bound


def measured_accuracy(run: Run, split: str = "test") -> Estimate | None:
    """Return the stored accuracy of a run on a split, without leaks where there are some.

    None where there is none, or where the backbone was fine-tuned: it has seen the images that are predicted out of
    fold, so that the two accuracies cannot be compared.
    """
    if split not in run.directory.predicted_splits or run.recipe.strategy.kind != "frozen":
        return None
    evaluation = run.evaluation(split)
    return evaluation.accuracy if evaluation.without_leaks is None else evaluation.without_leaks.accuracy
