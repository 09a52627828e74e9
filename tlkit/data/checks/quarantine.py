"""Images that a person decided to train without: a table on disk, written by the doctor, read by recipes."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from tlkit.data.checks.diagnosis import Diagnosis
from tlkit.data.sources.delimited_files import read_table
from tlkit.data.sources.read_bytes import image_digest
from tlkit.disk import atomic_file
from tlkit.errors import DataError, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples

logger = logging.getLogger(__name__)

QUARANTINE = "quarantine"


def require_new(file: str | Path | None) -> None:
    """Check the name of a manifest before the work for it is done.

    Raises:
        DataError: the file exists already, or is not named .csv.
    """
    if file is not None and Path(file).suffix != ".csv":
        raise DataError(f"The manifest would be {file}. Use a name that ends in .csv.")
    if file is not None and Path(file).exists():
        raise DataError(f"{file} exists already and may hold decisions of yours. Remove it, or use another name.")


def write_quarantine(file: str | Path, diagnosis: Diagnosis, samples: Samples) -> Path:
    """Write every image with its label, split and digest, and the reason where it is quarantined; "" = kept.

    No image is touched. Edit the column `quarantine` by hand to keep an image or to leave out another.

    Raises:
        DataError: the file exists already, or is not named .csv.
    """
    file = Path(file)
    require_new(file)
    reasons = dict(diagnosis.quarantine)
    table = samples.table[[PATH, LABEL, SPLIT, DIGEST]]
    table = table.assign(**{QUARANTINE: [reasons.get(path, "") for path in table[PATH]]})
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as partial:
        table.to_csv(partial, index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    logger.info(
        "Wrote %s: %d images kept, %d quarantined. A recipe goes without these with data.quarantine: %s.",
        file,
        len(table) - len(reasons),
        len(reasons),
        file,
    )
    return file


def exclude_quarantined(samples: Samples, file: str | Path) -> Samples:
    """Return the samples without the images that a manifest quarantines.

    An image is left out if its path and its digest are those of a row with a reason; a file that changed since is kept,
    and named in a warning. Images that the manifest does not know are kept.

    Raises:
        DataError: the manifest is missing or lacks a column, or a class would lose its last training image.
    """
    reasons = _read(Path(file))
    gone, changed = [], []
    for path, digest in zip(samples.table[PATH], samples.table[DIGEST], strict=True):
        known = reasons.get(path)
        gone.append(known is not None and (digest or image_digest(samples.root / path)) == known)
        if known is not None and not gone[-1]:
            changed.append(path)
    kept = samples.table[[not out for out in gone]].reset_index(drop=True)
    left = Samples(samples.root, samples.classes, kept)
    require_trained(samples, left, deed=f"{file} quarantines")
    logger.info("Leaving out %d of %d images that %s quarantines.", sum(gone), len(samples), file)
    if changed:
        logger.warning("Quarantined, but changed since, so kept (%d): %s.", len(changed), first_few(changed))
    return left


def require_trained(before: Samples, after: Samples, *, deed: str) -> None:
    """Check that every class which had training images still has some.

    Args:
        before: the images as they were.
        after: what a person's decisions left of them.
        deed: what was done, for the message: "photos.csv quarantines".

    Raises:
        DataError: a class lost all of its training images; the message names it.
    """
    had, has = before.counts()["train"], after.counts()["train"]
    lost = [name for name in before.classes if had[name] and not has[name]]
    if lost:
        raise DataError(f"{deed} every training image of {first_few(lost)}. Keep some, or remove the classes.")


def _read(file: Path) -> dict[str, str]:
    """Return the digests of the quarantined images by path."""
    table = read_table(
        file,
        wanted=(PATH, DIGEST, QUARANTINE),
        what="manifest",
        hint="Write it with: tlkit data doctor ROOT --fix FILE",
    )
    out = table[table[QUARANTINE].str.strip() != ""]
    return dict(zip(out[PATH], out[DIGEST], strict=True))
