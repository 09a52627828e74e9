"""Unknown images on real data: digits and synthetic textures as unknown for a run, and drift of its own test images.

    python benchmarks/unknown.py RUN DIGITS WORK [--textures 300] [--selection 5]

RUN is a fitted run with val and test, such as one of cifar10_mini with a frozen EfficientNet-Lite0; DIGITS the folder
of `tlkit data sample digits`; WORK a folder for the textures and for darkened and mixed copies of test images. Prints
Markdown tables: detection of each set by each score, the drift test on six sets, and, with --selection REPEATS, the
accuracy that labels chosen by each method bring, on features of the run's images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

import tlkit
from tlkit.analysis.run_analyses import load_run_features
from tlkit.features.heads.fit_head import fit_and_score
from tlkit.features.heads.standardized import Standardized
from tlkit.features.selection import k_center, smallest_margins, typical
from tlkit.stats.means import mean_estimate

SIDE = 64
START, CHOSEN = 100, 100
SETTINGS = {"C": 0.01}


def write_textures(folder: Path, count: int, *, seed: int = 0) -> Path:
    """Write stripes, checkers, smoothed noise and dots in random colors, sizes and directions, `count` in all."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for number in range(count):
        one, two = rng.uniform(0, 255, size=(2, 3))
        turn, waves = rng.uniform(0, np.pi), rng.uniform(3, 14)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        match number % 4:
            case 0:
                field = np.sin(2 * np.pi * waves * along)
            case 1:
                field = np.sign(np.sin(2 * np.pi * waves * along) * np.sin(2 * np.pi * waves * across))
            case 2:
                field = gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(0.5, 4))
                field /= np.abs(field).max()
            case _:
                field = np.cos(2 * np.pi * waves * along) + np.cos(2 * np.pi * waves * across) - 1
        share = np.clip((field + 1) / 2, 0, 1)[..., None]
        pixels = np.round(one * share + two * (1 - share)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
    return folder


def write_sets(run: tlkit.Run, digits: Path, work: Path) -> dict[str, list[Path]]:
    """Return lists of new images by name: halves of the test split, darker copies, a mixture, few images."""
    root, test = run.samples.root, run.samples.split("test")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(test))
    files = [root / str(path) for path in test.paths[order]]
    dark = work / "dark"
    dark.mkdir(parents=True, exist_ok=True)
    darker = []
    for file in files[:200]:
        target = dark / f"{file.parent.name}_{file.stem}.png"
        with Image.open(file) as image:
            ImageEnhance.Brightness(image.convert("RGB")).enhance(0.6).save(target)
        darker.append(target)
    foreign = sorted(digits.rglob("*.png"))
    some = [foreign[place] for place in rng.choice(len(foreign), 10, replace=False)]
    labels = test.table["label"].to_numpy()[order]
    return {
        "200 test images": files[:200],
        "200 other test images": files[200:400],
        "10 test images": files[:10],
        "200 test images, 40 % darker": darker,
        "190 test images and 10 digits": files[:190] + some,
        "200 test images of animals only": [
            file for file, label in zip(files, labels, strict=True) if label in ("bird", "cat", "deer", "dog", "frog")
        ][:200],
    }


def compare_selection(run: tlkit.Run, repeats: int) -> list[str]:
    """Return rows of the accuracy on test after labelling more training images, by each method."""
    features, samples, _ = load_run_features(run, ("train", "test"))
    is_train = (samples.table["split"] == "train").to_numpy()
    x, y, x_test, y_test = (
        features.x[is_train],
        samples.targets[is_train],
        features.x[~is_train],
        samples.targets[~is_train],
    )
    classes = len(samples.classes)

    def scores(rows: np.ndarray, on: np.ndarray) -> np.ndarray:
        weights = np.ones(len(rows))
        grid = [SETTINGS]
        known = Standardized.by_itself(x, rows)
        (found,) = fit_and_score(
            "logistic", known, y[rows], weights, known.like(on), grid=grid, classes=classes, seed=0
        )
        return found

    gains: dict[str, list[float]] = {name: [] for name in ("random", "margin", "coverage", "typicality")}
    start = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        own = rng.choice(len(x), START, replace=False)
        pool = np.setdiff1d(np.arange(len(x)), own)
        logits = scores(own, x[pool])
        proba = np.exp(logits - logits.max(axis=1, keepdims=True))
        chosen = {
            "random": rng.choice(len(pool), CHOSEN, replace=False),
            "margin": smallest_margins(proba / proba.sum(axis=1, keepdims=True), CHOSEN),
            "coverage": k_center(x[pool], x[own], CHOSEN)[0],
            "typicality": typical(x[pool], x[own], CHOSEN, seed=repeat)[0],
        }
        base = float((scores(own, x_test).argmax(axis=1) == y_test).mean())
        start.append(base)
        for name, rows in chosen.items():
            right = scores(np.concatenate([own, pool[rows]]), x_test).argmax(axis=1) == y_test
            gains[name].append(float(right.mean()) - base)
    lines = [f"| none: {START} labels | {np.mean(start):.3f} | – |"]
    for name, values in gains.items():
        difference = np.array(values) - np.array(gains["random"])
        versus = "–" if name == "random" else mean_estimate(difference, lowest=-1.0, highest=1.0).format(signed=True)
        lines.append(f"| {name} | {np.mean(start) + np.mean(values):.3f} | {versus} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("digits", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--textures", type=int, default=300)
    parser.add_argument("--selection", type=int, default=0, help="repeats of the comparison of label-next's methods")
    arguments = parser.parse_args()
    run = tlkit.open_run(arguments.run)
    textures = write_textures(arguments.work / "textures", arguments.textures)
    digits = arguments.digits / "test"
    report = tlkit.find_unknown(run, against={"digits": digits, "textures": textures}, store=False)
    print(
        "| score | expected false alarms | on test | set | n | AUROC | FPR95, unknown = positive | FPR95, "
        "known = positive "
        "| called unknown |\n|---|---|---|---|---|---|---|---|---|"
    )
    thresholds = {one.score: one for one in report.thresholds}
    for one in report.foreign:
        own, found = thresholds[one.score], one.detection
        cells = (found.auroc, found.fpr95_unknown_positive, found.fpr95_known_positive, one.unknown)
        print(
            f"| {one.score} | {own.threshold.false_alarms.format()} | {own.held_out.format()} | {one.name} | {one.n} | "
            + " | ".join(cell.format() for cell in cells)
            + " |"
        )
    print(
        "\n| new images | verdict | classifier's accuracy | p | MMD² | p | beyond 95 % |\n|---|---|---|---|---|---|---|"
    )
    for name, files in write_sets(run, digits, arguments.work).items():
        drift = tlkit.drift(run, files)
        tests = [(one.statistic.format(), f"{one.p_holm:.3f}") for one in drift.tests]
        cells = [cell for pair in tests for cell in pair] or ["–"] * 4
        print(f"| {name} | {drift.verdict} | " + " | ".join(cells) + f" | {drift.beyond.format()} |")
    if arguments.selection:
        print(f"\n| {CHOSEN} more labels by | test accuracy | against random |\n|---|---|---|")
        print("\n".join(compare_selection(run, arguments.selection)))


if __name__ == "__main__":
    main()
