"""Repairs on simulated features with the group counts of Waterbirds, with a spurious correlation or without one.

    python benchmarks/repair.py --runs 20

Features are gaussian: the class is a weak direction, the background a strong one (or no direction, with --spurious 0).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.special import log_softmax

from tlkit.audit.repair_selection import choose, try_candidate
from tlkit.features.repair import GroupedFeatures, fit_candidates
from tlkit.features.repair.weighted_softmax import fit_l2_softmax

TRAIN, VAL, TEST = (3498, 184, 56, 1057), (467, 466, 133, 133), (2255, 2255, 642, 642)  # Sagawa et al. (2020)
NAMES = ("land on land", "land on water", "water on land", "water on water")


def draw(counts, rng, *, width, core, spurious):
    y, a = (np.repeat(codes, counts) for codes in ([0, 0, 1, 1], [0, 1, 0, 1]))
    x = rng.normal(size=(len(y), width))
    x[:, 0] += core * (2 * y - 1)
    x[:, 1] += spurious * (2 * a - 1)
    return GroupedFeatures(x.astype(np.float32), y, a, rng.permutation(len(y)) % 5)


def worst(right, group):
    return min(right[group == code].mean() for code in range(4))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--core", type=float, default=1.5)
    parser.add_argument("--spurious", type=float, default=3.0)
    parser.add_argument("--val-share", type=float, default=1.0, help="share of Waterbirds' validation images")
    options = parser.parse_args()
    how = {"width": options.width, "core": options.core, "spurious": options.spurious}
    rows, picked, seconds = {}, {}, []
    for seed in range(options.runs):
        rng = np.random.default_rng(seed)
        val_counts = tuple(round(options.val_share * n) for n in VAL)
        train, val, test = (draw(counts, rng, **how) for counts in (TRAIN, val_counts, TEST))
        head = fit_l2_softmax(train.x, train.y, np.ones(len(train.y)), classes=2, c=1.0)
        scores = log_softmax(head.scores(val.x), axis=1)
        begun = time.perf_counter()
        found = list(fit_candidates(train, val, classes=2, attributes=2, original=None, scores=scores, seed=seed))
        seconds.append(time.perf_counter() - begun)
        before = scores.argmax(axis=1) == val.y
        right = [one.y_pred == val.y for one in found]
        trials = [
            try_candidate(
                one.method.name,
                learns_from=one.method.learns_from,
                at_prediction=one.method.at_prediction,
                before=before,
                after=after,
                group=val.group,
                names=NAMES,
                margin=0.05,
                confidence=0.95,
                seconds=one.seconds,
            )
            for one, after in zip(found, right, strict=True)
        ]
        place = choose(trials, right, group=val.group, groups=4, confidence=0.95)
        name = "(nothing helped)" if place is None else trials[place].method
        picked[name] = picked.get(name, 0) + 1
        own = head.scores(test.x).argmax(axis=1) == test.y
        rows.setdefault("as it was", []).append((worst(own, test.group), own.mean()))
        for one in found:
            if one.linear is not None:
                logits = test.x @ one.linear.weight.T + one.linear.bias
                hits = logits.argmax(axis=1) == test.y
                rows.setdefault(one.method.name, []).append((worst(hits, test.group), hits.mean()))
    print(f"{options.runs} runs; candidates take {np.mean(seconds):.1f} s a run")
    print("head               worst group on test  overall  chosen on val")
    for name, values in rows.items():
        mean = np.mean(values, axis=0)
        print(f"{name:<18} {mean[0]:>19.3f} {mean[1]:>8.3f} {picked.get(name, 0):>14}")
    print(f"nothing helped: {picked.get('(nothing helped)', 0)} of {options.runs}")


if __name__ == "__main__":
    main()
