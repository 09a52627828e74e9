"""`Estimate`: a number with its confidence interval, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DIGITS = 3  # after the point, unless stated
LARGE = 1e7
"""From here on numbers are written with an exponent."""
SMALL = 1e-4
"""Below it, too, those in a unit."""


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
        >>> Estimate(1.234e-6, 1.1e-6, 1.372e-6, n=24).format(in_unit=True)
        '1.23e-06 [1.10e-06, 1.37e-06]'
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

    @property
    def size(self) -> float:
        """The largest of the value and the ends, without sign; 0 where there is none."""
        return max((abs(one) for one in (self.value, self.low, self.high) if one is not None), default=0.0)

    def format(self, *, digits: int = DIGITS, signed: bool = False, in_unit: bool = False) -> str:
        """Return value and interval; the interval alone where the value is withheld; the note where one of them lacks.

        Args:
            digits: decimals.
            signed: whether it is a difference, written with its sign.
            in_unit: whether it is a number in a unit, of which a small one has as many significant digits.
        """
        size = self.size if in_unit else None

        def text(number: float) -> str:
            write = signed_number if signed else plain_number
            return write(number, digits=digits, size=size)

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


def plain_number(value: float, *, digits: int = DIGITS, size: float | None = None) -> str:
    """Return a number as text; one from ten millions on, as mean errors may be, has six digits and an exponent.

    Args:
        value: the number.
        digits: decimals.
        size: of a number in a unit, such as seconds, the largest of those beside it, without sign: where it is below
            0.1, there are as many significant digits of it. None = a rate, whose decimals are always as many.

    Example:
        >>> plain_number(0.0521), plain_number(9.5248355e28), plain_number(0.0004), plain_number(0.0004, size=0.0012)
        ('0.052', '9.52484e+28', '0.000', '0.00040')
        >>> plain_number(4.56e-7, size=1e-6)
        '4.56e-07'
    """
    return _text(value, digits, size, sign="")


def signed_number(value: float, *, digits: int = DIGITS, size: float | None = None) -> str:
    """Return a difference as text with its sign, as `plain_number` writes it; one that rounds to zero has no sign.

    Example:
        >>> signed_number(0.0521), signed_number(-0.2), signed_number(-0.0004), signed_number(4e-7, size=4e-7)
        ('+0.052', '-0.200', '0.000', '+4.00e-07')
    """
    text = _text(value, digits, size, sign="+")
    return text if text.strip("+0.") else text.removeprefix("+")


def _text(value: float, digits: int, size: float | None, *, sign: str) -> str:
    if abs(value) >= LARGE:
        return f"{value:{sign}.6g}"
    if size is None or not 0 < size < 0.1:
        return f"{value:{sign}z.{digits}f}"
    if size < SMALL:
        return f"{value:{sign}.{digits - 1}e}" if value else "0"
    return f"{value:{sign}z.{digits - 1 - math.floor(math.log10(size))}f}"
