"""The finders of learning rate and batch size: the published rules, and no side effects."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest
import torch
from messages import saying, says
from small_training import SIZE, noise, small_classifier

from tlkit.data.loading.dataset import ImageLoader
from tlkit.data.loading.sampler import EpochSampler
from tlkit.errors import DataError, ModelError, TlkitError
from tlkit.models import tuning_sweep as sweep
from tlkit.models.optim import create_optimizer
from tlkit.models.strategies.apply_phase import parameter_groups
from tlkit.models.tuning_results import BatchSize, BatchSizes, RateSweep
from tlkit.models.tuning_sweep import sweep_rates, time_batch_sizes


class Noise(torch.utils.data.Dataset):
    """Bright and dark noise, as an `EpochSampler` asks for it."""

    def __len__(self):
        return 12

    def __getitem__(self, key):
        epoch, index = key
        stream = torch.Generator().manual_seed(100 * epoch + index)
        return torch.randn(3, SIZE, SIZE, generator=stream) + index % 2, index % 2, index


def _loader():
    sampler = EpochSampler(12, shuffle=True, seed=0)
    return ImageLoader(Noise(), batch_size=4, sampler=sampler, generator=torch.Generator().manual_seed(3))


def _classifier(name="test_resnet", strategy="full", **train):
    return small_classifier(name, strategy, given={"drop_rate": 0.2}, **train)


def _hash(value):
    return hashlib.sha256(pickle.dumps(value)).hexdigest()


def _tensors(state):
    return {
        name: value.numpy().tobytes() if isinstance(value, torch.Tensor) else value for name, value in state.items()
    }


def _everything(classifier, optimizer):
    """Return hashes of all state of a classifier and its optimizer that a later training depends on."""
    slots = {number: _tensors(slot) for number, slot in optimizer.state_dict()["state"].items()}
    gradients = [p.grad.numpy().tobytes() if p.grad is not None else None for p in classifier.parameters()]
    return {
        "tensors": _hash(_tensors(classifier.state_dict())),
        "learning": [p.requires_grad for p in classifier.parameters()],
        "modes": [module.training for module in classifier.modules()],
        "phase": classifier.phase.name,
        "gradients": _hash(gradients),
        "optimizer": _hash(slots),
        "rates": [group["lr"] for group in optimizer.param_groups],
    }


@pytest.mark.parametrize(
    ("name", "strategy"), [("test_resnet", "full"), ("test_vit", "lp_ft"), ("test_resnet", "lora")]
)
def test_the_finders_do_not_change_the_classifier(name, strategy):
    torch.manual_seed(0)
    classifier, loader = _classifier(name, strategy, ema_decay=0.9 if strategy == "full" else None), _loader()
    groups = parameter_groups(classifier.network, classifier.phases, learning_rate=0.01, weight_decay=0.1)
    optimizer = create_optimizer(groups, classifier.settings)
    for number, batch in enumerate(loader):  # stop within an epoch, with gradients and momenta at hand
        classifier.batch_loss(batch, epoch=0, batch_idx=number).backward()
        optimizer.step()
        if number == 1:
            break
    before = _everything(classifier, optimizer)
    found = sweep_rates(classifier, loader, steps=12)
    sizes = time_batch_sizes(classifier, loader, smallest=2, largest=4, memory_mb=1e6)
    assert len(found.losses) > 2 and [one.images for one in sizes.tried] == [2, 4]
    assert _everything(classifier, optimizer) == before


def test_groups_keep_their_ratios_and_the_rate_rises_by_a_constant_factor(monkeypatch):
    seen = []
    monkeypatch.setattr(sweep, "create_optimizer", lambda *given: seen.append(create_optimizer(*given)) or seen[-1])
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self: rates.append([group["lr"] for group in self.param_groups])
    )
    rates = []
    strategy = {"kind": "full", "backbone_lr_factor": 0.2, "layer_decay": 0.5}
    found = sweep_rates(_classifier(strategy=strategy), list(_loader()), lowest=1e-5, highest=1e-1, steps=5)
    factors = [group["rates"][0] for group in seen[0].param_groups]
    assert len(set(factors)) > 3
    np.testing.assert_allclose(rates, [[rate * factor for factor in factors] for rate in found.rates])
    np.testing.assert_allclose(found.rates, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1])


def test_a_head_that_learns_gets_a_rate_that_learns_and_divergence_ends_the_sweep():
    classifier, batches = _classifier(strategy="frozen", optimizer="sgd", gradient_clip_val=None), list(_loader())
    found = sweep_rates(classifier, batches, highest=1e6, steps=120)
    assert found.stopped == "diverged"
    assert len(found.rates) == len(found.losses) < 120
    assert found.suggested is not None and 1e-4 < found.suggested < 100
    assert found.phase == classifier.phases[0].name


def test_the_suggestion_is_the_steepest_fall_but_at_most_a_tenth_of_the_rate_at_the_minimum():
    rates = np.geomspace(1e-6, 1.0, 121)
    late, early = (1.0 - 0.5 / (1 + np.exp(-6 * (np.log10(rates) - place))) for place in (-3.0, -1.2))
    rise = np.where(np.log10(rates) > -0.5, 10 * (np.log10(rates) + 0.5), 0)
    gentle, hasty = RateSweep(rates, late + rise, "end", "all"), RateSweep(rates, early + rise, "end", "all")
    slopes = np.gradient(gentle.smoothed[: gentle.smoothed.argmin() + 1], np.log(rates[: gentle.smoothed.argmin() + 1]))
    assert gentle.steepest == rates[slopes.argmin()]
    assert gentle.suggested == pytest.approx(gentle.steepest, rel=0.05)
    assert hasty.suggested == pytest.approx(hasty.lowest / 10, rel=0.05) and hasty.suggested < hasty.steepest
    (table,) = gentle.tables()
    assert table.notes == (f"Suggested: train: {{learning_rate: {gentle.suggested:g}}}",)
    assert table.rows == (("all", 121, rates[0], 1.0, "end", gentle.steepest, gentle.lowest),)
    again = RateSweep.from_dict(json.loads(json.dumps(gentle.to_dict())))
    assert np.array_equal(again.losses, gentle.losses) and again.tables() == gentle.tables()
    with pytest.raises(TlkitError, match=saying("sweep", "newer tlkit", "format 9").pattern):
        RateSweep.from_dict({**gentle.to_dict(), "format_version": 9})


def test_a_loss_that_never_falls_gives_no_suggestion():
    flat = RateSweep(np.geomspace(1e-6, 1, 30), np.full(30, 0.7), "end", "all")
    assert flat.suggested is None
    assert "none can be suggested" in flat.tables()[0].notes[0]
    assert flat.tables()[0].column("steepest") == (None,)
    assert "none can be suggested" in flat._repr_html_()


def test_batch_sizes_end_at_a_plateau_at_the_memory_and_at_the_images(monkeypatch):
    classifier, batches = _classifier(), list(_loader())
    monkeypatch.setattr(sweep, "_seconds", lambda work, device: next(seconds))
    rounds = 2 * ((2, 10), (4, 20), (8, 20.5), (16, 20.4))
    seconds = (size / speed for size, speed in rounds for _ in range(sweep.STEPS))
    flat = time_batch_sizes(classifier, batches, smallest=2, largest=100, memory_mb=1e9)
    assert (flat.stopped, [one.images for one in flat.tried], flat.suggested) == ("plateau", [2, 4, 8, 16], 4)
    memory = iter([100, 150, 300, 900])
    monkeypatch.setattr(sweep, "_memory_mb", lambda device: next(memory))
    seconds = iter([1.0] * 4 * sweep.STEPS)
    full = time_batch_sizes(classifier, batches, smallest=2, largest=100, memory_mb=350)
    assert (full.stopped, [one.images for one in full.tried]) == ("memory", [2, 4])
    assert all(part in full.tables()[0].notes[0] for part in ("memory of 350 MB", "data: {batch_size: 4}"))

    def refuse(work, device):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(sweep, "_seconds", refuse)
    monkeypatch.setattr(sweep, "_memory_mb", lambda device: 0)
    nothing = time_batch_sizes(classifier, batches, largest=8)
    assert (nothing.stopped, nothing.tried, nothing.suggested) == ("memory", (), None)
    assert "No batch size fits" in nothing.tables()[0].notes[0]


def test_batch_sizes_survive_json():
    sizes = BatchSizes((BatchSize(4, 10.0, 100.0), BatchSize(8, 18.0, 120.0)), "images", None)
    assert BatchSizes.from_dict(json.loads(json.dumps(sizes.to_dict()))) == sizes
    assert sizes.tables()[0].rows == ((4, 10.0, 100.0), (8, 18.0, 120.0))
    with pytest.raises(TlkitError, match=saying("batch sizes", "newer tlkit", "format 9").pattern):
        BatchSizes.from_dict({**sizes.to_dict(), "format_version": 9})


def test_no_batches_and_a_first_loss_that_is_no_number_are_errors():
    with pytest.raises(DataError, match="no batch"):
        sweep_rates(small_classifier(), [], steps=10)
    broken = [[images * float("nan"), targets] for images, targets in noise()]
    with pytest.raises(ModelError, match="not a finite number"):
        sweep_rates(small_classifier(), broken, steps=10)


@pytest.mark.parametrize(
    ("speeds", "suggested"), [((100, 101, 99, 102), 32), ((100, 101, 99, 70), 4), ((40, 60, 80, 100), 32)]
)
def test_a_batch_size_that_no_other_beats_is_kept(speeds, suggested):
    tried = tuple(BatchSize(size, speed, None) for size, speed in zip((4, 8, 16, 32), speeds, strict=True))
    sizes = BatchSizes(tried, "plateau", None, current=32)
    note = sizes.tables()[0].notes[0]
    assert sizes.suggested == suggested and says(note, f"batch_size: {suggested}")
    assert ("keep" in note) == (suggested == 32)
    assert BatchSizes.from_dict(sizes.to_dict()) == sizes


@pytest.mark.parametrize(
    ("slower", "suggested", "scattered"),
    [((99, 40, 39, 38), 4, False), ((70, 40, 39, 38), 32, True), ((50, 97, 39, 38), 8, False)],
)
def test_a_batch_size_is_suggested_only_where_both_rounds_of_timing_agree(slower, suggested, scattered):
    speeds = zip((4, 8, 16, 32), (100, 99, 72, 71), slower, strict=True)
    sizes = BatchSizes(tuple(BatchSize(size, fast, None, slow) for size, fast, slow in speeds), "plateau", None, 32)
    note = sizes.tables()[0].notes[0]
    assert (sizes.suggested, sizes.scattered, sizes.to_dict()["scattered"]) == (suggested, scattered, scattered)
    assert says(note, "scatter", "factor of 2.5", "keep", "batch_size: 32") == scattered
    assert sizes.largest_scatter == pytest.approx(99 / 40 if slower[1] == 40 else 2.0)
    assert BatchSizes.from_dict(json.loads(json.dumps(sizes.to_dict()))) == sizes


def test_other_work_on_the_machine_during_one_round_gives_no_suggestion(monkeypatch):
    monkeypatch.setattr(sweep, "_seconds", lambda work, device: next(seconds))
    quiet, loaded = ((4, 100), (8, 100), (16, 100)), ((4, 90), (8, 30), (16, 25))
    seconds = (size / speed for size, speed in (*loaded, *quiet) for _ in range(sweep.STEPS))
    sizes = time_batch_sizes(_classifier(), _loader(), largest=100, current=16, memory_mb=1e9)
    assert [one.slower_round for one in sizes.tried] == pytest.approx([90, 30, 25])
    assert (sizes.suggested, sizes.scattered) == (16, False)
    seconds = (size / speed for size, speed in (*loaded, (4, 30), (8, 60), (16, 70)) for _ in range(sweep.STEPS))
    sizes = time_batch_sizes(_classifier(), _loader(), largest=100, current=16, memory_mb=1e9)
    assert (sizes.suggested, sizes.scattered) == (16, True)


def test_a_batch_size_beyond_the_training_images_is_compared_as_the_largest_one():
    tried = (BatchSize(4, 10.0, None, 9.9), BatchSize(6, 14.0, None, 13.9))
    assert BatchSizes(tried, "images", None, 32).suggested == 32
    assert BatchSizes(tried, "memory", 100.0, 32).suggested == 6  # the present one does not fit


def test_the_current_batch_size_is_timed_even_beyond_a_plateau():
    sizes = time_batch_sizes(_classifier(), _loader(), smallest=2, largest=12, current=9, memory_mb=1e6)
    assert 9 in [one.images for one in sizes.tried]


@pytest.mark.parametrize(("repeated", "said"), [((1.0, 1.2), "agree"), ((0.001, None), "disagree")])
def test_a_suggested_rate_comes_with_the_range_of_several_sweeps(repeated, said):
    rates = np.geomspace(1e-6, 10, 50)
    losses = np.concatenate([np.full(35, 1.0), np.linspace(1.0, 0.2, 15)])
    found = RateSweep(rates, losses, "end", "all", repeated)
    values = [found.suggested, *(rate for rate in repeated if rate is not None)]
    assert found.suggested_range == (min(values), max(values))
    assert says(found.tables()[0].notes[0], f"{min(values):g} to {max(values):g}", said)
    assert RateSweep.from_dict(found.to_dict()).repeated == repeated
    assert RateSweep(rates, losses, "end", "all").suggested_range is None
