"""Batches of images: their types, collation and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import default_collate

from tlkit.preprocess import Preprocess


class Batch(NamedTuple):
    """A batch of B images.

    Attributes:
        image: (B, 3, H, W); uint8 RGB, channels-last, from a loader; normalised float32 on the device.
        target: (B,) int64, positions in the classes; -1 where unknown; float32 of several labels (B, L) and of
            numbers (B,); of masks int64 (B, H, W), 255 where unknown; of boxes float32 (B, M, 5): class, left, top,
            right, bottom, then rows of -1.
        index: (B,) int64, rows of the split's samples. Batches lack unreadable images, so join by index.
    """

    image: Tensor
    target: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index


class CutBatch(NamedTuple):
    """A batch of B images as activations of a frozen prefix.

    Attributes:
        image: float32 activations (B, C, H, W), (B, H, W, C) or (B, N, C).
        target: (B,) int64, positions in the classes.
        index: (B,) int64, rows of the split's samples.
        after: name of the module whose output the activations are; "" for the features (B, D) of the whole backbone.
    """

    image: Tensor
    target: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    after: str


class LoadedImage(NamedTuple):
    """One image of a dataset: uint8 RGB (H, W, 3), its target and its row.

    The target is the position of a class, a float32 number or array (L,) of labels, an int64 mask (H, W), or float32
    boxes (M, 5).
    """

    image: npt.NDArray[np.uint8]
    target: int | np.float32 | npt.NDArray[np.float32] | npt.NDArray[np.int64]
    index: int  # type: ignore[assignment]  # hides tuple.index


@dataclass(frozen=True)
class Failure:
    """An image that a dataset cannot load, in place of its item.

    Attributes:
        path: the image.
        reason: why there is no item.
        kind: "damaged": the content cannot be decoded, and the batch lacks the image. "gone": the file cannot be
            opened. "unfit": the augmentation cannot be applied to the image.
    """

    path: str
    reason: str
    kind: Literal["damaged", "gone", "unfit"]


class Collated(NamedTuple):
    """The items of a batch, as a worker process sends them.

    Attributes:
        batch: the loaded images; None where there is none.
        failures: of each item in order; None for a loaded image.
    """

    batch: Batch | None
    failures: Sequence[Failure | None]


def collate(items: Sequence[LoadedImage | Failure]) -> Collated:
    """Return the items as a batch, without those that cannot be loaded."""
    failures = tuple(item if isinstance(item, Failure) else None for item in items)
    good = [item for item in items if isinstance(item, LoadedImage)]
    if not good:
        return Collated(None, failures)
    stacked = default_collate([torch.from_numpy(item.image) for item in good])  # (B, H, W, 3); of a worker: shared
    batch = Batch(
        stacked.permute(0, 3, 1, 2),  # channels-last
        torch.from_numpy(_stacked([item.target for item in good])),
        torch.tensor([item.index for item in good], dtype=torch.int64),
    )
    return Collated(batch, failures)


def _stacked(targets: Sequence[Any]) -> npt.NDArray[Any]:
    """Return the targets of B images as one array; boxes (M, 5) are followed by rows of -1, to the most of an image."""
    if np.ndim(targets[0]) != 2 or targets[0].dtype != np.float32:
        return np.stack(targets)
    found = np.full((len(targets), max(map(len, targets)), targets[0].shape[1]), -1, dtype=np.float32)
    for row, boxes in enumerate(targets):
        found[row, : len(boxes)] = boxes
    return found


def normalize(image: Tensor, preprocess: Preprocess) -> Tensor:
    """Return uint8 pixels (B, 3, H, W) as float32, (x / 255 - mean) / std, on the same device.

    Example:
        >>> white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
        >>> normalize(white, Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3)).flatten().tolist()
        [1.0, 1.0, 1.0]
    """
    mean = torch.tensor(preprocess.mean, dtype=torch.float32, device=image.device)
    std = torch.tensor(preprocess.std, dtype=torch.float32, device=image.device)
    values = image.to(torch.float32).div_(255)
    if values.is_contiguous() or not values.is_contiguous(memory_format=torch.channels_last):
        return values.sub_(mean.view(1, 3, 1, 1)).div_(std.view(1, 3, 1, 1))
    width = image.shape[3]  # whole rows of pixels at once take a quarter of the time
    rows = values.permute(0, 2, 3, 1).flatten(2).sub_(mean.repeat(width)).div_(std.repeat(width))
    rows = rows.reshape(image.shape[0], image.shape[2], width, 3)
    return rows.permute(0, 3, 1, 2)  # not `values`: torch.jit.trace misses in-place changes of a view
