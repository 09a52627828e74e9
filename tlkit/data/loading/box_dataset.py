"""Images with their boxes, for training."""

from __future__ import annotations

from typing import Any

from tlkit.data.augment.transforms import sample_id_of
from tlkit.data.decode.decoding import ImageFacts, open_rgb
from tlkit.data.loading.batch import Failure, LoadedImage
from tlkit.data.loading.dataset import ImageDataset
from tlkit.samples import Samples


class BoxDataset(ImageDataset):
    """Images whose targets are their boxes in the network's input, moved as the image is.

    A target is float32 (M, 5): class, left, top, right, bottom in pixels of the input. M is the number of boxes that
    the augmentation leaves or adds, since a reflected border shows objects once more. The arguments are those of
    `ImageDataset`.
    """

    def __init__(self, images: Samples, **options: Any) -> None:
        options["transform"] = options["transform"].for_boxes()
        super().__init__(images, **options)

    def _open(self, content: bytes, path: str) -> tuple[Any, ImageFacts]:
        """Return the image at full scale: the boxes lie on its pixels."""
        return open_rgb(content, self._decode_options, name=path)

    def _item(self, path: str, target: Any, *, epoch: int, index: int) -> LoadedImage | Failure:
        image, _ = self._opened(epoch, index, path)
        pixels, moved = self.transform.with_boxes(
            image, target[target[:, 0] >= 0], seed=self._seed, epoch=epoch, sample_id=sample_id_of(path)
        )
        return LoadedImage(pixels, moved, index)
