"""Corrections of p-values for many tests; a missing p-value takes no part and is not counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def holm(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return Holm's adjusted p-values: the chance of any false alarm in the family stays below alpha.

    Valid under any dependence. Holm (1979), Scandinavian Journal of Statistics 6:65.

    Args:
        p: p-values of the family, in [0, 1]; None or NaN = no test was possible.

    Returns:
        Adjusted p-values in the same order, None where there was no test. The family counts only real tests.

    Raises:
        ValueError: a p-value is not in [0, 1].

    Example:
        >>> holm([0.01, None, 0.03])
        (0.02, None, 0.03)
    """
    return _adjust(p, _step_down)


def hochberg(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return Hochberg's adjusted p-values: Holm's, stepping up.

    For independent or positively dependent tests. Hochberg (1988), Biometrika 75:800.

    Args:
        p: p-values of the family, in [0, 1]; None or NaN = no test was possible.

    Returns:
        Adjusted p-values in the same order, None where there was no test.

    Raises:
        ValueError: a p-value is not in [0, 1].
    """
    return _adjust(p, lambda ordered: _step_up(ordered, np.arange(len(ordered), 0, -1, dtype=np.float64)))


def benjamini_hochberg(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return Benjamini and Hochberg's adjusted p-values: the share of false alarms among the alarms.

    Its expectation stays below alpha for independent or positively dependent tests. Benjamini & Hochberg (1995),
    J. R. Stat. Soc. B 57:289.

    Args:
        p: p-values of the family, in [0, 1]; None or NaN = no test was possible.

    Returns:
        Adjusted p-values in the same order, None where there was no test.

    Raises:
        ValueError: a p-value is not in [0, 1].
    """
    return _adjust(p, lambda ordered: _step_up(ordered, len(ordered) / np.arange(1.0, len(ordered) + 1)))


def benjamini_yekutieli(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return Benjamini and Yekutieli's adjusted p-values: like Benjamini and Hochberg's under any dependence.

    Benjamini & Yekutieli (2001), Annals of Statistics 29:1165, theorem 1.3.

    Args:
        p: p-values of the family, in [0, 1]; None or NaN = no test was possible.

    Returns:
        Adjusted p-values in the same order, None where there was no test.

    Raises:
        ValueError: a p-value is not in [0, 1].
    """

    def adjust(ordered: Floats) -> Floats:
        rank = np.arange(1.0, len(ordered) + 1)
        return _step_up(ordered, len(ordered) / rank * (1.0 / rank).sum())

    return _adjust(p, adjust)


def _step_down(ordered: Floats) -> Floats:
    """Holm: multiply by the number of tests left, then never let a larger p end up below a smaller one."""
    left = np.arange(len(ordered), 0, -1, dtype=np.float64)
    return np.maximum.accumulate(ordered * left)


def _step_up(ordered: Floats, factor: Floats) -> Floats:
    """Multiply by the factors, then never let a smaller p end up above a larger one."""
    return np.asarray(np.minimum.accumulate((ordered * factor)[::-1])[::-1])


def _adjust(p: Sequence[float | None], adjust: Callable[[Floats], Floats]) -> tuple[float | None, ...]:
    values = np.array([np.nan if value is None else value for value in p], dtype=np.float64)
    tested = ~np.isnan(values)
    outside = tested & ((values < 0) | (values > 1))
    if outside.any():
        raise ValueError(f"A p-value must be in [0, 1]. Got {values[outside][0]:g} instead.")
    order = np.argsort(values[tested], kind="stable")
    adjusted = np.full(len(values), np.nan)
    adjusted[np.flatnonzero(tested)[order]] = np.minimum(adjust(values[tested][order]), 1.0)
    return tuple(None if np.isnan(value) else float(value) for value in adjusted)
