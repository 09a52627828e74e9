"""`drift`: compares new images with a run's own by their features, and shows the most foreign ones."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.analysis.run_analyses import load_run_features
from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import ALPHA, MIN_GROUP_SIZE
from tlkit.data.sources.given_images import GivenImages
from tlkit.errors import DataError, RunError, first_few, other_task
from tlkit.evaluation.clustered_figures import clustered_rate
from tlkit.evaluation.drift_report import DriftReport, DriftTest, DriftVerdict, ForeignImage
from tlkit.features.features import Features
from tlkit.features.folds import MOST_ALIKE
from tlkit.features.ood.scores import neighbor_rank, neighbors, unit_length
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.embed_run import embed_with_run
from tlkit.inference.extraction import Progress
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions.joined_tables import paths_in_table, read_joined, with_known_paths
from tlkit.runs.run import Run, open_run
from tlkit.runs.stored_measurements import name_of_images, store_drift
from tlkit.samples import SPLITS
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.connected_components import connected_components
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.nearest_neighbors import iter_nearest_neighbors
from tlkit.stats.two_sample import PERMUTATIONS, classifier_test, mmd_test

logger = logging.getLogger(__name__)

MOST_TESTED = 1500
"""Images of each side that the tests use: their time grows with the square."""
FEWEST_TESTED = 5
"""Units of each side below which no test is made: fewer permutations than 20 for each."""
MOST_FOREIGN = 50
TAIL = 0.05
NEAR_COPY, NEAREST = 0.999, 5
"""Cosine of two images' features from which they count as one unit; how many neighbors of each are compared."""


@dataclass(frozen=True, eq=False)
class _Side:
    """Images of one side with their units."""

    features: Features
    unit: Ints

    @property
    def units(self) -> int:
        return len(np.unique(self.unit))

    def subsampled(self, most: int) -> _Side:
        """Return whole units with about `most` images, those first by the digests of their files."""
        if len(self.unit) <= most:
            return self
        first: dict[int, str] = {}
        for number, digest in zip(self.unit.tolist(), self.features.digest.tolist(), strict=True):
            first[number] = min(first.get(number, digest), digest)
        kept, count, sizes = [], 0, np.bincount(self.unit)
        for number in sorted(first, key=lambda one: (first[one], one)):
            if count and count + sizes[number] > most:
                break
            kept.append(number)
            count += int(sizes[number])
        rows = np.flatnonzero(np.isin(self.unit, kept))
        return _Side(self.features.take(rows), self.unit[rows])


@with_notebook_bar("computing features")
def drift(
    run: Run | str | Path,
    images: GivenImages,
    *,
    reference: str | None = None,
    cluster_by: str | None = None,
    groups: pd.DataFrame | Path | str | None = None,
    alpha: float = ALPHA,
    permutations: int = PERMUTATIONS,
    most: int = MOST_FOREIGN,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> DriftReport:
    """Return whether new images differ from a run's own, by two tests on features, and the most foreign of them.

    Files that are among the reference images are left out. Images of the run that share `data.group_by`, copies and
    near duplicates change sides together; so do new images that share the value of `cluster_by` or look the same. The
    result is stored with the run, under the folder of the new images.

    Args:
        run: a run or its directory.
        images: the new images: paths or folders, as `Predictor.predict` takes them.
        reference: split to compare with. Default: train with a frozen backbone. One that was fine-tuned may tell its
            training images from all others, so test and val are used instead.
        cluster_by: column of `groups` whose values tell which new images belong together, such as the camera burst;
            or "folder", for images of one folder.
        groups: a CSV or Parquet file, or a table, keyed by `path`.
        alpha: chance that drift is found where there is none, in (0, 1).
        permutations: behind each p-value, at least 1/alpha.
        most: how many of the most foreign images to name.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those whose features are not in the cache.

    Raises:
        TlkitError: there is no such run, split or column, it has no stored model, or no new image is left.

    Example:
        >>> drift("runs/pets", "new").verdict
        'DRIFT'
    """
    _require_arguments(alpha, permutations, cluster_by, groups)
    run = run if isinstance(run, Run) else open_run(run)
    if run.task != "multiclass":
        raise RunError(other_task(str(run.path), run.task))
    splits = _reference_splits(run, reference)
    features, samples, bound = load_run_features(run, splits, embedding=embedding, progress=progress)
    given = embed_with_run(run, images, options=embedding, progress=progress)
    new = _new_images(given, known=set(features.digest.tolist()))
    if not len(new):
        raise DataError(f"All {len(given)} images are among those of {run.path}: there is nothing new to compare.")
    own, other = _sides(features, bound, new, _clusters(new, cluster_by, groups))
    seed, confidence = run.recipe.seed, run.recipe.evaluate.confidence
    tested_new, tested_own = other.subsampled(MOST_TESTED), own.subsampled(MOST_TESTED)
    tests: tuple[DriftTest, ...] = ()
    detectable = bandwidth = None
    if min(tested_new.units, tested_own.units) >= FEWEST_TESTED:
        tests, detectable, bandwidth = _tests(
            tested_own, tested_new, permutations=permutations, confidence=confidence, alpha=alpha, seed=seed
        )
    k = neighbor_rank(max(1, len(features) - 1))
    inside, outside, nearest = _distances(own, new, k)
    limit = float(np.quantile(inside, 1 - TAIL)) if len(inside) else np.inf
    beyond = outside > limit
    far = np.lexsort((new.path, -outside))[:most]
    labels = samples.table["label"].tolist()
    report = DriftReport(
        run=run.directory.name,
        reference=" and ".join(splits),
        reference_images=len(features),
        images=len(new),
        copies=len(given) - len(new),
        clusters=(tested_new.units, tested_own.units),
        tested=(len(tested_new.unit), len(tested_own.unit)),
        verdict=_verdict(tests, alpha, least=min(tested_new.units, tested_own.units)),
        tests=tests,
        alpha=alpha,
        least=MIN_GROUP_SIZE,
        detectable=detectable,
        bandwidth=bandwidth,
        permutations=permutations,
        foreign=tuple(
            ForeignImage(
                path=str(new.path[row]),
                distance=round(float(outside[row]), 6),
                tail=float((1 + (inside >= outside[row]).sum()) / (1 + len(inside))),
                nearest=str(features.path[nearest[row]]),
                nearest_label=str(labels[nearest[row]]),
            )
            for row in far.tolist()
        ),
        beyond=_share(beyond, other, confidence),
        distances={"new": outside, "reference": inside},
        k=k,
        confidence=confidence,
        strategy=run.recipe.strategy.kind,
    )
    store_drift(run.directory, name_of_images(given.path.tolist()), report)
    return report


def _require_arguments(
    alpha: float, permutations: int, cluster_by: str | None, groups: pd.DataFrame | Path | str | None
) -> None:
    if not 0 < alpha < 1:
        raise DataError(f"alpha is {alpha:g}. Use a number above 0 and below 1, such as 0.05.")
    if permutations + 1 < 2 / alpha:
        raise DataError(
            f"{permutations} permutations cannot give a corrected p-value of {alpha:g}. Use {round(2 / alpha)} or more."
        )
    if (cluster_by is not None and cluster_by != "folder") != (groups is not None):
        raise DataError(
            "A column of clusters needs a table of it, and a table needs the name of its column: give both groups and "
            'cluster_by, or cluster_by="folder" alone.'
        )


def _reference_splits(run: Run, reference: str | None) -> tuple[str, ...]:
    present = [name for name in SPLITS if name in set(run.samples.table["split"])]
    if reference is not None:
        if reference not in present:
            raise RunError(f"{run.path} has no images in {reference!r}. It has {', '.join(present)}.")
        return (reference,)
    if run.recipe.strategy.kind == "frozen":
        return ("train",)
    held_out = tuple(name for name in present if name != "train")
    if held_out:
        logger.info("The backbone was fine-tuned on train: new images are compared with %s.", " and ".join(held_out))
    return held_out or ("train",)


def _new_images(given: Features, *, known: set[str]) -> Features:
    """Return the images whose files are neither among the reference nor repeated."""
    first = np.sort(np.unique(given.digest, return_index=True)[1])
    return given.take([row for row in first.tolist() if str(given.digest[row]) not in known])


def _clusters(new: Features, cluster_by: str | None, groups: pd.DataFrame | Path | str | None) -> list[str | None]:
    """Return the cluster of each new image; None = it has none."""
    if cluster_by is None:
        return [None] * len(new)
    if cluster_by == "folder":
        return [str(Path(path).parent) for path in new.path.tolist()]
    assert groups is not None, "checked before"
    joined = read_joined(groups)
    source, table = joined.source, joined.columns
    if cluster_by not in table.columns:
        raise DataError(f"{source} has no column {cluster_by!r}. It has {first_few(list(table.columns))}.")
    table = with_known_paths(table, new.path, source=source)
    column = table[cluster_by].reindex(paths_in_table(new.path, table, source=source))
    return [None if pd.isna(value) or value == "" else str(value) for value in column]


def _sides(
    features: Features, bound: Sequence[int], new: Features, clusters: Sequence[str | None]
) -> tuple[_Side, _Side]:
    """Return reference and new images with their units; images of one side whose features are nearly equal share one.

    Where those join more than a tenth of a side into one unit, as the frames of one film do, they bind no images: such
    images need a named cluster.
    """
    links = [_near_copies(features), _near_copies(new)]
    for side, pairs in zip((features, new), links, strict=True):
        if pairs and np.bincount(connected_components(len(side), pairs)).max() > max(2, MOST_ALIKE * len(side)):
            logger.warning(
                "Images with nearly equal features form a chain of more than a tenth of one side: they do not count as "
                "copies. Name what belongs together (data.group_by, --cluster-by), or the p-values are too small."
            )
            links = [[], []]
            break
    named = [_members(bound), _members(clusters)]
    own, other = (
        _Side(side, connected_components(len(side), [*pairs, *members]))
        for side, pairs, members in zip((features, new), links, named, strict=True)
    )
    return own, other


def _near_copies(features: Features) -> list[Sequence[int]]:
    """Return pairs of images whose features have a cosine of at least `NEAR_COPY`."""
    pairs: list[Sequence[int]] = []
    for rows, others, similarity in iter_nearest_neighbors(features.x, apart=np.arange(len(features)), k=NEAREST):
        for i, j in np.argwhere(similarity >= NEAR_COPY).tolist():
            pairs.append((int(rows[i]), int(others[i, j])))
    return pairs


def _members(labels: Sequence[Hashable | None]) -> list[list[int]]:
    """Return the rows of each label."""
    rows: dict[Hashable, list[int]] = {}
    for row, label in enumerate(labels):
        if label is not None:
            rows.setdefault(label, []).append(row)
    return list(rows.values())


def _tests(
    own: _Side, new: _Side, *, permutations: int, confidence: float, alpha: float, seed: int
) -> tuple[tuple[DriftTest, ...], float, float]:
    x = np.concatenate([own.features.x, new.features.x])
    second = np.repeat([False, True], [len(own.unit), len(new.unit)])
    unit = np.concatenate([own.unit, new.unit + int(own.unit.max()) + 1])
    keys = [*own.features.digest.tolist(), *new.features.digest.tolist()]
    by_classifier = classifier_test(
        x, second, keys=keys, unit=unit, permutations=permutations, confidence=confidence, alpha=alpha / 2, seed=seed
    )
    by_kernel = mmd_test(unit_length(x), second, unit=unit, permutations=permutations, seed=seed)
    corrected = holm([by_classifier.p, by_kernel.p])
    mmd2 = Estimate(by_kernel.mmd2, None, None, n=len(x))
    assert corrected[0] is not None and corrected[1] is not None, "both tests have a p-value"
    return (
        (
            DriftTest("classifier", by_classifier.accuracy, by_classifier.p, corrected[0]),
            DriftTest("mmd", mmd2, by_kernel.p, corrected[1]),
        ),
        by_classifier.detectable,
        by_kernel.bandwidth,
    )


def _verdict(tests: Sequence[DriftTest], alpha: float, *, least: int) -> DriftVerdict:
    if any(test.p_holm <= alpha for test in tests):
        return "DRIFT"
    return "NO DRIFT FOUND" if least >= MIN_GROUP_SIZE else "NOT ENOUGH DATA"


def _distances(own: _Side, new: Features, k: int) -> tuple[Floats, Floats, Ints]:
    """Return the distance to the k-th nearest image of another unit for the reference (M,) and the new images (N,).

    The third result is the row of the nearest reference image of each new one, shape (N,).
    """
    inside = np.full(len(own.unit), np.nan)
    for rows, _, similarity in iter_nearest_neighbors(own.features.x, apart=own.unit, k=k):
        farthest = np.where(np.isfinite(similarity), similarity, np.inf).min(axis=1)
        inside[rows] = np.sqrt(np.maximum(2 - 2 * farthest.astype(np.float64), 0.0))
    distance, near = neighbors(new.x, unit_length(own.features.x), k)
    return inside[np.isfinite(inside)], distance[:, -1].astype(np.float64), near[:, 0]


def _share(chosen: Mask, side: _Side, confidence: float) -> Estimate:
    if side.units < len(chosen):
        return clustered_rate(chosen, Units(np.ones(len(chosen)), side.unit), confidence)
    return wilson(int(chosen.sum()), len(chosen), confidence)
