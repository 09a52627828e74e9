"""How long head configurations take once the features are there.

    python benchmarks/heads.py RUN            # a run's training images, from the cache
    python benchmarks/heads.py 1600 1280 10   # made-up features: images, width, classes
    python benchmarks/heads.py RUN --trees    # the six kinds of head: auto beside the ensembles of trees, none balanced

A configuration is one setting of one kind of head, cross-validated in 5 folds and calibrated. Times are CPU seconds of
this process, so that a busy machine does not count.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from tlkit.choices import HEADS_WITHOUT_CLASS_WEIGHTS
from tlkit.features.folds import assign_folds, row_keys
from tlkit.features.heads import KINDS, QUICK_KINDS
from tlkit.features.heads.fit_head import cross_validate


def main() -> None:
    trees = "--trees" in sys.argv
    given = [word for word in sys.argv[1:] if word != "--trees"]
    if len(given) == 1:
        from tlkit.inference.embed_run import embed_run
        from tlkit.runs.run import open_run

        samples = open_run(given[0]).samples.split("train")
        x, y, classes = embed_run(given[0], splits=("train",)).of(samples.paths).x, samples.targets, samples.classes
    else:
        n, width, count = map(int, given)
        rng = np.random.default_rng(0)
        y, classes = np.arange(n) % count, tuple(map(str, range(count)))
        x = (rng.normal(size=(count, width))[y] * 0.1 + rng.normal(size=(n, width))).astype(np.float32)
    fold = assign_folds(row_keys(x), y).of[0]
    total, configurations = 0.0, 0
    print(f"{len(x)} images, {x.shape[1]} features, {len(classes)} classes, 5 folds")
    jobs = [(kind, None) for kind in (KINDS if trees else QUICK_KINDS)]
    jobs += [] if trees else [(kind, "balanced") for kind in QUICK_KINDS if kind not in HEADS_WITHOUT_CLASS_WEIGHTS]
    for kind, weight in jobs:
        cross_validate(x[:40], y[:40], kind=kind, classes=classes, fold=fold[:40], seed=0, class_weight=None)  # imports
        start = time.process_time()
        found = cross_validate(x, y, kind=kind, classes=classes, fold=fold, seed=0, class_weight=weight)
        took = time.process_time() - start
        total, configurations = total + took, configurations + len(found.trials)
        name = kind if weight is None else f"{kind}, balanced"
        print(
            f"{name:24} {len(found.trials):3} settings {took:7.2f} s  accuracy {found.accuracy.format()}  "
            f"log loss {found.chosen.log_loss:.3f}",
            flush=True,
        )
    print(f"{'all':24} {configurations:3} settings {total:7.2f} s")


if __name__ == "__main__":
    main()
