"""The bar that is drawn while a model trains."""

from __future__ import annotations

import re
from types import SimpleNamespace

import tlkit
from tlkit.training.callbacks import ProgressBar


def test_the_bar_counts_epochs_from_one_as_the_log_does(tiny_recipe, capsys):
    tlkit.fit(tiny_recipe(), {"report.enabled": False}, progress=True)
    drawn = capsys.readouterr().err
    assert set(re.findall(r"Epoch (\d+(?: of |/)\d+)", drawn)) <= {"1 of 2", "2 of 2"}
    assert "Epoch 2 of 2" in drawn


def test_the_bar_does_not_jump_between_training_and_validation():
    bar = ProgressBar()
    bar._trainer = SimpleNamespace(max_epochs=12)
    assert bar._get_train_description(0) == "Epoch 1 of 12"
    assert len(bar._get_train_description(0)) >= len(bar.validation_description)
