"""Images with their masks, for training, and images with their sizes, for predicting masks of the same size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlkit.data.augment.transforms import sample_id_of
from tlkit.data.decode.decoding import ImageFacts, open_rgb
from tlkit.data.decode.resizing import PADDING
from tlkit.data.loading.batch import Failure, LoadedImage
from tlkit.data.loading.dataset import ImageDataset
from tlkit.data.loading.shared_paths import PathTable
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.mask_classes import UnusableMaskError
from tlkit.mask_files import read_mask
from tlkit.samples import LABEL, MASK_DIGEST, Samples


class MaskDataset(ImageDataset):
    """Images whose targets are their masks (H, W) in the size of the network's input, moved as the image is.

    A target is the position of a pixel's class, and 255 where it is unknown. An image whose mask can no longer be used
    is a `Failure`. The arguments are those of `ImageDataset`.
    """

    def __init__(self, images: Samples, **options: Any) -> None:
        super().__init__(images, **options)
        assert images.masks is not None, "segmentation states the classes of its masks"
        self._classes, self._masks = images.masks, PathTable(images.table[LABEL])
        checked = MASK_DIGEST in images.table.columns
        self._mask_digests = PathTable(images.table[MASK_DIGEST] if checked else [""] * len(images))

    def _open(self, content: bytes, path: str) -> tuple[Image.Image, ImageFacts]:
        """Return the image at full scale, whatever the preprocessing says: the mask lies on its pixels."""
        return open_rgb(content, self._decode_options, name=path)

    def _item(self, path: str, target: Any, *, epoch: int, index: int) -> LoadedImage | Failure:
        image, _ = self._opened(epoch, index, path)
        name = self._masks[index]
        try:
            content = read_bytes(Path(self._root, name))
            self._note_change(index, content, self._mask_digests[index], name)
            positions = self._classes.positions(read_mask(content))
        except (OSError, UnusableMaskError) as error:
            return Failure(path, f"its mask {name} cannot be used: {error}", "unfit")
        if positions.shape != (image.height, image.width):
            return Failure(path, f"its mask {name} has another size than the image", "unfit")
        mask = np.where(positions < 0, PADDING, positions).astype(np.uint8)
        pixels, moved = self.transform.with_mask(
            image, mask, seed=self._seed, epoch=epoch, sample_id=sample_id_of(path)
        )
        return LoadedImage(pixels, moved.astype(np.int64), index)


class SizedDataset(ImageDataset):
    """Images whose targets are their own heights and widths, int64 (2,)."""

    def _item(self, path: str, target: Any, *, epoch: int, index: int) -> LoadedImage | Failure:
        image, facts = self._opened(epoch, index, path)
        size = np.array(facts.size, dtype=np.int64)
        return LoadedImage(self._augmented(image, facts.frame, epoch, path), size, index)
