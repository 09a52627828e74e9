"""A list that fixes, once and for all, which split each image belongs to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from tlkit.data.check import check_images
from tlkit.data.manifest import digest_of
from tlkit.data.sources import Root, read_with_columns
from tlkit.data.split import SplitPlan, hold_out
from tlkit.errors import DataError
from tlkit.samples import Samples

logger = logging.getLogger(__name__)


def make_split(
    root: Root,
    out: str | Path,
    *,
    plan: SplitPlan | None = None,
    manifest: str | Path | None = None,
    metadata: str | Path | None = None,
    groups: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Split images and write the list that `data.split` of a recipe takes: path, label, split, digest, columns.

    Every image is read; those that cannot be are set aside and not listed. Splits that the data has are kept.

    Args:
        root: where the images are (see `read_samples`).
        out: the CSV file to write; never overwritten.
        plan: what to hold out, and how; default: 20 % for val, stratified.
        manifest: a file that lists the images.
        metadata: a CSV file keyed by `path` that has the plan's column and the groups.
        groups: further columns to list.
        progress: called with (images read, images in all).

    Raises:
        DataError: the file exists, or the images cannot be split so.
    """
    out, plan = Path(out), plan or SplitPlan()
    if out.suffix != ".csv":
        raise DataError(f"{out} should end in .csv: the list of splits is a CSV file.")
    if out.exists():
        raise DataError(f"{out} exists and is left alone: runs may rest on it. Choose another name, or remove it.")
    columns = tuple(dict.fromkeys((*groups, *plan.columns)))
    samples = read_with_columns(root, columns=columns, metadata=metadata, manifest=manifest)
    samples = hold_out(check_images(samples, progress=progress).samples, plan)
    out.parent.mkdir(parents=True, exist_ok=True)
    samples.to_csv(out)
    logger.info("Wrote %s (sha256 %s).", out, digest_of(out))
    return samples
