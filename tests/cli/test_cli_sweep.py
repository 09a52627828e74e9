"""`tlkit sweep` on the command line: what is refused before anything runs, and what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from messages import says
from run_fixtures import write_recipe

SWEEP = "sweep_version: 1\nname: s\nrecipe: tiny.yaml\ntrials: 1\nspace:\n  {key}: [0.01, 0.02]\n"


def test_an_unknown_key_is_refused_with_exit_code_2_before_anything_runs(run, tmp_path):
    write_recipe(tmp_path, strategy="frozen")
    Path("s.yaml").write_text(SWEEP.format(key="train.lr"))
    done = run("sweep", "s.yaml")
    assert done.returncode == 2 and says(done.stderr, "s.yaml:6", "train.lr", "train.learning_rate")
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_sweep_prints_its_trials_and_the_verdict(run, tmp_path):
    pytest.importorskip("optuna")
    write_recipe(tmp_path, strategy="frozen")
    Path("s.yaml").write_text(SWEEP.format(key="train.learning_rate"))
    done = run("sweep", "s.yaml", "--runs-dir", "made")
    assert done.returncode == 0 and says(done.stdout, "default", "train.learning_rate", "not distinguishable")
    assert Path("made/s/sweep/best_recipe.yaml").is_file() and "made/s/sweep" in done.stdout
