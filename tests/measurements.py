"""Made results of what commands measure on request, for pages that show them."""

from __future__ import annotations

import numpy as np

from tlkit.evaluation.drift_report import DriftReport, DriftTest, ForeignImage
from tlkit.evaluation.label_next_result import Candidate, LabelNext
from tlkit.evaluation.robustness_report import CorruptionResult, RobustnessReport, SeverityFigures, WorstCorruptedGroup
from tlkit.evaluation.unknown_report import ForeignSet, ScoreThreshold, UnknownReport
from tlkit.exported.bench import Benchmark, BenchRow
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.ood_detection import detection
from tlkit.stats.unknown_threshold import unknown_threshold


def about(value: float, half: float = 0.05, n: int = 240) -> Estimate:
    """Return an estimate with a symmetric interval."""
    return Estimate(value, value - half, value + half, n=n)


def made_robustness(*, split: str = "test", group: str = "night", **losses: float) -> RobustnessReport:
    """Return a report in which each corruption costs so much accuracy at severity 5, and a fifth of it at 1."""
    results = []
    for name, loss in (losses or {"jpeg": 0.02, "darkness": 0.4, "gaussian_noise": 0.2}).items():
        figures = []
        for severity in range(1, 6):
            change = about(-loss * severity / 5)
            certain = change.high < 0
            p = 0.001 if certain else 0.4
            figures.append(SeverityFigures(severity, severity * 2.0, about(0.9), change, p, p, certain, about(0.8)))
        first = next((one.severity for one in figures if one.certain_loss), None)
        worst = WorstCorruptedGroup("light", group, 2, about(0.6), about(-0.3), about(-0.1))
        verdict = "LOSS" if first else "NO LOSS BEYOND TOLERANCE" if loss < 0.001 else "NOT ENOUGH DATA"
        results.append(
            CorruptionResult(name, "quality", "made up", tuple(figures), about(-loss / 2), first, verdict, worst)
        )
    settings = {"tests": 5 * len(results), "alpha": 0.05, "tolerance": 0.05, "detectable": 0.1, "columns": ("light",)}
    more = {"min_group_size": 20, "group_severity": 3, "clusters": "", "trained_on": False, "seed": 0}
    return RobustnessReport("pets", split, 240, about(0.9), tuple(results), **settings, **more, confidence=0.95)


def made_drift(verdict: str = "DRIFT", *, path: str = "new/july/a.jpg") -> DriftReport:
    """Return a comparison of 40 new images with 120 of a run."""
    rng = np.random.default_rng(0)
    p = 0.002 if verdict == "DRIFT" else 0.4
    tests = DriftTest("classifier", about(0.8), p, p), DriftTest("mmd", Estimate(0.1, None, None, n=160), p, p)
    foreign = tuple(ForeignImage(path, 0.9 - number / 100, 0.01, "cat/0.jpg", "cat") for number in range(12))
    distances = {"new": rng.normal(0.6, 0.1, 40), "reference": rng.normal(0.4, 0.1, 120)}
    counts = {"reference_images": 120, "images": 40, "copies": 1, "clusters": (40, 120), "tested": (40, 120)}
    limits = {"alpha": 0.05, "least": 20, "detectable": 0.64, "bandwidth": 1.0, "permutations": 999}
    more = {"beyond": about(0.3), "distances": distances, "k": 5, "confidence": 0.95, "strategy": "frozen"}
    return DriftReport("pets", "train", verdict=verdict, tests=tests, foreign=foreign, **counts, **limits, **more)


def made_label_next(count: int = 3, *, path: str = "pool/a.jpg") -> LabelNext:
    """Return so many images to label, of 500."""
    images = tuple(Candidate(path, "cat", "dog", 0.52, 0.04 + row / 1000, 0.7, 0.04) for row in range(count))
    return LabelNext("pets", "margin", 500, 2, images, 120, about(0.012, 0.015), 0.95)


def made_benchmark(processor: str = "Some Processor at 3 GHz") -> Benchmark:
    """Return the speed of two engines, of which the second is twice as fast."""
    rows = [
        BenchRow(
            engine, "model.onnx", "float32", batch, threads, about(ms, 0.5), about(1.5 * ms, 0.5), rate, 10**8, 10**7
        )
        for engine, ms, rate in (("torch 2.13.0", 20.0, about(50.0, 2)), ("onnxruntime 1.31.1", 10.0, about(100.0, 2)))
        for batch in (1, 32)
        for threads in (1, 2)
    ]
    return Benchmark("pets", (224, 224), processor, 2, 0.5, 0.95, None, tuple(rows), ("OpenVINO: not exported.",))


def made_unknown(val: int = 100, *, foreign: bool = True, stored: bool = True, name: str = "digits") -> UnknownReport:
    """Return a report on so many validation images, 200 test images of which 9 are beyond, and 50 foreign ones."""
    rng = np.random.default_rng(0)
    known, strange = rng.normal(size=200), rng.normal(3, 1, size=50)
    threshold = unknown_threshold(rng.normal(size=val), wanted=0.05)
    found = detection(known, strange)
    return UnknownReport(
        run="pets",
        score="knn",
        wanted=0.05,
        thresholds=(ScoreThreshold("knn", threshold, wilson(9, 200)),),
        known="test",
        groups=(),
        foreign=(ForeignSet(name, "knn", 50, found, wilson(45, 50)),) if foreign else (),
        scores={"test": known, name: strange},
        reference=400,
        clusters=False,
        stored=stored,
        confidence=0.95,
    )
