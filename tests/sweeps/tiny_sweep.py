"""Runs a sweep with a tiny objective in place of a fit, as a process that can be killed: tiny_sweep.py FILE LOG."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tlkit.stats.estimate import Estimate
from tlkit.sweeps.fit_trial import Fitted
from tlkit.sweeps.sweep import run_sweep

SECONDS = 0.15


def objective(learning_rate: float) -> float:
    """The figure of a trial: best at 0.01."""
    return 1.0 / (1.0 + abs(learning_rate - 0.01))


def tiny_fit(log: Path, seconds: float = SECONDS):
    """Return what stands for a fit: it logs its begin and its end, and takes a moment."""

    def fit(recipe, folder, *, metric, on_epoch=None):
        def say(word):
            with log.open("a") as file:
                file.write(f"{word} {recipe.name} {recipe.train.learning_rate!r} {os.getpid()}\n")

        say("begin")
        time.sleep(seconds)
        value = objective(recipe.train.learning_rate)
        for epoch in (1, 2, 3):
            if on_epoch is not None and on_epoch({"epoch": epoch, "val_accuracy": value, "val_loss": 1 - value}):
                say("pruned")
                return Fitted(Estimate(value, value, value, n=10), "val", pruned=True)
        say("end")
        return Fitted(Estimate(value, value, value, n=10), "val")

    return fit


if __name__ == "__main__":
    run_sweep(sys.argv[1], fit=tiny_fit(Path(sys.argv[2])))
