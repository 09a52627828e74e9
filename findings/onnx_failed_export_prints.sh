#!/usr/bin/env bash
# torch 2.13.0: when torch.onnx.export(dynamo=False) meets an operator that ONNX lacks, it raises an error, and its C++
# part also writes the whole graph to standard output (file descriptor 1), even with verbose=False. Python's
# redirect_stdout does not see it. A program that prints JSON to standard output is spoilt by a handled error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install torch==2.13.0 onnx==1.23.2 numpy==2.4.6
v/bin/python - > out.txt 2> err.txt <<'PY'
import contextlib
import io
import warnings

import torch


class Exponential(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.matrix_exp(x)


warnings.simplefilter("ignore")
printed = io.StringIO()
try:
    with contextlib.redirect_stdout(printed):
        torch.onnx.export(Exponential(), (torch.eye(3),), "none.onnx", dynamo=False, verbose=False)
except torch.onnx.errors.UnsupportedOperatorError:
    assert printed.getvalue() == "", printed.getvalue()
else:
    raise SystemExit("the export did not fail")
PY
echo "lines on standard output of an export that failed and was handled: $(wc -l < out.txt)"
grep -q "graph" out.txt
