"""The bar that is drawn while a model trains."""

from __future__ import annotations

import re
from types import SimpleNamespace

import tlkit
from tlkit.training.callbacks import ProgressBar

RECIPE = """\
recipe_version: 1
name: tiny
data: {{root: {root}, batch_size: 4, num_workers: 0, image_size: 32}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: full
train: {{epochs: 2}}
report: {{enabled: false}}
"""


def test_the_bar_counts_epochs_from_one_as_the_log_does(image_folder, tmp_path, capsys):
    (tmp_path / "r.yaml").write_text(RECIPE.format(root=image_folder(**{"": 8})))
    tlkit.fit(tmp_path / "r.yaml", runs_dir=tmp_path / "runs", progress=True)
    drawn = capsys.readouterr().err
    assert set(re.findall(r"Epoch (\d+(?: of |/)\d+)", drawn)) <= {"1 of 2", "2 of 2"}
    assert "Epoch 2 of 2" in drawn


def test_the_bar_does_not_jump_between_training_and_validation():
    bar = ProgressBar()
    bar._trainer = SimpleNamespace(max_epochs=12)
    assert bar._get_train_description(0) == "Epoch 1 of 12"
    assert len(bar._get_train_description(0)) >= len(bar.validation_description)
