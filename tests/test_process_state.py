"""tlkit leaves the process of its caller as it was: what `docs/process_state.md` says."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tlkit.no_telemetry import VARIABLES

import numpy as np
import pandas as pd
import pytest
from process_state import differences, process_state

import tlkit
from tlkit.errors import TlkitError

HERE = Path(__file__).parent
KEPT = tuple(f"environment variable {name}" for name in VARIABLES)
RECIPE = {
    "recipe_version": 1,
    "name": "tiny",
    "augment": "none",
    "model": {"name": "test_resnet", "weights": "none"},
    "strategy": "frozen",
    "train": {"epochs": 1, "learning_rate": 0.01},
}
FROM_PIXELS = {"strategy": "full"}


def write_recipe(folder, root, **changes):
    data = {"root": str(root), "batch_size": 8, "num_workers": 0, "image_size": 32, "val": 0.25, "test": 0.25}
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(RECIPE | {"data": data} | changes))  # JSON is YAML
    return path


@pytest.fixture
def recipe(tmp_path, image_folder):
    return write_recipe(tmp_path, image_folder(**{"": 16}))


@pytest.fixture
def unusual_state(monkeypatch):
    """Give the process a state that no library begins with, and put it back at the end."""
    import torch

    import tlkit.models.classifier  # noqa: F401  Lightning sets the level of its logger when it is imported

    before = random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.get_num_threads()
    flags = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    random.seed(11)
    np.random.seed(12)
    torch.manual_seed(13)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(False)
    for name, value in {"PL_GLOBAL_SEED": "41", "CUBLAS_WORKSPACE_CONFIG": ":16:8"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PL_SEED_WORKERS", raising=False)
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])
    torch.set_num_threads(before[3])
    torch.use_deterministic_algorithms(flags[0], warn_only=flags[1])


def in_a_fresh_process(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", f"from process_state import differences, process_state\n{code}", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_tlkit_changes_nothing():
    code = (
        "import json, sys\n"
        "before, modules = process_state(), set(sys.modules)\n"
        "import tlkit\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - modules} - set(sys.stdlib_module_names)\n"
        "print(json.dumps([repr(differences(before, process_state())), sorted(loaded)]))"
    )
    assert in_a_fresh_process(code) == ["{}", ["tlkit"]]


@pytest.mark.slow
def test_a_first_fit_leaves_the_process_as_it_was_and_torch_as_freshly_imported(recipe, tmp_path):
    code = (
        "import json, sys, tlkit\n"
        "fit = tlkit.fit  # loads numpy, which filters warnings of its own\n"
        "assert 'torch' not in sys.modules\n"
        "before = process_state()\n"
        "fit(sys.argv[1], runs_dir=sys.argv[2])\n"
        "after = process_state()\n"
        f"changed = differences(before, after, ignored={KEPT!r})\n"
        "print(json.dumps([repr(changed), {name: repr(after[name]) for name in after}]))"
    )
    changed, after_fit = in_a_fresh_process(code, recipe, tmp_path / "runs")
    assert changed == "{}"
    fresh = in_a_fresh_process(
        "import json, torch\nprint(json.dumps({name: repr(value) for name, value in process_state().items()}))"
    )
    random_from_the_start = {"torch random", "torch initial seed"}
    settings = {name for name in fresh if name.startswith("torch ")} - random_from_the_start
    assert {name: after_fit[name] for name in settings} == {name: fresh[name] for name in settings}
    assert after_fit["torch initial seed"] not in ("0", fresh["torch initial seed"])


def test_a_fit_from_pixels_leaves_the_process_as_it_was(recipe, tmp_path, unusual_state):
    before = process_state()
    run = tlkit.fit(recipe, FROM_PIXELS, runs_dir=tmp_path / "runs")
    assert run.status == "finished"
    assert differences(before, process_state(), ignored=KEPT) == {}


def raises_in_training(monkeypatch):
    from tlkit.models.classifier import Classifier

    def fail(self, batch, batch_idx):
        raise RuntimeError("a fault inside of training")

    monkeypatch.setattr(Classifier, "training_step", fail)


def interrupts_training(monkeypatch):
    from tlkit.models.classifier import Classifier

    training_step = Classifier.training_step

    def interrupt(self, batch, batch_idx):
        signal.raise_signal(signal.SIGINT)
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", interrupt)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"data.root": "nowhere"}, TlkitError),  # found before torch is needed
        ({"train.device": "mps" if sys.platform != "darwin" else "cuda"}, TlkitError),  # found once all is seeded
        (
            {"train.learning_rate": 1000, "train.optimizer": "sgd", "train.gradient_clip_val": None, **FROM_PIXELS},
            TlkitError,
        ),  # the loss is not finite
    ],
    ids=["no data", "no device", "not finite"],
)
def test_a_fit_that_is_refused_leaves_the_process_as_it_was(changes, error, recipe, tmp_path, unusual_state):
    before = process_state()
    with pytest.raises(error):
        tlkit.fit(recipe, changes, runs_dir=tmp_path / "runs")
    assert differences(before, process_state(), ignored=KEPT) == {}


@pytest.mark.parametrize("changes", [{}, FROM_PIXELS], ids=["cached features", "pixels"])
def test_a_fit_that_fails_inside_of_training_leaves_the_process_as_it_was(
    changes, recipe, tmp_path, unusual_state, monkeypatch
):
    raises_in_training(monkeypatch)
    before = process_state()
    with pytest.raises(RuntimeError, match="a fault inside"):
        tlkit.fit(recipe, changes, runs_dir=tmp_path / "runs")
    assert differences(before, process_state(), ignored=KEPT) == {}


def test_a_fit_that_is_interrupted_leaves_the_process_as_it_was(recipe, tmp_path, unusual_state, monkeypatch):
    interrupts_training(monkeypatch)
    before = process_state()
    assert tlkit.fit(recipe, FROM_PIXELS | {"train.epochs": 3}, runs_dir=tmp_path / "runs").status == "interrupted"
    assert differences(before, process_state(), ignored=KEPT) == {}


def test_a_fit_loading_a_model_predicting_and_auditing_leave_the_process_as_it_was(recipe, tmp_path, unusual_state):
    before = process_state()
    run = tlkit.fit(recipe, runs_dir=tmp_path / "runs")
    assert run.status == "finished"
    assert differences(before, process_state(), ignored=KEPT) == {}
    model = tlkit.load_model(run)
    assert differences(before, process_state(), ignored=KEPT) == {}
    predictions = model.predict([json.loads(recipe.read_text())["data"]["root"]])
    assert len(predictions) == 32
    predictions = run.predictions("test")
    sides = pd.DataFrame(
        {"path": predictions.path, "side": np.array(["left", "right"])[np.arange(len(predictions)) % 2]}
    )
    tlkit.audit_groups(predictions.with_groups(sides), by=["side"])
    assert differences(before, process_state(), ignored=KEPT) == {}


@pytest.mark.series
def test_a_search_for_a_learning_rate_or_for_copies_leaves_the_process_as_it_was(recipe, unusual_state):
    from tlkit import data_doctor  # loads OpenCV, which sets LD_LIBRARY_PATH
    from tlkit.training.tune import find_learning_rate

    root = json.loads(recipe.read_text())["data"]["root"]
    before = process_state()
    find_learning_rate(recipe, FROM_PIXELS, steps=10)
    data_doctor(root, embed="lenet5@none")
    assert differences(before, process_state(), ignored=KEPT) == {}


@pytest.mark.series
@pytest.mark.series
def test_a_run_that_wandb_tracks_leaves_the_process_as_it_was(recipe, tmp_path, unusual_state):
    import wandb  # noqa: F401  its import hooks and loggers belong to the loaded module

    tracked = {"tracking.kind": "wandb", "tracking.mode": "offline"}
    before = process_state()
    tlkit.fit(recipe, tracked, runs_dir=tmp_path / "runs")
    ignored = (*KEPT, "module search", "threads of Python")
    assert differences(before, process_state(), ignored=ignored) == {}
