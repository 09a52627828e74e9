"""Groups of a repair: the attribute that heads are balanced by, and the groups that the worst one is chosen from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlkit.arrays import Ints
from tlkit.audit.group_tables import CROSS, MISSING
from tlkit.audit.groups.group_columns import MAX_VALUES, By, columns_of
from tlkit.audit.groups.intersections import membership_of, validate_columns
from tlkit.errors import PredictionsError
from tlkit.features.features import Features
from tlkit.features.folds import assign_folds, bound_images
from tlkit.features.repair import GroupedFeatures
from tlkit.runs.run import Run
from tlkit.runs.run_options import split_groups
from tlkit.samples import SPLIT, Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grouping:
    """The attribute of every image: one column, or the intersection of several.

    Attributes:
        by: names of the columns.
        values: names of the attribute's values; one, "", where there is no attribute.
        code: value of each image, shape (N,), in the order of the samples.
    """

    by: tuple[str, ...]
    values: tuple[str, ...]
    code: Ints

    @classmethod
    def of(cls, samples: Samples, by: By | Sequence[By]) -> Grouping:
        """Return the attribute of all images; columns are discretized over all splits together, with the same edges.

        Raises:
            PredictionsError: a column is not there, or an image may have several values.
        """
        columns = columns_of(by)
        if not columns:
            return cls((), ("",), np.zeros(len(samples), dtype=np.int64))
        if problems := validate_columns(samples.groups, columns):
            raise PredictionsError(*problems)
        membership = membership_of(samples.groups, columns)
        if membership.member is not None:
            raise PredictionsError(
                f"{CROSS.join(membership.columns)} holds several values per image, so the groups overlap and cannot be "
                "balanced. Name columns with one value per image."
            )
        names = [*(CROSS.join(values) for values in membership.values), MISSING]
        taken, code = np.unique(membership.row_code, return_inverse=True)
        return cls(membership.columns, tuple(names[i] for i in taken), np.asarray(code, dtype=np.int64))

    def validation_images(self, samples: Samples) -> dict[str, int]:
        """Return the groups of val and test, or the classes without an attribute, with their validation images."""
        split = samples.table[SPLIT].to_numpy(dtype=str)
        kinds = self.values if self.by else samples.classes
        code = self.code if self.by else samples.targets
        found = code[split == "val"]
        return {kinds[i]: int((found == i).sum()) for i in np.unique(code[split != "train"]).tolist()}


@dataclass(frozen=True, eq=False)
class GroupedImages:
    """Images with features, and the groups that the worst one is chosen from.

    Attributes:
        features: of all splits.
        samples: the images with features, in the order of the features.
        attribute: code of each image's value.
        judged: code of each image's group, -1 = in none.
        names: of those groups.
        judged_by: what they are: "class", a column, or an intersection.
        bound: which images share a fold, one number per image (see `bound_images`).
        seed: of the folds.
    """

    features: Features
    samples: Samples
    attribute: Ints
    judged: Ints
    names: tuple[str, ...]
    judged_by: str
    bound: tuple[int, ...]
    seed: int

    @classmethod
    def of(cls, features: Features, samples: Samples, groups: Grouping, run: Run, smallest: int) -> GroupedImages:
        """Return the samples in the order of the features, in the finest groups with enough validation images.

        A value of the attribute, or without one a class, that has fewer takes no part in the choice of the worst group.
        """
        place = {path: row for row, path in enumerate(samples.paths.tolist())}
        rows = np.array([place[path] for path in features.path.tolist()], dtype=np.int64)
        table = samples.table.iloc[rows].reset_index(drop=True)
        found = samples.with_table(table)
        attribute = groups.code[rows]
        crossed = found.targets * len(groups.values) + attribute
        val, judged = (table[SPLIT] == "val").to_numpy(), (table[SPLIT] != "train").to_numpy()
        whole = attribute if groups.by else found.targets
        judged = judged & (np.bincount(whole[val], minlength=int(whole.max()) + 1)[whole] >= smallest)
        finest = np.bincount(crossed[val], minlength=int(crossed.max()) + 1)[np.unique(crossed[judged])]
        names: list[str]
        if not groups.by:
            code, names, what = found.targets, list(samples.classes), "class"
        elif finest.min() >= smallest and len(finest) <= MAX_VALUES:
            code, what = crossed, CROSS.join(("class", *groups.by))
            names = [f"{label}{CROSS}{value}" for label in samples.classes for value in groups.values]
        else:
            code, names, what = attribute, list(groups.values), CROSS.join(groups.by)
            logger.info(
                "The worst group is one by %s: some of its crossings with the class have fewer than %d "
                "validation images.",
                what,
                smallest,
            )
        taken = np.unique(code[judged])
        position = np.full(len(names), -1, dtype=np.int64)
        position[taken] = np.arange(len(taken))
        digests, fold_groups = features.digest.tolist(), split_groups(run, found)
        bound = bound_images(features.path.tolist(), groups=fold_groups, digests=digests, alike=run.alike)
        kept = tuple(names[i] for i in taken)
        return cls(features, found, attribute, position[code], kept, what, tuple(bound), run.recipe.seed)

    def rows(self, split: str) -> Ints:
        """Return the rows of a split."""
        return np.flatnonzero(self.samples.table[SPLIT].to_numpy(dtype=str) == split)

    def part(self, split: str, *, folds: int) -> GroupedFeatures:
        """Return the images of a split to learn from, assigned to folds stratified by class and attribute.

        Raises:
            DataError: there are too few of them.
        """
        rows = self.rows(split)
        y, attribute = self.samples.targets[rows], self.attribute[rows]
        assigned = assign_folds(
            self.features.path[rows].tolist(),
            y * (int(self.attribute.max()) + 1) + attribute,
            folds=folds,
            seed=self.seed,
            groups=[self.bound[row] for row in rows],
        )
        return GroupedFeatures(np.asarray(self.features.x[rows]), y, attribute, assigned.assignments[0])

    def split(self, split: str) -> Samples:
        """Return the samples of a split, in the order of `rows`."""
        table = self.samples.table.iloc[self.rows(split)].reset_index(drop=True)
        return self.samples.with_table(table)


def column_intersections(samples: Samples, by: By | Sequence[By]) -> Ints:
    """Return the code of each image's intersection of class and attribute, shape (N,); missing is a value of its own.

    Logs the number of groups and their sizes.

    Raises:
        PredictionsError: a column is not there, or an image may have several values.
    """
    groups = Grouping.of(samples, by)
    code = samples.targets * len(groups.values) + groups.code
    counts = np.bincount(code)
    held = counts[counts > 0]
    logger.info(
        "Groups by %s: %d, of %d to %d training images.",
        CROSS.join(("class", *groups.by)),
        len(held),
        held.min(),
        held.max(),
    )
    return np.asarray(code, dtype=np.int64)
