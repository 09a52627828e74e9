"""Outputs, losses and predictions of several labels, grades and numbers, against torch and the definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from small_training import trainer
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from tlkit.errors import RecipeError
from tlkit.models.classifier import Classifier
from tlkit.models.losses import loss_of, weight_in_loss
from tlkit.models.mixup import mix_batch
from tlkit.models.task_heads import RegressionHead, create_task_loss, task_head
from tlkit.recipe import TrainSection

GRADES = ["low", "middle", "high", "top"]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_labels_have_torchs_weighted_binary_cross_entropy():
    head = task_head("multilabel")
    logits, targets = drawn(6, 3), (drawn(6, 3, seed=1) > 0).float()
    weights, positive = {"a": 1.0, "b": 2.0, "c": 0.5}, {"a": 3.0, "b": 1.0, "c": 4.0}
    loss = create_task_loss(head, ["a", "b", "c"], weights=weights, positive_weights=positive)
    expected = functional.binary_cross_entropy_with_logits(
        logits, targets, weight=torch.tensor([1.0, 2.0, 0.5]), pos_weight=torch.tensor([3.0, 1.0, 4.0])
    )
    torch.testing.assert_close(loss_of(loss, logits, targets), expected)
    assert weight_in_loss(loss, targets) == 6
    torch.testing.assert_close(
        head.losses(logits, targets).mean(), functional.binary_cross_entropy_with_logits(logits, targets)
    )


def test_mixed_labels_have_the_loss_of_their_mixed_targets():
    loss = create_task_loss(task_head("multilabel"), ["a", "b"], positive_weights={"a": 2.0, "b": 1.0})
    images, targets, logits = drawn(8, 3, 4, 4), (drawn(8, 2, seed=2) > 0).float(), drawn(8, 2, seed=3)
    mixed = mix_batch(images, targets, mixup=1.0, cutmix=0.0, seed=5)
    blended = mixed.share * mixed.first + (1 - mixed.share) * mixed.second
    assert 0 < mixed.share < 1
    torch.testing.assert_close(mixed.loss(lambda *given: loss_of(loss, *given), logits), loss(logits, blended))


def test_numbers_have_torchs_losses_in_standard_deviations():
    logits, targets = drawn(7, 1), 5 + 3 * drawn(7, seed=4)
    scaled = (targets - 5) / 3
    for name, expected in (("huber", functional.huber_loss), ("mse", functional.mse_loss)):
        head = task_head("regression", scale=(5.0, 3.0), train=TrainSection(number_loss=name))
        torch.testing.assert_close(create_task_loss(head, [])(logits, targets), expected(logits[:, 0], scaled))
        torch.testing.assert_close(head.predicted(head.scores(logits)), 5 + 3 * logits[:, 0])
    assert RegressionHead(5.0, 3.0).outputs(0) == 1


def test_grades_have_the_probabilities_of_conditional_ranks():
    head = task_head("ordinal")
    logits = drawn(50, 3)
    assert head.outputs(len(GRADES)) == 3
    conditional = torch.sigmoid(logits).numpy().astype(np.float64)
    above = np.cumprod(conditional, axis=1)
    expected = np.column_stack([1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1] - above[:, 2], above[:, 2]])
    proba = head.scores(logits)
    np.testing.assert_allclose(proba.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(proba.sum(dim=1).numpy(), 1, atol=1e-6)
    assert np.array_equal(head.predicted(proba).numpy(), (above > 0.5).sum(axis=1))
    grades = torch.arange(50) % 4
    np.testing.assert_allclose(
        head.losses(logits, grades).numpy(), -np.log(expected[np.arange(50), grades.numpy()]), rtol=1e-4
    )


def test_loss_of_grades_is_that_of_corn():
    """The loss of the authors' code: over each rank's images, divided by the number of all of them."""
    logits, grades = drawn(40, 3), torch.randint(0, 4, (40,), generator=torch.Generator().manual_seed(1))
    total, count = 0.0, 0
    for rank in range(3):
        inside = grades >= rank
        target = (grades[inside] > rank).float()
        total += functional.binary_cross_entropy_with_logits(logits[inside, rank], target, reduction="sum").item()
        count += int(inside.sum())
    loss = create_task_loss(task_head("ordinal"), GRADES)
    assert loss(logits, grades).item() == pytest.approx(total / count, rel=1e-5)
    assert weight_in_loss(loss, grades) == count
    weights = dict(zip(GRADES, (1.0, 2.0, 3.0, 4.0), strict=True))
    weighted = create_task_loss(task_head("ordinal"), GRADES, weights=weights)
    halves = [(logits[:20], grades[:20]), (logits[20:], grades[20:])]
    parts = sum(weighted(*half) * weight_in_loss(weighted, half[1]) for half in halves)
    whole = sum(weight_in_loss(weighted, half[1]) for half in halves)
    torch.testing.assert_close(parts / whole, weighted(logits, grades))


def test_a_classifier_of_another_task_refuses_keys_that_it_does_not_have():
    for task, train, key in (
        ("multilabel", {"label_smoothing": 0.1}, "label_smoothing"),
        ("regression", {"mixup": 1.0}, "mixup"),
    ):
        with pytest.raises(RecipeError, match=rf"Classifier.*train\.{key}.*{task}"):
            Classifier("test_resnet", classes=["a", "b"], weights="none", task=task, train=train)


def test_a_classifier_of_numbers_needs_no_classes_and_is_restored_from_its_checkpoint(tmp_path):
    given = {"task": "regression", "target_scale": (10.0, 2.0), "train": {"epochs": 1, "number_loss": "mse"}}
    model = Classifier("test_resnet", weights="none", **given)
    numbers = 10 + 2 * drawn(8)
    batches = DataLoader(TensorDataset(drawn(8, 3, 32, 32, seed=2), numbers, torch.arange(8)), batch_size=4)
    first = trainer(tmp_path)
    first.fit(model, batches, batches)
    assert {"val_loss", "val_mae"} <= first.callback_metrics.keys()
    first.save_checkpoint(tmp_path / "one.ckpt")
    again = Classifier.load_from_checkpoint(tmp_path / "one.ckpt", weights_only=True)
    assert again.task == model.task == RegressionHead(10.0, 2.0, squared=True)
    images = drawn(4, 3, 32, 32, seed=3)
    model.eval(), again.eval()
    torch.testing.assert_close(again.predict_step(images, 0)["y_pred"], model.predict_step(images, 0)["y_pred"])
    error = (model.predict_step(batches.dataset.tensors[0], 0)["y_pred"] - numbers).abs().mean()
    torch.testing.assert_close(first.callback_metrics["val_mae"], error, rtol=1e-4, atol=1e-4)


def test_the_asymmetric_loss_is_that_of_its_authors_and_honours_weights():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 2, (30, 4)), (rng.random((30, 4)) < 0.3).astype(float)
    weight, positive = np.array([1.0, 2.0, 0.5, 1.0]), np.array([3.0, 1.0, 1.0, 2.0])
    p = 1 / (1 + np.exp(-logits))
    kept = np.maximum(p - 0.05, 0)
    each = -targets * (1 - p) * np.log(p) - (1 - targets) * kept**4 * np.log(1 - kept)
    names = ["a", "b", "c", "d"]
    loss = create_task_loss(task_head("multilabel"), names, asymmetric=True)
    found = loss(torch.tensor(logits), torch.tensor(targets))
    assert found.item() == pytest.approx(each.mean(), rel=1e-5)
    weighted = create_task_loss(
        task_head("multilabel"),
        names,
        weights=dict(zip(names, weight, strict=True)),
        positive_weights=dict(zip(names, positive, strict=True)),
        asymmetric=True,
    )
    factor = weight * np.where(targets == 1, positive, 1.0)
    found = weighted(torch.tensor(logits).float(), torch.tensor(targets).float())
    assert found.item() == pytest.approx((each * factor).mean(), rel=1e-4)


def test_the_loss_of_two_mixed_images_is_that_of_the_mean_of_their_labels():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((6, 3, 8, 8), generator=generator)
    targets = (torch.rand((6, 4), generator=generator) < 0.4).float()
    logits = torch.randn((6, 4), generator=generator)
    for given in ({"mixup": 0.4, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}):
        mixed = mix_batch(images, targets, seed=3, **given)
        shares = mixed.share * mixed.first + (1 - mixed.share) * mixed.second
        found = mixed.loss(create_task_loss(task_head("multilabel"), ["a", "b", "c", "d"]), logits)
        torch.testing.assert_close(found, functional.binary_cross_entropy_with_logits(logits, shares))


def test_quantiles_have_the_pinball_loss_and_never_cross():
    head = task_head("regression", scale=(5.0, 2.0), quantiles=(0.1, 0.9))
    logits, targets = drawn(40, 3), 5 + 2 * drawn(40, seed=1)
    wanted = ((targets - 5) / 2).numpy()
    expected = sum(
        mean_pinball_loss(wanted, logits[:, place].numpy(), alpha=level) for place, level in enumerate((0.5, 0.1, 0.9))
    )
    assert head.losses(logits, targets).mean().item() == pytest.approx(expected, rel=1e-5)
    scores = head.scores(logits)
    assert head.outputs(0) == 3
    assert (scores[:, 1] <= scores[:, 2]).all()
    torch.testing.assert_close(scores[:, 0], 5 + 2 * logits[:, 0])
    recipe = TrainSection(number_loss="quantile", quantile_coverage=0.8)
    assert task_head("regression", train=recipe).quantiles == pytest.approx((0.1, 0.9))


def test_the_smallest_pinball_loss_is_at_the_quantiles():
    values = torch.linspace(0, 1, 1001)
    head = task_head("regression", quantiles=(0.1, 0.9))
    logits = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], lr=0.2, max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = head.losses(logits.expand(len(values), 3), values).mean()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    assert logits.detach()[0].tolist() == pytest.approx([0.5, 0.1, 0.9], abs=0.02)
