#!/usr/bin/env bash
# timm 1.0.31 with torch 2.13.0: set_grad_checkpointing(True) moves the running statistics of batch normalization twice a
# step, once in the forward pass and once where the backward pass computes it again. Loss and gradients are the same bits,
# so nothing shows in training; evaluation uses other statistics, as if the momentum were 0.19 instead of 0.1.
# Run: bash findings/timm_checkpoint_batchnorm.sh
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet torch==2.13.0 torchvision==0.28.0 timm==1.0.31 numpy
"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch

if torch.version.cuda is None:  # a CPU build of torch beside PyPI's torchvision (pytorch/vision#9337)
    keep = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        keep.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import timm


def step(checkpointing):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=2).train()
    model.set_grad_checkpointing(checkpointing)
    loss = model(torch.randn(8, 3, 64, 64)).square().sum()
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    norms = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    return loss, gradients, {n: (m.running_mean.clone(), int(m.num_batches_tracked)) for n, m in norms.items()}


loss, gradients, plain = step(False)
again_loss, again_gradients, again = step(True)
same = torch.equal(loss, again_loss) and all(map(torch.equal, gradients, again_gradients))
twice = [name for name in plain if again[name][1] == 2 and not torch.equal(plain[name][0], again[name][0])]
ratio = (again[twice[-1]][0] / plain[twice[-1]][0]).median().item() if twice else float("nan")
print(f"loss and gradients are the same bits: {same}")
print(f"{len(twice)} of {len(plain)} norms have counted two batches after one step; running means are {ratio:.2f} times as far")
expected = same and len(twice) > 0 and abs(ratio - 1.9) < 0.01
print("as found" if expected else "CHANGED")
sys.exit(not expected)
PYTHON
