"""`label_next`: which unlabelled images to label next, by margin, coverage or typicality on cached features."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
from scipy.special import softmax

from tlkit.analysis.run_analyses import learning_curve, load_run_features
from tlkit.choices import LABEL_COUNT, SELECTION, SelectionMethod
from tlkit.data.sources.given_images import GivenImages
from tlkit.errors import DataError, did_you_mean
from tlkit.evaluation.label_next_result import Candidate, LabelNext
from tlkit.features.ood.scores import neighbors, unit_length
from tlkit.features.selection import k_center, margins, smallest_margins, typical
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.embed_run import embed_with_run
from tlkit.inference.extraction import Progress
from tlkit.inference.stored_model import load_stored
from tlkit.inference.unknown_images import logits_of
from tlkit.notebook_progress import with_notebook_bar
from tlkit.runs.run import Run, open_run
from tlkit.runs.stored_measurements import name_of_images, store_label_next
from tlkit.stats.estimate import Estimate

NO_CURVE = "no learning curve for a fine-tuned backbone"


@with_notebook_bar("computing features")
def label_next(
    run: Run | str | Path,
    images: GivenImages,
    *,
    count: int = LABEL_COUNT,
    by: SelectionMethod = SELECTION,
    forecast: bool = True,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> LabelNext:
    """Return the unlabelled images to label next, and the accuracy that as many labels would add.

    Copies of the run's images, and of each other, are left out. The forecast is that of the learning curve of a
    logistic head on the run's features, for random images: it has its interval, or says why there is none. The choice
    is stored in `label_next.json` of the run, and its report shows it.

    Args:
        run: a run or its directory.
        images: the unlabelled images: paths or folders, as `Predictor.predict` takes them.
        count: how many to choose.
        by: margin (unsure between two classes), coverage (k-center) or typicality (for few labels).
        forecast: False = without the learning curve, which takes a while.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those whose features are not in the cache.

    Raises:
        TlkitError: there is no such run or method, it has no stored model, or no new image is left.

    Example:
        >>> chosen = label_next("runs/pets", "new", count=2, forecast=False)
        >>> [image.path.startswith("new/") for image in chosen.images]
        [True, True]
    """
    if count < 1:
        raise DataError(f"count is {count}. Use 1 or more.")
    if by not in get_args(SelectionMethod):
        known = get_args(SelectionMethod)
        raise DataError(f"There is no method {by!r}.{did_you_mean(by, known)} There are {', '.join(known)}.")
    run = run if isinstance(run, Run) else open_run(run)
    network, facts = load_stored(run.directory.model)
    train, _, _ = load_run_features(run, ("train",), embedding=embedding, progress=progress)
    given = embed_with_run(run, images, options=embedding, progress=progress)
    known_files = set(run.samples.table["digest"]) | set(train.digest.tolist())
    first = np.sort(np.unique(given.digest, return_index=True)[1]).tolist()
    pool = given.take([row for row in first if str(given.digest[row]) not in known_files])
    if not len(pool):
        raise DataError(f"All {len(given)} images are copies of images of {run.path}: there is nothing to label.")
    proba = softmax(logits_of(network, pool.x).astype(np.float64), axis=1)
    match by:
        case "margin":
            rows = smallest_margins(proba, count)
            values = margins(proba)[rows]
        case "coverage":
            rows, values = k_center(pool.x, train.x, count)
        case "typicality":
            rows, values = typical(pool.x, train.x, count, seed=run.recipe.seed)
    distance = neighbors(pool.x[rows], unit_length(train.x), 1)[0][:, 0]
    order, margin = np.argsort(-proba[rows], axis=1), margins(proba[rows])
    fine_tuned = run.recipe.strategy.kind != "frozen"
    gain = Estimate(None, None, None, n=len(train), note=NO_CURVE)
    if not fine_tuned:
        gain = Estimate(None, None, None, n=len(train), note="not computed")
        if forecast:
            gain = learning_curve(run, embedding=embedding).gain(len(rows))
    chosen = LabelNext(
        run=run.directory.name,
        method=by,
        pool=len(pool),
        copies=len(given) - len(pool),
        images=tuple(
            Candidate(
                path=str(pool.path[row]),
                predicted=facts.classes[order[place, 0]],
                second=facts.classes[order[place, 1]] if len(facts.classes) > 1 else "",
                probability=round(float(proba[row, order[place, 0]]), 6),
                margin=round(float(margin[place]), 6),
                distance=round(float(distance[place]), 6),
                value=round(float(values[place]), 6),
            )
            for place, row in enumerate(rows.tolist())
        ),
        labelled=len(train),
        gain=gain,
        confidence=run.recipe.evaluate.confidence,
        fine_tuned=fine_tuned,
    )
    store_label_next(run.directory, name_of_images(given.path.tolist()), chosen)
    return chosen
