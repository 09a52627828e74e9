"""Types of arrays by what they hold; shapes are in the docstrings."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.floating[Any]]
