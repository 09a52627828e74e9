"""Bursts: images that one camera took within seconds of each other and that look alike.

Such images show one scene, mostly less alike than near duplicates. Time alone does not tell: the clock of a camera may
stand still. So a pair must also be more alike than 99 % of random pairs of this dataset.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tlkit.data.checks.fingerprints import Fingerprints
from tlkit.data.decode.exif import read_exif
from tlkit.data.decode.formats import Format
from tlkit.samples import PATH, Samples
from tlkit.stats.connected_components import connected_components

logger = logging.getLogger(__name__)

BURST_S = 3.0
"""Largest time between two images of a burst, in seconds; without fractions of a second, EXIF counts whole ones."""
LEAST_ALIKE = 0.5
"""Smallest correlation of the thumbnails of a burst's images, however little alike the others are."""
UNRELATED = 0.99
"""A pair of a burst is more alike than this share of random pairs."""
PROBED = 2000
"""Random pairs, which are mostly of different scenes."""
MOST_FOLLOWING = 20
"""Each image is compared with this many images that follow it within `BURST_S`."""
MODEL, EXIF_IFD, TAKEN, FRACTION, SERIAL = 272, 0x8769, 36867, 37521, 42033
"""Tags of EXIF 2.32: Model, Exif IFD, DateTimeOriginal, SubSecTimeOriginal, BodySerialNumber."""


class Moment(NamedTuple):
    """Which camera took an image, by model and serial number, and when, in seconds since 1970 by its own clock."""

    camera: str
    time_s: float


def moment_of(data: bytes, kind: Format) -> Moment | None:
    """Return when and by what an image was taken, by EXIF; None where that is not stated.

    Args:
        data: content of the file.
        kind: its format.
    """
    try:
        exif = read_exif(data, kind)
        more = exif.get_ifd(EXIF_IFD)
        model, taken, fraction, serial = (
            str(tags.get(tag) or "").strip("\0 ")
            for tags, tag in ((exif, MODEL), (more, TAKEN), (more, FRACTION), (more, SERIAL))
        )
        time = datetime.strptime(taken, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except Exception:  # no time, or damaged EXIF, on which Pillow raises various errors
        return None
    part = float(f"0.{fraction}") if fraction.isascii() and fraction.isdecimal() else 0.0
    return Moment(f"{model} {serial}".strip(), time + part) if model else None


def find_bursts(samples: Samples, moments: Sequence[Moment | None], prints: Fingerprints) -> list[tuple[int, int]]:
    """Return the pairs of rows that one camera took within `BURST_S` and that look alike; what is found is logged.

    Args:
        samples: the images, N.
        moments: when each was taken, N; None = unknown.
        prints: their fingerprints, row for row.
    """
    pairs = _close_in_time(moments)
    if not pairs:
        return []
    alike = _correlation(prints.thumbnail, np.array(pairs))
    least = max(LEAST_ALIKE, _of_unrelated(prints.thumbnail))
    found = [pair for pair, similarity in zip(pairs, alike, strict=True) if similarity >= least]
    if found:
        units = connected_components(len(samples), found)
        bound = {row for pair in found for row in pair}
        paths = samples.table[PATH]
        logger.info(
            "Bursts: %d images in %d series were taken by one camera within %g s of each other and look alike, such as "
            "%s and %s. The images of a series share a fold.",
            len(bound),
            len({int(units[row]) for row in bound}),
            BURST_S,
            paths[found[0][0]],
            paths[found[0][1]],
        )
    return found


def _close_in_time(moments: Sequence[Moment | None]) -> list[tuple[int, int]]:
    by_camera: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for row, moment in enumerate(moments):
        if moment is not None:
            by_camera[moment.camera].append((moment.time_s, row))
    pairs = []
    for series in by_camera.values():
        series.sort()
        for place, (time, row) in enumerate(series):
            for later, other in series[place + 1 : place + 1 + MOST_FOLLOWING]:
                if later - time > BURST_S:
                    break
                pairs.append((min(row, other), max(row, other)))
    return sorted(pairs)


def _of_unrelated(thumbnails: npt.NDArray[np.uint8]) -> float:
    """Return the correlation that `UNRELATED` of random pairs do not reach."""
    drawn = np.random.default_rng(0).integers(0, len(thumbnails), (PROBED, 2))
    return float(np.quantile(_correlation(thumbnails, drawn[drawn[:, 0] != drawn[:, 1]]), UNRELATED))


def _correlation(thumbnails: npt.NDArray[np.uint8], pairs: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return the correlation of the thumbnails of each pair of rows (M, 2), shape (M,); 0 for a plain picture."""
    return np.array([_correlation_of(thumbnails[one], thumbnails[other]) for one, other in pairs], dtype=np.float32)


def _correlation_of(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    a, b = (thumbnail.astype(np.float32).ravel() - thumbnail.mean() for thumbnail in (one, other))
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0
