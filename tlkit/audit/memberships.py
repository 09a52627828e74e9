"""The groups of an audit: of each column, and of the intersections of columns."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from tlkit.arrays import Mask
from tlkit.audit.audit_notes import grouping
from tlkit.audit.groups.group_columns import Levels
from tlkit.audit.groups.intersections import GroupMembership, cross_columns, intersections
from tlkit.audit.options import AuditOptions
from tlkit.errors import first_few
from tlkit.spelling import names_alike

logger = logging.getLogger(__name__)


def log_levels(found: Sequence[Levels], options: AuditOptions, level: int) -> None:
    """Log how each column was cut into groups, and values that look alike."""
    for one, spec in zip(found, options.columns, strict=True):
        logger.debug("Group column %s is %s: %s.", one.column, one.kind, grouping(one.kind, len(one.values), spec))
        for alike in names_alike(one.values):
            logger.log(
                logging.WARNING if level >= logging.INFO else level,
                "Group column %s: %s differ only in case, spaces or leading zeros and count as different groups.",
                one.column,
                first_few([repr(value) for value in alike]),
            )


def all_memberships(
    levels: Sequence[Levels], labelled: Mask, options: AuditOptions, level: int
) -> list[GroupMembership]:
    """Return the groups of each column, then of each intersection of columns with two groups or more."""
    by_name = {one.column: one for one in levels}
    singles = [cross_columns([one]) for one in levels]
    crossed = [membership.columns[0] for membership in singles if count_groups(membership, labelled) >= 2]
    if (alone := [one.column for one in levels if one.column not in crossed]) and len(levels) > 1:
        logger.log(level, "Columns with fewer than two groups have no intersections: %s.", ", ".join(alone))
    order = min(options.max_intersection_order, len(crossed))
    return singles + [cross_columns([by_name[name] for name in chosen]) for chosen in intersections(crossed, order)]


def count_groups(membership: GroupMembership, labelled: Mask) -> int:
    """Return the number of groups that have labelled images."""
    seen = np.unique(membership.code[labelled & (membership.code >= 0)])
    return len(seen) if membership.member is None else int(membership.member[seen].any(axis=0).sum())
