"""Reference operators of torchvision in Python, for tests beside a CPU build of torch, where the compiled ones lack."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

import tlkit.torchvision_cure  # noqa: F401  before torchvision

import numpy as np
import pytest
import torch


def greedy_nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Return the boxes that no better kept box overlaps by more than a share, the best first."""
    order = scores.argsort(descending=True, stable=True).numpy()
    left, top, right, bottom = boxes.detach().numpy()[order].T
    area = (right - left) * (bottom - top)
    free, kept = np.ones(len(order), dtype=bool), []
    for row in range(len(order)):
        if free[row]:
            kept.append(order[row])
            wide = np.minimum(right[row], right) - np.maximum(left[row], left)
            both = np.maximum(wide, 0) * np.maximum(np.minimum(bottom[row], bottom) - np.maximum(top[row], top), 0)
            free &= both <= iou_threshold * (area[row] + area - both)
    return torch.tensor(np.array(kept, dtype=np.int64))


def roi_align(
    features: torch.Tensor,
    rois: torch.Tensor,
    spatial_scale: float,
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """Return the means of bilinear samples in the bins of boxes within the maps (B, C, H, W), shape (K, C, h, w)."""
    assert sampling_ratio > 0 and not aligned
    found = features.new_zeros((len(rois), features.shape[1], height, width))
    ends = rois[:, 1:] * spatial_scale
    sides = (ends[:, 2:] - ends[:, :2]).clamp(min=1)
    points = [
        ends[:, place, None]
        + (torch.arange(bins * sampling_ratio) + 0.5) * sides[:, place, None] / (bins * sampling_ratio)
        for place, bins in ((0, width), (1, height))
    ]  # (K, w s) and (K, h s), in pixels of the map
    size = features.shape[3], features.shape[2]
    across, down = (2 * one / max(1, count - 1) - 1 for one, count in zip(points, size, strict=True))
    for image in range(len(features)):
        rows = torch.nonzero(rois[:, 0] == image)[:, 0]
        if len(rows):
            grid = torch.stack(
                [
                    across[rows, None, :].expand(-1, down.shape[1], -1),
                    down[rows, :, None].expand(-1, -1, across.shape[1]),
                ],
                dim=3,
            )  # (k, h s, w s, 2)
            samples = torch.nn.functional.grid_sample(
                features[image, None], grid.flatten(0, 1)[None], padding_mode="border", align_corners=True
            )  # (1, C, k h s, w s)
            apart = samples[0].reshape(features.shape[1], len(rows), down.shape[1], across.shape[1])
            bins = torch.nn.functional.avg_pool2d(apart, sampling_ratio)
            found = found.index_copy(0, rows, bins.transpose(0, 1))
    return found


_KEPT: list[torch.library.Library] = []
"""Registered operators last as long as their library."""


@contextmanager
def reference_operators() -> Iterator[None]:
    """Let torchvision call these operators on the CPU; where the compiled ones load, they are called instead."""
    extension = importlib.import_module("torchvision.extension")
    if extension._has_ops():
        yield
        return
    if not _KEPT:
        schemas, kernels = (torch.library.Library("torchvision", kind) for kind in ("FRAGMENT", "IMPL"))
        schemas.define(
            "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
            "int sampling_ratio, bool aligned) -> Tensor"
        )
        kernels.impl("nms", greedy_nms, "CPU")
        kernels.impl("roi_align", roi_align, "CompositeImplicitAutograd")
        _KEPT.extend((schemas, kernels))
    with pytest.MonkeyPatch.context() as patch:
        for module in (extension, importlib.import_module("torchvision.ops.roi_align")):
            patch.setattr(module, "_has_ops", lambda: True)
        yield
