"""Rates along ordered groups: the trend, and the shape that a trend alone would hide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from tlkit.stats.tests import OmnibusTest, TrendTest, omnibus, trend

Shape = Literal["level", "rising", "falling", "U", "inverted U", "irregular"]


@dataclass(frozen=True)
class OrderedRates:
    """How a rate goes along ordered groups.

    Attributes:
        shape: how the rates go from group to group: rising or falling = never the other way; U = down, then up;
            inverted U = up, then down; irregular = turns more than once; level = all equal.
        turn: position of the turning group for U and inverted U, else None.
        trend: Cochran–Armitage test for a straight line.
        any: whether any group differs at all.
        bend_p: p-value that the rates lie on a straight line but for chance; small = a trend alone misleads. None with
            fewer than three groups.
    """

    shape: Shape
    turn: int | None
    trend: TrendTest
    any: OmnibusTest
    bend_p: float | None


def ordered_rates(k: npt.ArrayLike, n: npt.ArrayLike, *, seed: int = 0) -> OrderedRates | None:
    """Describe and test rates along ordered groups with equally spaced scores.

    The bend is Pearson's χ² of all groups minus the square of the Cochran–Armitage z, with G − 2 degrees of freedom:
    Armitage (1955), Biometrics 11:375, section 3.

    Args:
        k: successes of each group in their order, shape (G,).
        n: sizes of the groups, shape (G,); empty groups take no part.
        seed: seed of the permutations, where groups are too small for χ².

    Returns:
        Shape and tests, or None with fewer than two groups, or nothing but successes or failures.

    Example:
        >>> dip = ordered_rates([136, 109, 118, 115, 122], [148] * 5)
        >>> dip.shape, dip.turn, round(dip.bend_p, 4)
        ('irregular', None, 0.0012)
    """
    successes, sizes = np.asarray(k, dtype=np.int64), np.asarray(n, dtype=np.int64)
    kept = np.flatnonzero(sizes)
    successes, sizes = successes[kept], sizes[kept]
    line, test = trend(successes, sizes), omnibus(successes, sizes, seed=seed)
    if line is None or test is None:
        return None
    shape, turn = _shape(successes, sizes)
    df = len(sizes) - 2
    bend = float(chdtrc(df, max(0.0, test.statistic - line.z**2))) if df > 0 else None
    return OrderedRates(shape, None if turn is None else int(kept[turn]), line, test, bend)


def _shape(k: npt.NDArray[np.int64], n: npt.NDArray[np.int64]) -> tuple[Shape, int | None]:
    """Name the shape of the rates, compared as whole numbers, and the position where a U turns."""
    steps = np.sign(k[1:] * n[:-1] - k[:-1] * n[1:])
    moves = [int(step) for step in steps if step != 0]
    if not moves:
        return "level", None
    turns = [i for i in range(1, len(moves)) if moves[i] != moves[i - 1]]
    if not turns:
        return ("rising" if moves[0] > 0 else "falling"), None
    if len(turns) > 1:
        return "irregular", None
    rates = k / n
    return ("U", int(rates.argmin())) if moves[0] < 0 else ("inverted U", int(rates.argmax()))
