"""`find_run_leaks`: val and test images of a run that show a training picture cropped or recolored, by features."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tlkit.analysis.run_analyses import load_run_features
from tlkit.csv_files import csv_text
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.errors import RunError, go_on
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Progress
from tlkit.inference.feature_leaks import add_feature_leaks
from tlkit.output_files import require_writable
from tlkit.runs.run import Run, open_run
from tlkit.samples import SPLITS


def find_run_leaks(
    run: Run | str | Path, *, embedding: EmbedOptions | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """Return the leaks of a run, after adding those that its features show; they are stored in the run.

    A fit with cached features has added them already. The evaluation of a run of classes is computed again,
    with and without them; other tasks have no figures without them.

    Args:
        run: a run or its directory.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those whose features are not in the cache.

    Returns:
        The new value of `Run.leaks`.

    Raises:
        TlkitError: there is no such run, it has no stored model, its images are missing, or it cannot be written.
    """
    run = run if isinstance(run, Run) else open_run(run)
    if not run.directory.predicted_splits:
        raise RunError(
            f"{run.path} has no predictions: it did not get that far ({run.status}). {go_on(run.path, run.status)}"
        )
    require_writable({"The list of leaks": run.directory.leaks}, error=RunError)
    there = set(run.samples.table["split"])
    features, samples, _ = load_run_features(
        run, [name for name in SPLITS if name in there], embedding=embedding, progress=progress
    )
    before = run.leaks
    table = add_feature_leaks(samples, features, before, decode_options=DecodeOptions.of(run.recipe.data))
    if len(table) > len(before):
        run.directory.write_text(run.directory.leaks, csv_text(table))
        for split in run.directory.predicted_splits if run.task == "multiclass" else ():
            run.evaluate(split)
    return run.leaks
