"""The precision of a run follows the device."""

from __future__ import annotations

import pytest
import torch

from tlkit.inference.devices import choose_precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"amx_bf16": True}, "bf16-mixed"), ({"amx_bf16": False, "avx512_bf16": True}, "32-true"), ({}, "32-true")],
    ids=str,
)
def test_a_cpu_trains_in_bf16_where_it_multiplies_matrices_in_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_precision("auto", device="cpu") == expected
    assert choose_precision("32", device="cpu") == "32-true"
    assert choose_precision("auto", device="mps") == "32-true"


def test_a_torch_that_cannot_tell_trains_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_precision("auto", device="cpu") == "32-true"
