"""Anchors of a detector at the centers of its feature maps, whatever the size of the images."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tlkit.timm import AnchorGenerator, ImageList


class StridedAnchors(AnchorGenerator):  # type: ignore[misc]  # torchvision states no types
    """torchvision's anchors, one stride of their map apart.

    torchvision takes the size of the image divided by that of the map, rounded down, for the stride, which is another
    number where the size is no multiple of the stride: of images of 250 px it is 15 instead of 16, and the last anchors
    lie a whole stride away from what they see.

    Attributes:
        strides: of the maps, in pixels.
    """

    def __init__(self, strides: Sequence[int]) -> None:
        """Set anchors eight strides wide, in three shapes.

        Args:
            strides: of the maps, in pixels, the finest first.
        """
        super().__init__(tuple((8 * stride,) for stride in strides), ((0.5, 1.0, 2.0),) * len(strides))
        self.strides = tuple(strides)

    def forward(self, image_list: ImageList, feature_maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the anchors of each image, (A, 4): left, top, right, bottom in pixels."""
        dtype, device = feature_maps[0].dtype, feature_maps[0].device
        steps = [[torch.tensor(stride, device=device)] * 2 for stride in self.strides]
        self.set_cell_anchors(dtype, device)
        grids = [[int(side) for side in one.shape[-2:]] for one in feature_maps]
        anchors = torch.cat(self.grid_anchors(grids, steps))
        return [anchors] * len(image_list.image_sizes)
