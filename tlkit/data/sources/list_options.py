"""How lists of images and metadata are read: names of their columns, spellings, classes to merge, several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from tlkit.choices import Annotations
from tlkit.data.sources.delimited_files import MAPPED
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.samples import LABEL, Samples
from tlkit.spelling import match_names, unify, warn_of_lookalikes

MERGE = "If they are one class, merge them: data.merge_classes: {{{}: [{}]}}."


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """How tables of images are read.

    Attributes:
        names: the file's own name of `path`, `label` or `split`, where it is another: {"path": "image"}.
        verbatim: keep values as they are written; else two spellings of one value are one (see `tlkit.spelling`).
        merge_classes: classes that are read as another one: {"anger": ["ANGER", "Anger"]}.
        annotations: what several rows of one image are: an error ("one"), or labels of several annotators, of which
            the majority counts ("majority"), with the shares of all classes kept for training ("soft").
    """

    names: Mapping[str, str] = field(default_factory=dict)
    verbatim: bool = False
    merge_classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    annotations: Annotations = "one"

    def __post_init__(self) -> None:
        problems = [
            f"There is no column {name!r} to name: {', '.join(MAPPED)} can have another name in a list."
            f"{did_you_mean(name, MAPPED)} Columns of groups keep their own."
            for name in self.names
            if name not in MAPPED
        ]
        merged = [one for names in self.merge_classes.values() for one in names]
        if twice := sorted({one for one in merged if merged.count(one) > 1}):
            problems.append(f"merge_classes merges {first_few(twice)} into two classes. Keep one of them.")
        if problems:
            raise DataError(*problems)

    def values(self, column: pd.Series[str], *, what: str) -> pd.Series[str]:
        """Return a column with one spelling for each value; what looks alike is warned of."""
        return column if self.verbatim else unify(column, what=what)[0]

    def labels(self, column: pd.Series[str], *, what: str) -> pd.Series[str]:
        """Return labels with one spelling for each class, and with classes merged.

        Raises:
            DataError: a class that is to be merged does not occur.
        """
        if not self.verbatim:
            column = unify(column, what=what, hint=None)[0]
        known = [str(name) for name in column.dropna().unique()]
        found = match_names([one for names in self.merge_classes.values() for one in names], known)
        target = {found[one]: name for name, names in self.merge_classes.items() for one in names if one in found}
        lacking = [
            one
            for names in self.merge_classes.values()
            for one in names
            if one not in found and one not in self.merge_classes
        ]
        if lacking:
            raise DataError(
                f"merge_classes names {first_few(lacking)}. {what} have no such class."
                f"{did_you_mean(lacking[0], known)} The classes are {first_few(sorted(known))}."
            )
        if target:
            column = column.map(lambda name: target.get(name, name), na_action="ignore").astype(column.dtype)
        warn_of_lookalikes(
            sorted(set(column.dropna()) - {""}),
            what=what,
            hint=lambda alike: MERGE.format(alike[-1], ", ".join(alike[:-1])),
        )
        return column

    def with_classes(self, samples: Samples, *, what: str) -> Samples:
        """Return samples whose labels are read as `labels` says.

        Raises:
            DataError: a class that is to be merged does not occur.
        """
        column = self.labels(samples.table[LABEL], what=what)
        return Samples(samples.root, tuple(sorted(set(column))), samples.table.assign(**{LABEL: column}))
