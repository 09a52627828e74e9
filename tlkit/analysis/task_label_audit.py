"""`audit_label_sets`: probable errors in several labels of an image, each label judged on its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.analysis.audit_labels import copies_of, splits_of
from tlkit.analysis.label_audit import Suspect
from tlkit.analysis.label_audit_tables import fine_tuned_sentence
from tlkit.analysis.label_issues import find_label_issues
from tlkit.analysis.run_analyses import load_run_features
from tlkit.choices import FOLDS, HEAD, HeadKind
from tlkit.errors import DataError, RunError, other_task, refuse_newer
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Progress
from tlkit.plain_values import from_plain, to_plain
from tlkit.runs.run import Run, open_run
from tlkit.stats.estimate import Estimate
from tlkit.tables import Column, Table, to_html

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
WITH, WITHOUT = "yes", "no"


@dataclass(frozen=True)
class LabelErrors:
    """The audit of one label.

    Attributes:
        label: its name.
        images: images with it.
        suspects: images whose label is probably wrong, most doubtful first; `label` and `suggested` are "yes" or "no".
        wrong: upper guess of the number of wrong ones; see `LabelAudit`.
        accuracy: out-of-fold accuracy of the head, by the labels of the data set.
        left_out: whether too few images have the label, or lack it, to judge it.
    """

    label: str
    images: int
    suspects: tuple[Suspect, ...]
    wrong: Estimate
    accuracy: Estimate
    left_out: bool


@dataclass(frozen=True, repr=False)
class LabelSetAudit:
    """Images with probable errors in one of several labels.

    Attributes:
        run: name of the run whose images they are.
        images: how many were audited.
        labels: the audit of each label.
        head: kind of the head.
        folds: number of folds.
        strategy: kind of the run's strategy. A backbone that is not frozen has learned the labels, wrong ones too.
    """

    run: str
    images: int
    labels: tuple[LabelErrors, ...]
    head: HeadKind
    folds: int
    strategy: str

    @property
    def suspects(self) -> list[tuple[str, Suspect]]:
        """Label and suspect, most doubtful first over all labels."""
        found = [(one.label, suspect) for one in self.labels for suspect in one.suspects]
        return sorted(found, key=lambda pair: (pair[1].score, pair[1].path, pair[0]))

    def table(self) -> pd.DataFrame:
        """Return all suspects as a data frame, most doubtful first."""
        names = ("rank", "path", "label", "has", "suggested", "score", "p_has", "issue", "split", "digest")
        rows = [
            (
                rank,
                one.path,
                label,
                one.label,
                one.suggested,
                round(one.score, 6),
                round(one.proba[1 if one.label == WITH else 0], 4),
                "yes" if one.issue else "",
                one.split,
                one.digest,
            )
            for rank, (label, one) in enumerate(self.suspects, start=1)
        ]
        return pd.DataFrame(rows, columns=list(names))

    def tables(self) -> tuple[Table, ...]:
        """Return the labels with the number of doubtful images, and the suspects."""
        ordered = sorted(self.labels, key=lambda one: -len(one.suspects))
        left = [one.label for one in self.labels if one.left_out]
        notes = [f"Each label is judged on its own by a {self.head} head, {self.folds} folds, and nearest neighbors."]
        if left:
            notes.append(f"Too few images to judge: {', '.join(left)}.")
        if self.strategy != "frozen":
            notes.append(fine_tuned_sentence(self.run, self.strategy))
        return (
            Table(
                name="labels",
                title=f"Doubtful labels by name, of {self.images:,} images",
                columns=(
                    Column("label", "label"),
                    Column("images", "images with it", "count"),
                    Column("suspects", "doubtful", "count"),
                    Column("issues", "of these by confident learning", "count"),
                    Column("accuracy", "accuracy out of fold", "estimate"),
                ),
                rows=tuple(
                    (one.label, one.images, len(one.suspects), sum(s.issue for s in one.suspects), one.accuracy)
                    for one in ordered
                ),
                notes=tuple(notes),
            ),
            Table(
                name="suspects",
                title="Most doubtful labels",
                columns=(
                    Column("path", "image"),
                    Column("label", "label"),
                    Column("has", "has it", "word"),
                    Column("score", "score", "number", digits=4),
                    Column("issue", "confident learning", "flag"),
                    Column("split", "split", "word"),
                ),
                rows=tuple(
                    (one.path, label, one.label, one.score, one.issue, one.split) for label, one in self.suspects
                ),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSetAudit:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This label audit was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"LabelSetAudit({self.run}: {self.images} images, {len(self.suspects)} doubtful labels)"

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def audit_label_sets(
    run: Run | str | Path,
    *,
    splits: str | Sequence[str] | None = None,
    head: HeadKind = HEAD,
    folds: int = FOLDS,
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> LabelSetAudit:
    """Return the images of a run of several labels of which one is probably wrong, most doubtful first.

    Each label is audited as two classes, with it and without it, by `find_label_issues`: out-of-fold probabilities of a
    head on the run's features, times the share of nearest neighbors. Nothing is changed.

    Args:
        run: a run with `task: multilabel`, or its directory.
        splits: the split or splits of its images, audited together; default: all of them.
        head: kind of the head.
        folds: how many.
        embedding: how missing features are computed; default: as the run's recipe states.
        progress: called with (images done, images in all) for those whose features are not in the cache.

    Raises:
        TlkitError: there is no such run or split, it is of another task, or it has no stored model.
    """
    run = run if isinstance(run, Run) else open_run(run)
    if run.task != "multilabel":
        raise RunError(other_task(str(run.path), run.task))
    chosen = splits_of(run, (splits,) if isinstance(splits, str) else splits)
    features, samples, bound = load_run_features(run, chosen, embedding=embedding, progress=progress)
    matrix, duplicates = samples.label_matrix, copies_of(samples, run.alike)
    found: list[LabelErrors] = []
    for place, name in enumerate(samples.classes):
        y = matrix[:, place]
        few = min(int(y.sum()), int((1 - y).sum())) < folds
        if few:
            nothing = Estimate(None, None, None, n=len(y), note="too few images")
            found.append(LabelErrors(name, int(y.sum()), (), nothing, nothing, left_out=True))
            continue
        one = find_label_issues(
            features.x,
            y,
            classes=(WITHOUT, WITH),
            paths=features.path.tolist(),
            splits=samples.table["split"].tolist(),
            digests=features.digest.tolist(),
            head=head,
            folds=folds,
            repeats=1,
            seed=run.recipe.seed,
            groups=bound,
            duplicates=duplicates,
            confidence=run.recipe.evaluate.confidence,
        )
        found.append(LabelErrors(name, int(y.sum()), one.suspects, one.wrong, one.accuracy, bool(one.left_out)))
    strategy = run.recipe.strategy.kind
    if strategy != "frozen":
        logger.warning("%s", fine_tuned_sentence(run.directory.name, strategy))
    return LabelSetAudit(run.directory.name, len(samples), tuple(found), head, folds, strategy)
