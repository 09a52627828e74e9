"""The table of the pairs of images whose pictures are alike, by path, as a run stores it."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from tlkit.data.checks.duplicates import DuplicateSet
from tlkit.samples import PATH, Samples

BURST = "burst"
ALIKE = ("path", "other", "how", "is_copy")


def alike_table(samples: Samples, duplicates: DuplicateSet, *, bursts: Iterable[tuple[int, int]] = ()) -> pd.DataFrame:
    """Return one row per pair: `path`, `other`, `how` (a kind of `Pair`, or "burst"), and `is_copy`.

    Near duplicates are no copies, nor are the images of a burst (rows, as `find_bursts` gives them).
    """
    paths = samples.table[PATH].tolist()
    rows: list[tuple[str, str, str, bool]] = [
        (paths[pair.first], paths[pair.second], pair.kind, pair.is_copy) for pair in duplicates.pairs
    ]
    known = {pair[:2] for pair in duplicates.pairs}
    rows += [(paths[one], paths[other], BURST, False) for one, other in bursts if (one, other) not in known]
    return pd.DataFrame(rows, columns=list(ALIKE)).astype({"is_copy": bool})
