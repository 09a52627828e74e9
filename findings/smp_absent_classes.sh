#!/usr/bin/env bash
# segmentation_models_pytorch 0.6.0: classes that no mask shows count as right. `iou_score` with reduction "macro" gives each
# of them 1 (zero_division=1.0), so a mean IoU grows with the number of classes that a data set lists but does not show.
# `DiceLoss` gives them 0 and divides by all classes, so the loss of the same error shrinks with that number.
# Seen: background alone is true, half of it is called another class. Mean IoU .25 with 2 classes, .929 with 21; the loss
# .167 and .016. Over the classes that a mask shows, the mean IoU is .25 in both.
# Run: bash findings/smp_absent_classes.sh
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet torch==2.13.0 torchvision==0.28.0 timm==1.0.31 numpy \
  segmentation_models_pytorch==0.6.0
"$place/venv/bin/python" - <<'PYTHON'
import torch

if torch.version.cuda is None:  # a CPU build of torch beside PyPI's torchvision (pytorch/vision#9337)
    keep = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        keep.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import segmentation_models_pytorch as smp

true = torch.zeros(1, 8, 8, dtype=torch.long)
called = true.clone()
called[:, :4] = 1


def figures(classes):
    """Return mean IoU and Dice loss, and the mean IoU of the classes that a mask shows."""
    counts = smp.metrics.get_stats(called, true, mode="multiclass", num_classes=classes)
    logits = torch.full((1, classes, 8, 8), -20.0).scatter_(1, called[:, None], 20.0)
    loss = smp.losses.DiceLoss("multiclass")(logits, true)
    right, false, missed, _ = (one.sum(0).double() for one in counts)
    shown = (right + false + missed) > 0
    own = (right / (right + false + missed))[shown].mean()
    return [round(float(one), 3) for one in (smp.metrics.iou_score(*counts, reduction="macro"), loss, own)]


seen = {classes: figures(classes) for classes in (2, 21)}
for classes, (iou, loss, own) in seen.items():
    print(f"{classes} classes: mean IoU {iou}, Dice loss {loss}; of the classes shown {own}")
assert seen == {2: [0.25, 0.167, 0.25], 21: [0.929, 0.016, 0.25]}, seen
PYTHON
