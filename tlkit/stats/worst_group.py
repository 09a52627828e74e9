"""Worst-group accuracy before and after a change of the model, on the same images."""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.choices import CONFIDENCE
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import newcombe, wilson
from tlkit.stats.paired import Pairs, paired_difference


def worst_rates(
    pairs: Sequence[Pairs], confidence: float = CONFIDENCE
) -> tuple[tuple[int, Estimate], tuple[int, Estimate]]:
    """Return position and accuracy of the worst group, before and after, each with its Wilson interval.

    Args:
        pairs: counts of each group by which model is right; at least one image per group.
        confidence: two-sided level, in (0, 1).
    """
    before = [(group.both + group.first) / group.n for group in pairs]
    after = [(group.both + group.second) / group.n for group in pairs]
    one, two = before.index(min(before)), after.index(min(after))
    return (
        (one, wilson(pairs[one].both + pairs[one].first, pairs[one].n, confidence)),
        (two, wilson(pairs[two].both + pairs[two].second, pairs[two].n, confidence)),
    )


def worst_change(pairs: Sequence[Pairs], confidence: float = CONFIDENCE) -> Estimate:
    """Return the change of the worst-group accuracy; the worst group may differ before and after.

    With a_g and b_g the accuracies of group g before and after, the change is min b − min a. For the group w that is
    worst before, the change is at least min over g of (b_g − a_w), whose lower limit is the smallest of the lower
    limits of its parts: the intersection–union principle of Berger (1982), Technometrics 24:295. The upper end mirrors
    it with the group that is worst after. Differences on the same images have Newcombe's interval for pairs, others
    that for independent rates. The interval does not collapse where all or no image is right, as the bootstrap of a
    minimum does. It is conservative where many groups are about equally bad.

    Args:
        pairs: counts of each group by which model is right; groups share no image.
        confidence: two-sided level, in (0, 1).

    Returns:
        The change in [-1, 1]; its `n` is the number of images. Undefined without groups, or with an empty group.

    Example:
        >>> birds, cats = Pairs(both=90, first=2, second=3, neither=5), Pairs(both=12, first=0, second=12, neither=6)
        >>> worst_change([birds, cats]).format()
        '0.400 [0.196, 0.556]'
    """
    images = sum(group.n for group in pairs)
    if not pairs or min(group.n for group in pairs) == 0:
        return Estimate(None, None, None, n=images, note="a group without images")
    (worst, one), (then, two) = worst_rates(pairs, confidence)
    assert one.value is not None and two.value is not None
    low = min(_limits(pairs, after=group, before=worst, confidence=confidence)[0] for group in range(len(pairs)))
    high = max(_limits(pairs, after=then, before=group, confidence=confidence)[1] for group in range(len(pairs)))
    return Estimate(two.value - one.value, low, high, n=images)


def _limits(pairs: Sequence[Pairs], *, after: int, before: int, confidence: float) -> tuple[float, float]:
    """Return the interval of one group's accuracy after the change minus another's before it."""
    if after == before:
        found = paired_difference(pairs[after], confidence)
    else:
        one, two = pairs[after], pairs[before]
        found = newcombe(one.both + one.second, one.n, two.both + two.first, two.n, confidence)
    assert found.low is not None and found.high is not None, "every group has images"
    return found.low, found.high
