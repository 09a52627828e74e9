"""Sweeps: real fits, their winner and its judgement; processes that share a journal and are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from messages import says
from run_fixtures import day_and_night, working_in, write_recipe
from sklearn.metrics import accuracy_score

pytest.importorskip("optuna")

from tiny_sweep import objective, tiny_fit

import tlkit
from tlkit.errors import RecipeError, RunError, TlkitError
from tlkit.render.plots.sweep_plots import plot_trials
from tlkit.runs.run import open_run
from tlkit.sweeps.sweep import run_sweep
from tlkit.sweeps.sweep_result import SweepResult

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "tests" / "sweeps" / "tiny_sweep.py"
SPACE = "space:\n  train.learning_rate: {low: 0.0001, high: 1.0, log: true}\n"


def write_sweep(*, name="s", recipe="tiny.yaml", space=SPACE, **settings):
    """Write a sweep file into the working directory."""
    lines = {"sweep_version": 1, "name": name, "recipe": recipe, **settings}
    path = Path(f"{name}.yaml")
    path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()) + space)
    return path


@pytest.fixture
def tiny(tmp_path):
    """Return the result of a sweep with a tiny objective, in this process."""
    write_recipe(tmp_path, strategy="frozen")

    def run(**settings):
        return run_sweep(write_sweep(**settings), fit=tiny_fit(tmp_path / "log", seconds=0.0))

    return run


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of four real fits, with one choice and one range."""
    folder = tmp_path_factory.mktemp("swept")
    with working_in(folder):
        write_recipe(folder, strategy="frozen", groups={"light": day_and_night}, report=True, **{"": 40})
        space = SPACE + "  train.optimizer: [adamw, sgd]\n"
        result = run_sweep(write_sweep(space=space, trials=4))
        yield folder, result


def test_the_winner_is_the_best_on_val_and_its_recipe_gives_its_figure_again(swept, monkeypatch):
    folder, result = swept
    monkeypatch.chdir(folder)
    figures = {}
    for row in result.trials:
        val = open_run(folder / "runs" / "s" / f"trial-{row.number:04d}").predictions("val")
        figures[row.number] = accuracy_score(val.y_true, val.y_pred)
        assert row.figure.value == pytest.approx(figures[row.number])
    assert figures[result.best] == max(figures.values())
    best = folder / "runs" / "s" / "sweep" / "best_recipe.yaml"
    again = tlkit.fit(best)
    assert again.recipe.train.learning_rate == pytest.approx(float(result.winner.settings["train.learning_rate"]))
    assert again.evaluation("val").accuracy == result.winner.figure
    assert again.recipe.report.enabled


def test_the_winner_is_judged_on_test_against_the_default_by_a_paired_comparison(swept):
    folder, result = swept
    default, winner = (
        open_run(folder / "runs" / "s" / name).predictions("test") for name in ("default", f"trial-{result.best:04d}")
    )
    expected = accuracy_score(winner.y_true, winner.y_pred) - accuracy_score(default.y_true, default.y_pred)
    change = result.judged.changes[0]
    assert change.difference.value == pytest.approx(expected)
    assert result.comparison.overall.difference.value == pytest.approx(expected)
    assert {row.by for row in result.comparison.rows} >= {"(all)", "light"}
    includes_zero = change.difference.low <= 0 <= change.difference.high
    assert ("not distinguishable from the default" in result.verdict) >= includes_zero
    assert result.verdict in result.tables()[0].notes


def test_the_results_are_written_and_read_back(swept):
    folder, result = swept
    written = folder / "runs" / "s" / "sweep"
    assert SweepResult.from_dict(json.loads((written / "result.json").read_text())).to_dict() == result.to_dict()
    table = pd.read_csv(written / "trials.csv")
    assert len(table) == 4 and {"train.learning_rate", "low", "high", "starts"} <= {*table}
    assert (written / "history.svg").read_text().startswith("<svg")


def test_a_finished_sweep_is_not_run_again_and_more_trials_go_on(swept, monkeypatch):
    folder, result = swept
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs" / "s").glob("*/model/*")}
    assert run_sweep("s.yaml").trials == result.trials
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs" / "s").glob("*/model/*")} == before
    more = run_sweep("s.yaml", trials=5)
    assert more.trials[:4] == result.trials and len(more.trials) == 5


def test_the_best_of_a_loss_is_the_lowest(tiny):
    result = tiny(metric="log_loss", trials=6)
    assert result.winner.figure.value == min(row.figure.value for row in result.trials)


def test_the_same_seed_draws_the_same_values_and_another_seed_others(tiny):
    first, again, other = tiny(name="a", trials=4), tiny(name="b", trials=4), tiny(name="c", trials=4, seed=1)
    assert [row.settings for row in first.trials] == [row.settings for row in again.trials]
    assert [row.settings for row in first.trials] != [row.settings for row in other.trials]


def test_a_grid_tries_every_combination_once(tiny):
    space = "space:\n  train.learning_rate: [0.1, 0.01]\n  train.optimizer: [adamw, sgd, rmsprop]\n"
    result = tiny(sampler="grid", trials=50, space=space)
    assert sorted((row.settings["train.learning_rate"], row.settings["train.optimizer"]) for row in result.trials) == [
        (rate, optimizer) for rate in ("0.01", "0.1") for optimizer in ("adamw", "rmsprop", "sgd")
    ]
    assert result.winner.settings["train.learning_rate"] == "0.01"


@pytest.mark.series
def test_the_key_that_alone_matters_is_the_most_important(tiny):
    space = SPACE + "  train.weight_decay: {low: 0.0, high: 0.5}\n"
    result = tiny(trials=15, space=space)
    assert result.importances[0].key == "train.learning_rate" and result.importances[0].share > 0.8
    assert sum(one.share for one in result.importances) == pytest.approx(1.0)
    assert tiny(name="few", trials=3, space=space).importances == ()


def test_a_trial_below_the_median_is_pruned_and_cannot_win(tiny, tmp_path):
    result = tiny(pruner="median", trials=20, sampler="random")
    pruned = [row for row in result.trials if row.state == "pruned"]
    assert pruned and result.winner.state == "complete"
    assert all(row.figure.value < result.winner.figure.value for row in pruned)
    assert (tmp_path / "log").read_text().count("pruned") == len(pruned)


def test_the_plot_of_trials_states_the_recipes_level_and_marks_each_pruned_trial(tiny, tmp_path):
    result = tiny(pruner="median", trials=20, sampler="random")
    axes = plot_trials(result)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert says(words, "trial", "95% interval") and "pruned" in words
    crosses = {line.get_xdata()[0] for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())}
    assert crosses == {row.number for row in result.trials if row.state == "pruned"}
    states = [cells[-1] for cells in result.tables(most_rows=None)[0].rows]
    assert states.count("pruned") == len(crosses) > 0
    with (tmp_path / "tiny.yaml").open("a") as recipe:
        recipe.write("evaluate: {confidence: 0.9}\n")
    other = plot_trials(tiny(name="other", trials=1)).get_legend().get_texts()
    assert says([text.get_text() for text in other], "trial", "90% interval")


@pytest.mark.series
def test_real_fits_below_the_median_are_stopped_before_their_last_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_recipe(tmp_path, strategy="frozen", **{"": 40})
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("epochs: 2", "epochs: 6"))
    space = "space:\n  train.learning_rate: {low: 0.000001, high: 0.1, log: true}\n"
    result = run_sweep(write_sweep(pruner="median", trials=16, sampler="random", space=space))
    pruned = [row for row in result.trials if row.state == "pruned"]
    assert 0 < len(pruned) < 6  # the first ten cannot be
    for row in result.trials:
        epochs = len(open_run(Path("runs/s") / f"trial-{row.number:04d}").history)
        assert epochs < 6 if row in pruned else epochs == 6
    assert result.winner.state == "complete"
    states = pd.read_csv("runs/s/sweep/trials.csv")["state"].tolist()
    assert states == [row.state for row in result.trials]


def test_a_trial_that_fails_is_in_the_table_with_its_reason(tiny, tmp_path):
    plain = tiny_fit(tmp_path / "log", seconds=0.0)

    def fit(recipe, folder, *, metric, on_epoch=None):
        if recipe.train.optimizer == "sgd":
            raise TlkitError.__subclasses__()[0]("the loss is not finite")
        return plain(recipe, folder, metric=metric, on_epoch=on_epoch)

    path = write_sweep(space="space:\n  train.optimizer: [adamw, sgd]\n", sampler="grid")
    result = run_sweep(path, fit=fit)
    assert sorted((row.state, row.reason) for row in result.trials) == [
        ("complete", ""),
        ("failed", "the loss is not finite"),
    ]
    assert says(" ".join(result.tables()[0].notes), "1 trial failed", "not finite")


def test_a_folder_with_another_sweep_or_without_one_is_left_alone(tiny):
    tiny(trials=1)
    with pytest.raises(RunError) as error:
        tiny(trials=1, metric="macro_f1")
    assert says(str(error.value), "metric", "another name")
    Path("runs/mine").mkdir()
    Path("runs/mine/notes.txt").touch()
    with pytest.raises(RunError) as error:
        tiny(name="mine")
    assert says(str(error.value), "runs/mine", "left alone")


def test_half_a_line_of_a_killed_write_is_removed(tiny):
    before = tiny(trials=2).trials
    journal = Path("runs/s/sweep/journal.log")
    with journal.open("ab") as file:
        file.write(b'{"op_code": 5, "wor')
    Path("runs/s/sweep/journal.log.lock").touch()
    begun = time.monotonic()
    assert tiny(trials=3).trials[:2] == before
    assert time.monotonic() - begun < 20  # Optuna alone waits 30 s for the lock, and fails at the line


def test_a_sweep_without_val_images_or_metric_ends_with_a_message(tmp_path):
    write_recipe(tmp_path, strategy="frozen")
    with pytest.raises(TlkitError) as error:
        run_sweep(write_sweep(metric="acuracy"))
    assert says(str(error.value), "acuracy", "accuracy")
    with pytest.raises(RecipeError) as error:
        run_sweep(write_sweep(recipe="nothing.yaml"))
    assert says(str(error.value), "nothing.yaml", "does not exist")


def env():
    """Return the environment of a process that runs this checkout with one thread."""
    return {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}", "OMP_NUM_THREADS": "1"}


def kill_and_restart(command, *, kills, begun, timeout):
    """Run a command in two processes; kill one of them in turn when some trials have begun, and start another.

    Args:
        command: of a process.
        kills: how often.
        begun: returns how many trials have begun so far.
        timeout: seconds for all.
    """
    end = time.monotonic() + timeout
    running = [subprocess.Popen(command, env=env()) for _ in range(2)]
    try:
        for _ in range(kills):
            aim = begun() + 2
            while begun() < aim and all(one.poll() is None for one in running):
                assert time.monotonic() < end
                time.sleep(0.02)
            killed = running.pop(0)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            running.append(subprocess.Popen(command, env=env()))
        for one in running:
            assert one.wait(max(1.0, end - time.monotonic())) == 0
    finally:
        for one in running:
            if one.poll() is None:
                one.kill()
                one.wait()


@pytest.mark.series
def test_two_processes_and_two_kills_lose_and_double_no_trial(tmp_path):
    write_recipe(tmp_path, strategy="frozen")
    write_sweep(trials=8)
    log = tmp_path / "log"

    def begun():
        return log.read_text().count("begin trial") if log.exists() else 0

    kill_and_restart([sys.executable, str(SCRIPT), "s.yaml", str(log)], kills=2, begun=begun, timeout=240)
    result = SweepResult.from_dict(json.loads(Path("runs/s/sweep/result.json").read_text()))
    assert len(result.trials) == 8 and {row.state for row in result.trials} == {"complete"}
    for row in result.trials:
        rate = float(row.settings["train.learning_rate"])
        assert row.figure.value == pytest.approx(objective(rate))
        lines = [line.split() for line in log.read_text().splitlines() if f"trial-{row.number:04d}" in line]
        assert {float(line[2]) for line in lines} == {rate}  # a second start has the same values
        assert sum(line[0] == "begin" for line in lines) == row.starts
    assert sum(row.starts for row in result.trials) <= 8 + 2
    assert len({row.settings["train.learning_rate"] for row in result.trials}) == 8


@pytest.mark.series
def test_forty_fits_over_two_processes_with_five_kills_lose_and_double_no_trial(tmp_path):
    write_recipe(tmp_path, strategy="frozen", **{"": 40})
    write_sweep(trials=40)
    folder = tmp_path / "runs" / "s"

    def begun():
        return len([*folder.glob("trial-*")])

    kill_and_restart([sys.executable, "-m", "tlkit", "sweep", "s.yaml"], kills=5, begun=begun, timeout=1800)
    result = SweepResult.from_dict(json.loads((folder / "sweep" / "result.json").read_text()))
    assert len(result.trials) == 40 and {row.state for row in result.trials} == {"complete"}
    assert {path.name for path in folder.glob("trial-*")} == {f"trial-{row.number:04d}" for row in result.trials}
    for row in result.trials:
        run = open_run(folder / f"trial-{row.number:04d}")
        assert run.status == "finished" and run.evaluation("val").accuracy == row.figure
        assert run.recipe.train.learning_rate == pytest.approx(float(row.settings["train.learning_rate"]))


def test_a_fit_stops_after_the_epoch_at_which_it_is_told_to_and_goes_on_later(tmp_path):
    recipe, rows = write_recipe(tmp_path, strategy="frozen"), []

    def on_epoch(row):
        rows.append(row)
        return True

    stopped = tlkit.fit(recipe, {"report.enabled": False}, on_epoch=on_epoch)
    assert stopped.status == "interrupted" and list(stopped.history["epoch"]) == [1]
    assert rows[0]["val_accuracy"] == pytest.approx(stopped.history["val_accuracy"][0])
    whole = tlkit.fit(recipe, {"report.enabled": False}, resume=True)
    assert whole.status == "finished" and list(whole.history["epoch"]) == [1, 2]


@pytest.mark.series
def test_workers_share_the_trials(tmp_path):
    write_recipe(tmp_path, strategy="frozen")
    write_sweep(trials=6)
    command = [sys.executable, "-m", "tlkit", "sweep", "s.yaml", "--workers", "2"]
    done = subprocess.run(command, check=False, env=env(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    result = SweepResult.from_dict(json.loads(Path("runs/s/sweep/result.json").read_text()))
    assert [row.starts for row in result.trials] == [1] * 6 and {row.state for row in result.trials} == {"complete"}
    assert all(f"Trial {row.number} (" in done.stderr for row in result.trials)
