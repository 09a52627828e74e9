"""`find_unknown`: the thresholds for unknown images, their false alarms by group, and what they detect."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlkit.analysis.run_analyses import load_run_features
from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.groups.intersections import membership_of
from tlkit.choices import FALSE_ALARMS, OOD_SCORE, OodScoreName
from tlkit.data.sources.given_images import GivenImages
from tlkit.errors import DataError, RunError
from tlkit.evaluation.clustered_figures import clustered_rate
from tlkit.evaluation.unknown_report import ForeignSet, GroupUnknown, ScoreThreshold, UnknownReport
from tlkit.features.features import Features
from tlkit.features.ood.scores import SCORES, OodScore, fit_score, require_score
from tlkit.features.ood.store import UnknownDetector, model_digest, save_detector
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.embed_run import embed_with_run
from tlkit.inference.extraction import Progress
from tlkit.inference.stored_model import load_stored
from tlkit.inference.unknown_images import gives_logits, logits_of
from tlkit.models.network import Network
from tlkit.notebook_progress import with_notebook_bar
from tlkit.runs.run import Run, open_run
from tlkit.runs.run_options import options_of_run, with_all_columns
from tlkit.runs.stored_measurements import store_unknown
from tlkit.samples import SPLITS, Samples
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.ood_detection import detection
from tlkit.stats.unknown_threshold import UnknownThreshold, unknown_threshold

logger = logging.getLogger(__name__)

NO_LOGITS = "the head gives probabilities, whose energy is the same for every image"


@dataclass(frozen=True, eq=False)
class _Known:
    """In-distribution images of one split."""

    x: npt.NDArray[np.floating]
    logits: npt.NDArray[np.float32]
    unit: Ints
    samples: Samples

    @property
    def clustered(self) -> bool:
        return len(np.unique(self.unit)) < len(self.unit)

    def rate(self, chosen: Mask, unknown: Mask, confidence: float) -> Estimate:
        """Return the share of unknown images among the chosen ones, allowing for clusters."""
        if self.clustered and chosen.any():
            return clustered_rate(unknown[chosen], Units(np.ones(int(chosen.sum())), self.unit[chosen]), confidence)
        return wilson(int((unknown & chosen).sum()), int(chosen.sum()), confidence)


@with_notebook_bar("computing features")
def find_unknown(
    run: Run | str | Path,
    *,
    score: OodScoreName = OOD_SCORE,
    false_alarms: float = FALSE_ALARMS,
    against: Mapping[str, GivenImages] | None = None,
    store: bool = True,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> UnknownReport:
    """Return thresholds beyond which images are unknown to a run's model, and store that of one score with the model.

    Scores compare with training images, thresholds come from validation images alone, without leaks, and false alarms
    by group are measured on test images. No prediction changes: `tlkit predict --unknown` applies the threshold.

    Args:
        run: a run with a val split, or its directory.
        score: whose threshold to store: msp, energy, knn or mahalanobis.
        false_alarms: rate of known images that may be called unknown, in (0, 1).
        against: sets of foreign images by name, to measure how well each score detects them.
        store: False = leave the run's and the model's folder as they are.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those whose features are not in the cache.

    Raises:
        TlkitError: there is no such run or score, it has no stored model or no val images, or an argument is out of its
            range.

    Example:
        >>> report = find_unknown("runs/pets", false_alarms=0.2, store=False)
        >>> report.threshold.wanted, report.threshold.n
        (0.2, 12)
    """
    score = require_score(score)
    if not 0 < false_alarms < 1:
        raise DataError(f"false_alarms is {false_alarms:g}. Use a rate above 0 and below 1, such as 0.05.")
    run = run if isinstance(run, Run) else open_run(run)
    network, _ = load_stored(run.directory.model)
    left_out = {} if gives_logits(network) else {"energy": NO_LOGITS}
    if score in left_out:
        raise DataError(f"{score} is not available: {left_out[score]}. Use msp, knn or mahalanobis.")
    sets = _known_sets(run, network, embedding, progress)
    foreign = {
        name: (features.x, logits_of(network, features.x))
        for name, features in _foreign(run, against or {}, embedding, progress)
    }
    names = [name for name in SCORES if name not in left_out]
    found = {
        name: _judge(name, sets, foreign, wanted=false_alarms, confidence=run.recipe.evaluate.confidence, run=run)
        for name in names
    }
    chosen = found[score]
    stored = store and chosen.threshold.value is not None
    if stored:
        folder = run.directory.model
        width = int(sets["train"].x.shape[1])
        save_detector(folder, UnknownDetector(chosen.fitted, chosen.threshold, model_digest(folder), width))
    judged = "test" if "test" in sets else "val"
    report = UnknownReport(
        run=run.directory.name,
        score=score,
        wanted=false_alarms,
        thresholds=tuple(ScoreThreshold(name, found[name].threshold, found[name].held_out) for name in names),
        known=judged,
        groups=tuple(_by_group(run, sets[judged], chosen.scores[judged], chosen.threshold)),
        foreign=tuple(found[name].foreign[title] for title in foreign for name in names),
        scores=chosen.scores,
        reference=len(sets["train"].x),
        clusters=sets["val"].clustered,
        stored=stored,
        confidence=run.recipe.evaluate.confidence,
        left_out=left_out,
    )
    if store:
        store_unknown(run.directory, report)
    return report


def _known_sets(
    run: Run, network: Network, embedding: EmbedOptions | None, progress: Progress | None
) -> dict[str, _Known]:
    """Return the images of train, val and test, the latter two without leaks; test only where there are such images."""
    present = set(run.samples.table["split"])
    if missing := [name for name in ("train", "val") if name not in present]:
        raise RunError(
            f"{run.path} has no {missing[0]} images. A threshold for unknown images takes train and val: set data.val, "
            "and fit again."
        )
    splits = [name for name in SPLITS if name in present]
    features, samples, bound = load_run_features(run, splits, embedding=embedding, progress=progress)
    split, leaks = samples.table["split"].to_numpy(), samples.table["path"].isin(set(run.leaks["path"])).to_numpy()
    sets = {}
    for name in splits:
        rows = np.flatnonzero((split == name) & ((name == "train") | ~leaks))
        if len(rows) or name != "test":
            table = samples.table.iloc[rows].reset_index(drop=True)
            x = np.asarray(features.x[rows])
            own = samples.with_table(table)
            sets[name] = _Known(x, logits_of(network, x), np.asarray(bound, dtype=np.int64)[rows], own)
    return sets


@dataclass(frozen=True, eq=False)
class _Judged:
    """What one score gives: its threshold, its scores by set, and how it detects each foreign set."""

    fitted: OodScore
    threshold: UnknownThreshold
    held_out: Estimate
    scores: dict[str, Floats]
    foreign: dict[str, ForeignSet]


def _judge(
    name: OodScoreName,
    sets: Mapping[str, _Known],
    foreign: Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
    *,
    wanted: float,
    confidence: float,
    run: Run,
) -> _Judged:
    """Return one score's threshold, by the validation images, and what it does to held-out and to foreign images."""
    train, val = sets["train"], sets["val"]
    fitted = fit_score(name, train.x, train.samples.targets, seed=run.recipe.seed)
    scores = {split: fitted.score(one.x, one.logits) for split, one in sets.items() if split != "train"}
    unit = val.unit if val.clustered else None
    threshold = unknown_threshold(scores["val"], wanted=wanted, unit=unit, confidence=confidence)
    limit = np.inf if threshold.value is None else threshold.value
    held_out = Estimate(None, None, None, n=0, note="no test images")
    if "test" in sets and threshold.value is not None:
        every = np.ones(len(scores["test"]), dtype=np.bool_)
        held_out = sets["test"].rate(every, scores["test"] > limit, confidence)
    own = "test" if "test" in sets else "val"
    detected = {}
    for title, (x, logits) in foreign.items():
        scores[title] = fitted.score(x, logits)
        unit = sets[own].unit if sets[own].clustered else None
        found = detection(scores[own], scores[title], known_unit=unit, confidence=confidence, seed=run.recipe.seed)
        n = len(x)
        called = Estimate(None, None, None, n=n, note="no threshold")
        if threshold.value is not None:
            called = wilson(int((scores[title] > limit).sum()), n, confidence)
        detected[title] = ForeignSet(title, name, n, found, called)
    return _Judged(fitted, threshold, held_out, scores, detected)


def _foreign(
    run: Run, against: Mapping[str, GivenImages], embedding: EmbedOptions | None, progress: Progress | None
) -> Iterator[tuple[str, Features]]:
    """Yield the features of each set of foreign images, each different file once."""
    for name, images in against.items():
        if name in ("val", "test"):
            raise DataError(f"A set of foreign images cannot be called {name!r}. Rename its folder.")
        found = embed_with_run(run, images, options=embedding, progress=progress)
        first = np.sort(np.unique(found.digest, return_index=True)[1])
        if len(first) < len(found):
            logger.info("%s: %d copies of other files in it count once.", name, len(found) - len(first))
        yield name, found.take(first)


def _by_group(run: Run, known: _Known, scores: Floats, threshold: UnknownThreshold) -> Iterator[GroupUnknown]:
    """Yield the rate of false alarms of every class and of every group of the columns that an audit would take."""
    if threshold.value is None:
        return
    unknown, confidence = scores > threshold.value, run.recipe.evaluate.confidence
    options = with_all_columns(options_of_run(run), known.samples.groups, level=logging.DEBUG)

    def row(by: str, group: str, inside: Mask) -> GroupUnknown:
        n, k = int(inside.sum()), int((unknown & inside).sum())
        if n < options.min_group_size:
            note = f"not enough data: fewer than {options.min_group_size} images"
            return GroupUnknown(by, group, n, k, Estimate(None, None, None, n=n, note=note))
        return GroupUnknown(by, group, n, k, known.rate(inside, unknown, confidence))

    yield row("all", "all images", np.ones(len(unknown), dtype=np.bool_))
    for code, name in enumerate(known.samples.classes):
        if (inside := known.samples.targets == code).any():
            yield row("class", name, inside)
    groups = known.samples.groups.reset_index(drop=True)
    for spec in options.columns:
        if spec.column not in groups.columns:
            continue
        membership = membership_of(groups, (spec,), max_values=options.max_values)
        for place, value in enumerate(membership.values):
            if (inside := membership.inside(place)).any():
                yield row(spec.column, " × ".join(value), inside)
        if (inside := membership.inside(None)).any():
            yield row(spec.column, "(missing)", inside)
