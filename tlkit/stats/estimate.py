"""`Estimate`: a number with its confidence interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DIGITS = 3  # after the point, unless stated
LARGE = 1e7
"""From here on numbers are written with an exponent."""


@dataclass(frozen=True)
class Estimate:
    """A point estimate with its confidence interval.

    Attributes:
        value: the estimate; None where it is undefined.
        low: lower end of the interval; None where there is no interval.
        high: upper end of the interval; None where there is no interval.
        n: the denominator of this rate, which may be smaller than the group.
        note: why there is no value or no interval, for example "no positives"; else "".

    Example:
        >>> Estimate(0.9, 0.71, 0.97, n=20).format()
        '0.900 [0.710, 0.970]'
        >>> Estimate(None, None, None, n=0, note="no positives").format()
        'undefined (no positives)'
        >>> Estimate(-0.2, -0.334, 0.052, n=9).format(signed=True)
        '-0.200 [-0.334, +0.052]'
        >>> Estimate(None, 0.279, 0.649, n=24).format()
        '[0.279, 0.649]'
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""

    def is_wide(self, most: float) -> bool:
        """Return whether half the width of the interval is above `most`."""
        return self.low is not None and self.high is not None and (self.high - self.low) / 2 > most

    def is_above(self, number: float) -> bool:
        """Return whether the whole interval lies above a number; False without an interval."""
        return self.low is not None and self.low > number

    def is_below(self, number: float) -> bool:
        """Return whether the whole interval lies below a number; False without an interval."""
        return self.high is not None and self.high < number

    def format(self, *, digits: int = DIGITS, signed: bool = False) -> str:
        """Return value and interval; the interval alone where the value is withheld; the note where one of them lacks.

        Args:
            digits: decimals.
            signed: whether it is a difference, written with its sign.
        """

        def text(number: float) -> str:
            return signed_number(number, digits=digits) if signed else plain_number(number, digits=digits)

        value = None if self.value is None else text(self.value)
        if self.low is not None and self.high is not None:
            interval = f"[{text(self.low)}, {text(self.high)}]"
            return interval if value is None else f"{value} {interval}"
        return f"{value or 'undefined'} ({self.note})" if self.note else value or "undefined"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Estimate:
        """Read what `to_dict` wrote."""
        return cls(**values)


def plain_number(value: float, *, digits: int = DIGITS) -> str:
    """Return a number as text; one from ten millions on, as mean errors may be, has six digits and an exponent.

    Example:
        >>> plain_number(0.0521), plain_number(9.5248355e28)
        ('0.052', '9.52484e+28')
    """
    return f"{value:z.{digits}f}" if abs(value) < LARGE else f"{value:.6g}"


def signed_number(value: float, *, digits: int = DIGITS) -> str:
    """Return a difference as text with its sign; a value that rounds to zero has no sign.

    Example:
        >>> signed_number(0.0521), signed_number(-0.2), signed_number(-0.0004)
        ('+0.052', '-0.200', '0.000')
    """
    if abs(value) >= LARGE:
        return f"{value:+.6g}"
    text = f"{value:+z.{digits}f}"
    return text if text.strip("+0.") else text.removeprefix("+")
