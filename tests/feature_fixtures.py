"""Features that can be learnt, and not too well: Gaussian classes that overlap; unequal scales, one dead feature."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def make_features():
    """Return a maker of (x, y, class names)."""

    def make(n=150, classes=3, width=20, *, apart=0.5, seed=0, shares=None):
        rng = np.random.default_rng(seed)
        y = np.arange(n) % classes if shares is None else rng.choice(classes, n, p=shares)
        x = rng.normal(size=(classes, width))[y] * apart + rng.normal(size=(n, width))
        x = x * np.linspace(0.2, 5, width) + np.linspace(-3, 3, width)
        x[:, 3] = 1.5
        return x.astype(np.float32), y.astype(np.int64), tuple("abcdefghij"[:classes])

    return make
