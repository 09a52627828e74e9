"""The quarantine manifest: a CSV file of images to exclude, written by the doctor and read by recipes."""

from __future__ import annotations

import logging
from pathlib import Path

from tlkit.csv_files import write_csv
from tlkit.data.checks.diagnosis import Diagnosis
from tlkit.data.sources.delimited_files import read_table
from tlkit.data.sources.manifest import QUARANTINE
from tlkit.data.sources.read_bytes import image_digest
from tlkit.errors import DataError, first_few
from tlkit.output_files import require_writable
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples
from tlkit.spelling import match_paths

logger = logging.getLogger(__name__)


def require_new_csv(file: str | Path | None, *, what: str = "manifest") -> None:
    """Check that a CSV file that people edit or runs use can be written; `what` names it in messages.

    Raises:
        DataError: the file exists already, is not named .csv, or cannot be written.
    """
    if file is not None and Path(file).suffix.lower() != ".csv":
        raise DataError(f"The {what} would be {file}. Use a name that ends in .csv.")
    if file is not None and Path(file).exists():
        raise DataError(
            f"{file} exists already, and you may have edited it or use it. Remove it, or choose another name."
        )
    require_writable({f"The {what}": file})


def write_quarantine(file: str | Path, diagnosis: Diagnosis, samples: Samples) -> Path:
    """Write each image with label, split, digest and the reason why it is quarantined ("" = kept); return the path.

    No image is changed. Edit the column `quarantine` to keep an image or to exclude another.

    Raises:
        DataError: the file exists already, or is not named .csv.
    """
    file = Path(file)
    require_new_csv(file)
    reasons = dict(diagnosis.quarantine)
    table = samples.table[[PATH, LABEL, SPLIT, DIGEST]]
    table = table.assign(**{QUARANTINE: [reasons.get(path, "") for path in table[PATH]]})
    file.parent.mkdir(parents=True, exist_ok=True)
    write_csv(file, table, quote_all=True)
    logger.info(
        "Wrote %s: %d images kept, %d quarantined. To train without these, set data.quarantine: %s.",
        file,
        len(table) - len(reasons),
        len(reasons),
        file,
    )
    return file


def exclude_quarantined(samples: Samples, file: str | Path) -> Samples:
    """Return the samples without the images that a manifest quarantines.

    An image is excluded if its path and its digest are those of a row with a reason. A file that has changed since is
    kept, with a warning; so is a row of no image. Images that the manifest does not list are kept.

    Raises:
        DataError: the manifest is missing or lacks a column, or a class would lose its last training image.
    """
    table = read_table(
        Path(file),
        columns=(PATH, DIGEST, QUARANTINE),
        what="manifest",
        hint="Write it with: tlkit data doctor ROOT --fix FILE",
    )
    table = table[table[QUARANTINE].str.strip() != ""]
    named = match_paths(table[PATH], samples.table[PATH].tolist())
    digests = {named.get(path, path): digest for path, digest in zip(table[PATH], table[DIGEST], strict=True)}
    excluded, changed = [], []
    for path, digest in zip(samples.table[PATH], samples.table[DIGEST], strict=True):
        listed = digests.get(path)
        excluded.append(listed is not None and (digest or image_digest(samples.root / path)) == listed)
        if listed is not None and not excluded[-1]:
            changed.append(path)
    kept = samples.table[[not out for out in excluded]].reset_index(drop=True)
    remaining = samples.with_table(kept)
    require_training_images(samples, remaining, action=f"{file} quarantines")
    logger.info("Excluded %d of %d images that %s quarantines.", sum(excluded), len(samples), file)
    if missing := sorted(set(digests) - set(samples.table[PATH])):
        logger.warning("Quarantined by %s, but not among the images (%d): %s.", file, len(missing), first_few(missing))
    if changed:
        logger.warning("Quarantined, but changed since, so kept (%d): %s.", len(changed), first_few(changed))
    return remaining


def require_training_images(before: Samples, after: Samples, *, action: str) -> None:
    """Check that every class that had training images still has some.

    Args:
        before: all images.
        after: the remaining ones.
        action: how the others were removed, for the message: "photos.csv quarantines".

    Raises:
        DataError: a class has lost all of its training images; the message names it.
    """
    had, has = before.counts()["train"], after.counts()["train"]
    lost = [name for name in before.classes if had[name] and not has[name]]
    if lost:
        raise DataError(f"{action} every training image of {first_few(lost)}. Keep some, or remove the classes.")
