"""Images of noise that a benchmark runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlkit.exported.facts import ExportedFacts


def noise_for(facts: ExportedFacts, batch: int) -> npt.NDArray[np.uint8]:
    """Return `batch` images of noise, uint8 (N, H, W, 3), in the input size of the network."""
    height, width = facts.preprocess.image_size
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
