"""Leaks of a run that only features give away: judged images whose picture was in training, cropped or recoloured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tlkit.analysis.run_probes import read_features
from tlkit.errors import RunError
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Progress
from tlkit.inference.feature_leaks import add_feature_leaks
from tlkit.runs.run import Run, open_run
from tlkit.samples import SPLITS


def find_run_leaks(
    run: Run | str | Path, *, embedding: EmbedOptions | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """Look by features for val and test images whose picture was in training, and keep what is found with the run.

    A fit with cached features has done so already. The run's evaluation is made anew, with and without them.

    Args:
        run: a run or its directory.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those whose features are not in the cache.

    Returns:
        What `Run.leaks` gives from now on.

    Raises:
        TlkitError: there is no such run, it has no stored model, or its images are gone.
    """
    run = run if isinstance(run, Run) else open_run(run)
    if not run.directory.predicted_splits:
        raise RunError(f"{run.path} has no predictions: it did not get that far ({run.status}). Fit it again.")
    there = set(run.samples.table["split"])
    features, samples, _ = read_features(
        run, [name for name in SPLITS if name in there], embedding=embedding, progress=progress
    )
    before = run.leaks
    table = add_feature_leaks(samples, features, before, max_pixels=run.recipe.data.max_pixels)
    if len(table) > len(before):
        run.directory.write_text(run.directory.leaks, table.to_csv(index=False, lineterminator="\n"))
        for split in run.directory.predicted_splits:
            run.evaluate(split)
    return run.leaks
