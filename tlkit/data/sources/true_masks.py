"""`true_positions`: the true mask of an image, checked against what is predicted of it."""

from __future__ import annotations

from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import DataError, reason_of
from tlkit.mask_classes import UnusableMaskError
from tlkit.mask_files import Positions, read_mask
from tlkit.samples import LABEL, PATH, Samples


def true_positions(samples: Samples, row: int, size: tuple[int, int]) -> Positions:
    """Return the class of each pixel in the true mask of an image, int32 (H, W); -1 = void.

    Args:
        samples: images with masks.
        row: of the image.
        size: height and width of the image in pixels.

    Raises:
        DataError: the mask is missing, damaged or of another size, or holds numbers of no class.
    """
    assert samples.masks is not None, "segmentation states the classes of its masks"
    path, mask = samples.table[PATH].iloc[row], samples.table[LABEL].iloc[row]
    try:
        found = samples.masks.positions(read_mask(read_bytes(samples.root / mask)))
    except OSError as error:
        reason = reason_of(error)
    except UnusableMaskError as error:
        reason = error.reason
    else:
        if found.shape == size:
            return found
        reason = f"it has {found.shape[1]}x{found.shape[0]} pixels, the image {size[1]}x{size[0]}"
    raise DataError(
        f"The true mask {mask} of {path} in {samples.root} cannot be used: {reason}. Restore it, "
        "or leave the image out."
    )
