#!/usr/bin/env bash
# fairlearn 0.15.0: a group without a positive label has no true positive rate. MetricFrame gives it 0 and warns of
# nothing, and equalized_odds_difference takes that for a gap.
# Seen: a model without a single error has an equalized odds difference of 1, because group b has no positive.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install fairlearn==0.15.0
v/bin/python - <<'PY'
import warnings

import fairlearn
from fairlearn.metrics import MetricFrame, equalized_odds_difference, true_positive_rate

assert fairlearn.__version__ == "0.15.0"
truth = [1, 1, 0, 0, 0, 0, 0, 0]
predicted = list(truth)
group = ["a"] * 4 + ["b"] * 4
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    frame = MetricFrame(metrics=true_positive_rate, y_true=truth, y_pred=predicted, sensitive_features=group)
    rates = frame.by_group.to_dict()
    gap = equalized_odds_difference(truth, predicted, sensitive_features=group)
print("true positive rates:", rates, "equalized odds difference:", gap, "warnings:", len(warned))
assert rates == {"a": 1.0, "b": 0.0} and gap == 1.0 and not warned
PY
