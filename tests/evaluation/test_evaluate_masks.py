"""Figures of masks, beside those of segmentation_models_pytorch and scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from tlkit.errors import PredictionsError
from tlkit.evaluation import evaluate_masks
from tlkit.evaluation.mask_result import MaskEvaluation
from tlkit.predictions import MaskPredictions


def masks(rng, count=12, classes=4, side=16, right=0.7):
    """Return pairs of true and predicted masks; a tenth of the truth is void."""
    for _ in range(count):
        true = rng.integers(0, classes, (side, side))
        called = np.where(rng.random(true.shape) < right, true, rng.integers(0, classes, true.shape))
        yield np.where(rng.random(true.shape) < 0.1, -1, true), called


def predictions(pairs, groups=None):
    names = [f"class {place}" for place in range(4)]
    return MaskPredictions.build(
        classes=names, path=[f"{n}.png" for n in range(len(pairs))], masks=pairs, groups=groups
    )


def test_figures_are_those_of_segmentation_models_pytorch():
    import tlkit.torchvision_cure  # noqa: F401  before torchvision, which smp imports

    smp, torch = pytest.importorskip("segmentation_models_pytorch"), pytest.importorskip("torch")
    pairs = list(masks(np.random.default_rng(0)))
    result = evaluate_masks(predictions(pairs))
    true, called = (torch.tensor(np.stack(side)) for side in zip(*pairs, strict=True))
    stats = smp.metrics.get_stats(called, true, mode="multiclass", ignore_index=-1, num_classes=4)
    tp, fp, fn, tn = (one.sum(dim=0, keepdim=True) for one in stats)
    for place, one in enumerate(result.per_class):
        cell = [each[:, [place]] for each in (tp, fp, fn, tn)]
        assert one.iou.value == pytest.approx(smp.metrics.iou_score(*cell).item(), abs=1e-6)
        assert one.dice.value == pytest.approx(smp.metrics.f1_score(*cell).item(), abs=1e-6)
    assert result.mean_iou.value == pytest.approx(smp.metrics.iou_score(*stats, reduction="macro").item(), abs=1e-6)
    assert result.mean_dice.value == pytest.approx(smp.metrics.f1_score(*stats, reduction="macro").item(), abs=1e-6)
    imagewise = smp.metrics.iou_score(*stats, reduction="macro-imagewise").item()
    assert result.image_iou.value == pytest.approx(imagewise, abs=1e-6)
    assert np.mean([one.image_iou.value for one in result.per_class]) == pytest.approx(imagewise, abs=1e-6)


def test_confusion_and_accuracy_are_those_of_scikit_learn():
    pairs = list(masks(np.random.default_rng(1)))
    result = evaluate_masks(predictions(pairs))
    true, called = (np.concatenate([one.ravel() for one in side]) for side in zip(*pairs, strict=True))
    known = true >= 0
    expected = confusion_matrix(true[known], called[known], labels=range(4))
    assert np.array_equal(result.confusion, expected)
    assert result.pixel_accuracy.value == pytest.approx((true == called)[known].mean(), abs=1e-12)


def test_a_prediction_of_void_is_a_missed_pixel_and_a_class_of_no_mask_is_left_out():
    true, called = np.array([[0, 0, 0, 1]]), np.array([[0, -1, 0, 1]])
    result = evaluate_masks(predictions([(true, called), (true, true)]))
    assert result.per_class[0].iou.value == pytest.approx(5 / 6)
    assert result.undecided == 1
    assert result.per_class[2].iou.value is None
    assert result.mean_iou.value == pytest.approx((5 / 6 + 1) / 2)
    assert result.mean_iou.note == "2 of 4 classes"


def test_images_of_void_alone_are_left_out_and_counted():
    void = np.full((4, 4), -1)
    pairs = [*masks(np.random.default_rng(2), 5), (void, np.zeros((4, 4), int))]
    result = evaluate_masks(predictions(pairs))
    assert (result.n, result.n_unlabelled) == (5, 1)
    with pytest.raises(PredictionsError, match="nothing to evaluate"):
        evaluate_masks(predictions(pairs[5:]))


def test_images_of_a_scene_widen_the_intervals_as_copies_do_not():
    rng = np.random.default_rng(3)
    pairs = list(masks(rng, 20))
    groups = pd.DataFrame({"scene": [f"s{n % 20}" for n in range(60)]}).sort_values("scene", ignore_index=True)
    copies = [pairs[int(name[1:])] for name in groups["scene"]]
    once, thrice = evaluate_masks(predictions(pairs)), predictions(copies, groups)
    alone, together = evaluate_masks(thrice), evaluate_masks(thrice, cluster_by="scene")
    assert together.mean_iou.value == pytest.approx(once.mean_iou.value)
    assert together.clusters == 20
    widths = [one.mean_iou.high - one.mean_iou.low for one in (once, alone, together)]
    assert widths[2] == pytest.approx(widths[0], rel=1e-6)
    assert widths[1] < 0.65 * widths[0]


def test_the_interval_of_the_mean_iou_holds_the_truth_in_its_share_of_samples():
    rng = np.random.default_rng(4)
    quality = rng.uniform(0.3, 1, 600)
    everyone = predictions(
        [
            (true, np.where(rng.random(true.shape) < share, true, rng.integers(0, 4, true.shape)))
            for (true, _), share in zip(masks(rng, 600, side=8), quality, strict=True)
        ]
    )
    truth = evaluate_masks(everyone).mean_iou.value
    held = 0
    for _ in range(200):
        one = evaluate_masks(everyone.take(rng.integers(0, 600, 40))).mean_iou
        held += one.low <= truth <= one.high
    assert 0.90 <= held / 200 <= 0.99


def test_a_result_is_the_same_after_json():
    result = evaluate_masks(predictions(list(masks(np.random.default_rng(5)))))
    assert MaskEvaluation.from_dict(result.to_dict()) == result
    assert [table.name for table in result.tables()] == ["summary", "classes", "class_confusions"]
