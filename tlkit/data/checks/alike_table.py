"""The table of the pairs of images whose pictures are alike, by path, as a run stores it."""

from __future__ import annotations

import pandas as pd

from tlkit.data.checks.duplicates import DuplicateSet
from tlkit.samples import PATH, Samples

ALIKE = ("path", "other", "how", "is_copy")


def alike_table(samples: Samples, duplicates: DuplicateSet) -> pd.DataFrame:
    """Return one row per pair: `path`, `other`, `how` (a kind of `Pair`), and `is_copy`; near duplicates are none."""
    paths = samples.table[PATH].tolist()
    rows = [(paths[pair.first], paths[pair.second], pair.kind, pair.is_copy) for pair in duplicates.pairs]
    return pd.DataFrame(rows, columns=list(ALIKE)).astype({"is_copy": bool})
