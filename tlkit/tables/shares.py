"""Shares and differences of shares in the words of a sentence: percent, and percentage points."""

from __future__ import annotations

from tlkit.stats.estimate import Estimate

MOST_DECIMALS = 4
LARGE = 100
"""Images from which a share has a decimal: one image of fewer moves it by more than a percent."""


def percent(share: float, *, n: int | None = None, apart_from: float | None = None) -> str:
    """Return a share in percent: whole, or with a decimal where it says more.

    Args:
        share: in [0, 1].
        n: images that it is of; from `LARGE` on it has a decimal, unless it is 0 or 1.
        apart_from: another share of the same sentence; decimals keep the two from reading alike, and a share between
            0 and 1 from reading as 0% or 100%.

    Example:
        >>> percent(0.9028), percent(0.9028, n=144), percent(0.7917, n=48), percent(1.0, n=5000)
        ('90%', '90.3%', '79%', '100%')
        >>> percent(0.954, apart_from=0.949), percent(0.9999, n=20_000)
        ('95.4%', '99.99%')
    """
    decimals = int(n is not None and n >= LARGE and share not in (0.0, 1.0))
    other = share if apart_from is None else apart_from
    while decimals < MOST_DECIMALS and (
        (other != share and f"{100 * other:.{decimals}f}" == f"{100 * share:.{decimals}f}")
        or (0.0 < share < 1.0 and float(f"{100 * share:.{decimals}f}") in (0.0, 100.0))
    ):
        decimals += 1
    return f"{100 * share:.{decimals}f}%"


def percent_range(estimate: Estimate) -> str:
    """Return the interval of a share in percent, such as "84.3% to 94.1%"; "" where it has none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{percent(estimate.low, n=estimate.n)} to {percent(estimate.high, n=estimate.n)}"


def in_percent(estimate: Estimate) -> str:
    """Return a share in percent with its interval; its note where it has none.

    Example:
        >>> in_percent(Estimate(0.9028, 0.8434, 0.9411, n=144))
        '90.3% [84.3, 94.1]'
        >>> in_percent(Estimate(None, None, None, n=0, note="no images"))
        'undefined (no images)'
    """
    if estimate.low is None or estimate.high is None:
        return estimate.format()
    ends = f"[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    return f"{ends}%" if estimate.value is None else f"{100 * estimate.value:.1f}% {ends}"


def points(difference: float, *, decimals: int = 1) -> str:
    """Return a difference of shares in percentage points, without its sign and without zeros at the end.

    Args:
        difference: of two shares.
        decimals: at most so many; 2 for a tolerance, which somebody chose.

    Example:
        >>> points(-0.0573), points(0.05), points(0.01), points(0.0125, decimals=2)
        ('5.7 points', '5 points', '1 point', '1.25 points')
    """
    text = f"{abs(100 * difference):.{decimals}f}".rstrip("0").rstrip(".")
    return f"{text} point{'' if text == '1' else 's'}"


def signed_points(difference: float) -> str:
    """Return a difference of shares in percentage points with its sign.

    Example:
        >>> signed_points(-0.0573), signed_points(0.05), signed_points(-0.0001)
        ('-5.7 points', '+5 points', '0 points')
    """
    text = points(difference)
    return text if text == "0 points" else f"{'+' if difference > 0 else '-'}{text}"
