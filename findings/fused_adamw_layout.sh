#!/usr/bin/env bash
# torch 2.13.0 on a CPU: AdamW(fused=True) takes another step than AdamW where a parameter and its gradient have another
# memory layout (channels-last and contiguous). It pairs their numbers by place in memory, and neither raises nor warns.
# Seen: weights differ by up to 0.2 after one step at a rate of 0.1; the plain and the foreach implementation agree in
# every layout.
# Run: bash findings/fused_adamw_layout.sh
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy
"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch


def step(weight_format, gradient_format, **implementation):
    stream = torch.Generator().manual_seed(0)
    weight, gradient = (torch.randn(8, 6, 3, 3, generator=stream) for _ in range(2))
    parameter = torch.nn.Parameter(weight.to(memory_format=weight_format))
    parameter.grad = gradient.to(memory_format=gradient_format)
    torch.optim.AdamW([parameter], lr=0.1, **implementation).step()
    return parameter.detach()


rows, last = [], torch.channels_last
for weight in (torch.contiguous_format, last):
    for gradient in (torch.contiguous_format, last):
        plain = step(weight, gradient, foreach=False)
        fused = (step(weight, gradient, fused=True) - plain).abs().max().item()
        foreach = (step(weight, gradient, foreach=True) - plain).abs().max().item()
        rows.append((weight == gradient, fused, foreach))
        print(f"weight {weight}, gradient {gradient}: largest difference from the plain step: fused {fused:.2g}, foreach {foreach:.2g}")
expected = all(foreach < 1e-6 and (fused < 1e-6) == same for same, fused, foreach in rows)
print("as found" if expected else "CHANGED")
sys.exit(not expected)
PYTHON
