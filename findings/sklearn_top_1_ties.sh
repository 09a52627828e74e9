#!/usr/bin/env bash
# scikit-learn 1.9.1: top_k_accuracy_score with k=1 is not the accuracy of the class with the largest score where two
# scores are equal: it takes the last of them, argmax the first. Scores rounded to two decimals, and int8 models, have
# such ties.
# Seen: accuracy 0.75 and top-1 accuracy 0.25 for the same scores.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install scikit-learn==1.9.1
v/bin/python - <<'PY'
import numpy as np
import sklearn
from sklearn.metrics import accuracy_score, top_k_accuracy_score

assert sklearn.__version__ == "1.9.1"
truth = np.array([0, 0, 0, 1])
scores = np.array([[0.5, 0.5, 0.0]] * 4)
first = accuracy_score(truth, scores.argmax(axis=1))
top = top_k_accuracy_score(truth, scores, k=1, labels=[0, 1, 2])
print("accuracy:", first, "top-1 accuracy:", top)
assert (first, top) == (0.75, 0.25)
PY
