"""Accuracy by group in batches: exact whichever groups a batch lacks, and over processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlkit.models.group_accuracy import GroupAccuracy
from tlkit.stats.intervals import wilson


def test_counts_are_right_where_batches_lack_groups():
    """Known answer T13: p = 1,1,0,0,1, all targets 1, groups 0,0,2,2,1, in two batches that lack groups."""
    y_pred, group = torch.tensor([1, 1, 0, 0, 1]), torch.tensor([0, 0, 2, 2, 1])
    metric = GroupAccuracy(["a", "b", "c"])
    for rows in (slice(0, 4), slice(4, 5)):
        metric.update(y_pred[rows], torch.ones_like(y_pred[rows]), group[rows])
    assert metric.counts.tolist() == [[0, 2], [0, 1], [2, 0]]
    assert metric.compute().item() == 0.0 and metric.worst[0] == "c"


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_sum_over_processes_and_batches_is_one_pass_over_all_images(processes):
    rng = np.random.default_rng(0)
    y_pred, y_true = (torch.from_numpy(rng.integers(3, size=400)) for _ in range(2))
    group = torch.from_numpy(rng.choice([-1, 0, 1, 2], size=400, p=[0.1, 0.6, 0.28, 0.02]))
    parts = []
    for rank in range(processes):
        part = GroupAccuracy(["a", "b", "c"])
        for rows in torch.arange(rank, 400, processes).split(16):
            part.update(y_pred[rows], y_true[rows], group[rows])
        parts.append(part)
    gathered = parts[0]._reductions["counts"](torch.stack([part.counts for part in parts]))
    one = GroupAccuracy(["a", "b", "c"])
    one.update(y_pred, y_true, group)
    assert gathered.dtype == torch.int64 and torch.equal(gathered, one.counts)
    hits = (y_pred == y_true).numpy()
    rates = [hits[group == code].mean() for code in range(3)]
    assert one.compute().item() == pytest.approx(min(rates))
    name, worst = one.worst
    code = int(np.argmin(rates))
    assert name == "abc"[code]
    assert worst == wilson(int(hits[group == code].sum()), int((group == code).sum()))


def test_a_group_without_images_is_never_the_worst():
    metric = GroupAccuracy(["a", "b"])
    metric.update(torch.tensor([1]), torch.tensor([1]), torch.tensor([-1]))
    assert np.isnan(metric.compute().item()) and metric.worst[1].value is None
    metric.update(torch.tensor([1]), torch.tensor([1]), torch.tensor([0]))
    assert metric.compute().item() == 1.0 and metric.worst[0] == "a"
    metric.reset()
    assert metric.counts.sum() == 0
