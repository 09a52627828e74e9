"""Corrections of p-values for multiple tests: Holm, Hochberg, Benjamini–Hochberg, Benjamini–Yekutieli.

A missing p-value is not counted in the family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tlkit.arrays import Floats


def holm(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return Holm's adjusted p-values, which control the family-wise error rate.

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
    return _adjust(p, lambda tests: np.arange(tests, 0, -1.0), step_up=False)


def hochberg(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return Hochberg's adjusted p-values: Holm's factors in a step-up procedure.

    Valid for independent or positively dependent tests. Hochberg (1988), Biometrika 75:800. Arguments, result and
    errors are those of `holm`.
    """
    return _adjust(p, lambda tests: np.arange(tests, 0, -1.0))


def benjamini_hochberg(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return Benjamini and Hochberg's adjusted p-values, which control the false discovery rate.

    Valid for independent or positively dependent tests. Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57:289.
    Arguments, result and errors are those of `holm`.
    """
    return _adjust(p, lambda tests: tests / np.arange(1.0, tests + 1))


def benjamini_yekutieli(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return Benjamini and Yekutieli's adjusted p-values, which control the false discovery rate.

    Valid under any dependence. Benjamini & Yekutieli (2001), Annals of Statistics 29:1165, theorem 1.3. Arguments,
    result and errors are those of `holm`.
    """
    return _adjust(p, lambda tests: tests / np.arange(1.0, tests + 1) * (1.0 / np.arange(1.0, tests + 1)).sum())


def _adjust(
    p: Sequence[float | None], factors: Callable[[int], Floats], *, step_up: bool = True
) -> tuple[float | None, ...]:
    """Return the p-values times the factors of their ranks, made monotone from the largest (step-up) or smallest on."""
    values = np.array([np.nan if value is None else value for value in p], dtype=np.float64)
    tested = ~np.isnan(values)
    outside = tested & ((values < 0) | (values > 1))
    if outside.any():
        raise ValueError(f"A p-value must be in [0, 1]. Got {values[outside][0]:g} instead.")
    order = np.argsort(values[tested], kind="stable")
    scaled = values[tested][order] * factors(len(order))
    monotone = np.minimum.accumulate(scaled[::-1])[::-1] if step_up else np.maximum.accumulate(scaled)
    adjusted = np.full(len(values), np.nan)
    adjusted[np.flatnonzero(tested)[order]] = np.minimum(monotone, 1.0)
    return tuple(None if np.isnan(value) else float(value) for value in adjusted)
