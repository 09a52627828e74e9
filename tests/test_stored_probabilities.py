"""Probabilities as other tools store them: half precision, few digits."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from messages import says

from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions, read_predictions


def softmax(n=400, c=7, scale=3.0):
    logits = np.random.default_rng(0).normal(scale=scale, size=(n, c))
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    return proba / proba.sum(axis=1, keepdims=True)


def significant(proba, digits):
    return np.array([[float(f"{value:.{digits}g}") for value in row] for row in proba])


def as_text(proba):
    return np.array([[float(str(value)) for value in row] for row in proba])


STORED = {
    "float16": lambda p: p.astype(np.float16),
    "float16 in float32": lambda p: p.astype(np.float16).astype(np.float32),
    "bfloat16": lambda p: torch.tensor(p).to(torch.bfloat16),
    "bfloat16 in float32": lambda p: torch.tensor(p).to(torch.bfloat16).float().numpy(),
    "float16 in CSV": lambda p: as_text(p.astype(np.float16)),
    "bfloat16 in CSV": lambda p: as_text(torch.tensor(p).to(torch.bfloat16).float().numpy()),
    "softmax in bfloat16": lambda p: torch.softmax(torch.tensor(np.log(p)).to(torch.bfloat16), dim=1),
    "1 decimal": lambda p: p.round(1),
    "2 decimals": lambda p: p.round(2),
    "2 decimals in float32": lambda p: p.round(2).astype(np.float32),
    "3 decimals": lambda p: p.round(3),
    "2 significant digits": lambda p: significant(p, 2),
    "3 significant digits": lambda p: significant(p, 3),
}


def build(proba, **more):
    n, c = proba.shape
    return Predictions.build(
        classes=[str(k) for k in range(c)], path=[f"{k}.jpg" for k in range(n)], proba=proba, **more
    )


@pytest.mark.parametrize("classes", [2, 7, 300])
@pytest.mark.parametrize("how", STORED)
def test_what_the_storage_explains_is_accepted_and_divided_by_its_sum(how, classes, caplog):
    caplog.set_level("INFO", "tlkit")
    proba = softmax(c=classes)
    if how == "1 decimal" and classes == 300:
        pytest.skip("nothing is left of such rows")
    stored = STORED[how](proba)
    found = build(stored).proba
    given = np.asarray(stored.float() if isinstance(stored, torch.Tensor) else stored, dtype=np.float64)
    sums = given.sum(axis=1, keepdims=True)
    if (np.abs(sums - 1) > 1e-4).any():
        np.testing.assert_allclose(found, given / sums)
        assert says(caplog.messages, "divided by its sum", how.split(" in ")[0].removeprefix("softmax"))
    else:
        np.testing.assert_array_equal(found, given)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=2e-4)


@pytest.mark.parametrize(
    "proba",
    [
        [[0.9, 0.8]],
        [[0.52, 0.5]],
        [[1.0, 1.0]],
        [[1.0, 0.0], [1.0, 1.0]],
        [[0.0, 0.0]],
        [[0.95, 0.083]],
        np.float16([[0.9, 0.11]]),
        [[0.9] + [0.01] * 30 + [0.0] * 300],
        [[0.0] * 999 + [0.01]],
        [[0.61803, 0.38]],
    ],
)
def test_what_rounding_does_not_explain_is_refused(proba):
    with pytest.raises(PredictionsError) as caught:
        build(np.asarray(proba))
    assert says(caught.value, "sum", "1 of")


def test_rows_that_sum_to_one_are_kept_to_the_bit():
    proba = softmax().astype(np.float32)
    np.testing.assert_array_equal(build(proba).proba, proba.astype(np.float64))


def test_a_float16_column_of_parquet_is_read_without_a_warning(tmp_path):
    proba = softmax(c=2).astype(np.float16)
    table = pd.DataFrame(
        {"y_true": "a", "proba_a": proba[:, 0], "proba_b": proba[:, 1], "age": np.float16([30, np.nan] * 200)}
    )
    table.to_parquet(tmp_path / "p.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_predictions(tmp_path / "p.parquet")
    assert read.groups["age"].dropna().unique().tolist() == ["30"]
    np.testing.assert_allclose(read.proba.sum(axis=1), 1)
