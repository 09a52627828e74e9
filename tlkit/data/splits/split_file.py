"""Writes a split file: a list that fixes the split of each image."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tlkit.data.checks.duplicates import DuplicateSet
from tlkit.data.checks.image_check import check_images
from tlkit.data.checks.leaks import describe_leaks, find_leaks, log_near_duplicates
from tlkit.data.checks.mask_check import check_masks
from tlkit.data.checks.quarantine import require_new_csv
from tlkit.data.checks.verified_copies import find_copies
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.manifest import digest_of
from tlkit.data.sources.read_samples import Root, read_with_columns
from tlkit.data.splits.hold_out import SplitPlan, hold_out
from tlkit.errors import DataError, first_few
from tlkit.samples import PATH, SPLIT, SPLITS, Samples

logger = logging.getLogger(__name__)


def make_split(
    root: Root,
    out: str | Path,
    *,
    manifest: str | Path | None = None,
    options: ListOptions = ListOptions(),
    plan: SplitPlan | None = None,
    metadata: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Split images, write the list for `data.split` of a recipe (path, label, split, digest, columns) and return it.

    Every image is read; unreadable ones are not listed. Splits that the data has are kept. Pictures that lie in two
    splits are logged.

    Args:
        root: source of the images (see `read_samples`).
        out: the CSV file to write; never overwritten.
        manifest: a file that lists the images below `root`.
        options: how lists, labels and columns are read.
        plan: shares to hold out; default: 20 % for val, stratified.
        metadata: a CSV file keyed by `path` with the plan's column.
        progress: called with (images read, images in all).

    Raises:
        DataError: the file exists, a mask cannot be used, or the splits of the data put a value of the plan's column
            into two splits.
    """
    out, plan = Path(out), plan or SplitPlan()
    require_new_csv(out, what="list of splits")
    if metadata is not None and not plan.columns:
        logger.warning("No column of %s decides the split. Name one: --by COLUMN or --time COLUMN.", metadata)
    read = read_with_columns(root, columns=plan.columns, metadata=metadata, manifest=manifest, options=options)
    checked = check_images(read, progress=progress)
    usable = checked.samples if read.masks is None else check_masks(checked.samples, checked.sizes)
    samples = hold_out(usable, plan)
    _require_whole_groups(samples, plan)
    if samples.table[SPLIT].equals(checked.samples.table[SPLIT]) and set(samples.table[SPLIT]) != {"train"}:
        present = " and ".join(name for name in SPLITS[1:] if name in set(samples.table[SPLIT]))
        logger.info("The images have %s already: their splits are kept.", present)
    counts = samples.split_sizes()
    alike = find_copies(samples, checked.fingerprints, DecodeOptions())
    leaks = find_leaks(samples, alike)
    for sentence in describe_leaks(leaks.table, counts):
        logger.warning("%s", sentence)
    log_near_duplicates(samples, alike, leaks.table)
    if len(leaks):
        logger.warning("They are listed all the same; data.on_leak: drop of a recipe trains without their copies.")
    out.parent.mkdir(parents=True, exist_ok=True)
    samples.to_csv(out)
    logger.info("Wrote %s (sha256 %s).", out, digest_of(out))
    return samples


def _require_whole_groups(samples: Samples, plan: SplitPlan) -> None:
    """Check that no value of the plan's column lies in two of the splits that the images have already."""
    if plan.group_by is None:
        return
    leaks = find_leaks(samples, DuplicateSet((), 1.0), group_by=plan.group_by).table
    if leaks.empty:
        return
    column = samples.table[plan.group_by]
    values = sorted(set(column[samples.table[PATH].isin(leaks["path"])].dropna()))
    raise DataError(
        f"{len(leaks)} val and test images have a {plan.group_by} that an earlier split has as well: "
        f"{first_few(values)}. The images have splits, which are kept. To split them again, name the folders of the "
        "splits one by one, as in: tlkit data split photos/train photos/val."
    )
