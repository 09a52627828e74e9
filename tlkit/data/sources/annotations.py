"""Labels of several annotators: the majority's label for each image, and how far they agree."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.errors import first_few
from tlkit.samples import LABEL, PATH, SPLIT, VOTES, Samples

logger = logging.getLogger(__name__)

AGREEMENT = "agreement"
"""The group column that holds the share of an image's annotators who gave its label."""


def majority_labels(table: pd.DataFrame, *, file: Path, with_votes: bool = False) -> pd.DataFrame:
    """Return a list with one row for each image: the label that most of its rows have, and their share.

    An image whose annotators are tied has no majority: it is left out, with a warning that names it; with votes it
    stays, under the first of its classes (see `without_undecided`). How far the annotators agree is logged, with the
    pairs of classes that they confuse most.

    Args:
        table: columns path, label (one row for each annotator) and others; an empty label is no vote.
        file: where it comes from, for the log.
        with_votes: add the column `label_votes`: the number of votes by class, JSON.

    Returns:
        The first row of each image, with the majority's label and the column `agreement`, unless there is one.
    """
    voted = table[table[LABEL] != ""]
    votes = voted.groupby([PATH, LABEL], sort=True).size().rename("votes").reset_index()
    most = votes.groupby(PATH)["votes"].transform("max")
    total = votes.groupby(PATH)["votes"].transform("sum")
    first = votes[votes["votes"] == most].assign(share=(most / total))
    tied = first[PATH][first[PATH].duplicated()].unique().tolist()
    decided = first[~first[PATH].isin(tied)].set_index(PATH)
    _log_agreement(votes, decided, file=file)
    chosen = first.drop_duplicates(PATH).set_index(PATH) if with_votes else decided
    if tied and not with_votes:
        logger.warning(
            "%s: images without a majority, left out (%d): %s. Add a vote, or decide on their label.",
            file,
            len(tied),
            first_few(tied),
        )
    rows = voted.assign(**{LABEL: voted[PATH].map(chosen[LABEL])})
    rows = rows[rows[LABEL].notna()].astype({LABEL: "str"})
    if AGREEMENT not in table.columns:
        rows = rows.assign(**{AGREEMENT: rows[PATH].map(chosen["share"]).map("{:.3g}".format).astype("str")})
    if with_votes:
        by_class = {
            path: json.dumps(dict(zip(of[LABEL], of["votes"].tolist(), strict=True)), ensure_ascii=False)
            for path, of in votes[votes[PATH].isin(rows[PATH])].groupby(PATH)
        }
        rows = rows.assign(**{VOTES: rows[PATH].map(by_class).astype("str")})
    return rows.drop_duplicates()


def without_undecided(samples: Samples) -> Samples:
    """Return the samples without images of val and test whose annotators are tied: no label judges a prediction.

    In train they stay: the shares of the annotators are what they are trained on. What is left out is logged.

    Args:
        samples: the images, with splits; without soft labels nothing is left out.
    """
    shares = samples.label_shares
    if shares is None:
        return samples
    undecided = (shares == shares.max(axis=1, keepdims=True)).sum(axis=1) > 1
    judged = undecided & (samples.table[SPLIT] != "train").to_numpy()
    if undecided.any():
        logger.info(
            "Images whose annotators are tied: %d. The %d in train are trained on the annotators' shares, and counted "
            "as the first of their classes.",
            int(undecided.sum()),
            int((undecided & ~judged).sum()),
        )
    if judged.any():
        logger.warning(
            "Images of val and test without a majority, left out (%d): %s. Add a vote, or decide on their label.",
            int(judged.sum()),
            first_few(samples.table[PATH][judged].tolist()),
        )
    return samples.take(np.flatnonzero(~judged)) if judged.any() else samples


def _log_agreement(votes: pd.DataFrame, chosen: pd.DataFrame, *, file: Path) -> None:
    per_image = votes.groupby(PATH)["votes"].agg(["sum", "size"])
    several = per_image["sum"] > 1
    if not several.any():
        logger.info("%s has one label for each image, so there is nothing to take a majority of.", file)
        return
    split = int((per_image["size"] > 1).sum())
    other = votes.join(chosen[LABEL].rename("chosen"), on=PATH).dropna(subset="chosen")
    other = other[other[LABEL] != other["chosen"]]
    pairs = other.groupby(["chosen", LABEL])["votes"].sum().sort_values(ascending=False, kind="stable")
    named = [f"{' as '.join(map(str, classes))} ({count})" for classes, count in zip(pairs.index, pairs, strict=True)]
    logger.info(
        "%s: labels of several annotators for %d of %d images (%.3g on average); they disagree about %d, "
        "with a tie about %d. Votes against the majority: %s.",
        file,
        int(several.sum()),
        len(per_image),
        float(np.mean(per_image["sum"])),
        split,
        len(per_image) - len(chosen),
        first_few(named) or "none",
    )
