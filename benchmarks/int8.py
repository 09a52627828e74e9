"""What int8 costs and gains: size, verdict by group, and speed from JPEG bytes to probabilities, stage by stage.

    python benchmarks/int8.py RUN [RUN ...] [--repeats 3] [--no-speed]

`RUN` is a run of any recipe, such as EfficientNet-Lite0 on ants_bees, or on the sample `occupations` with
`audit: {by: [presentation, skin_tone]}`. The network is exported and quantized as by `tlkit export --int8`; no file is
written. Speed: images of the judged split in batches of 32, eager torch float32, ONNX Runtime float32 and int8 on the
same pixels, in turn; decoding and scaling are common to all.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import tlkit
from tlkit.data.decode.decoding import open_rgb
from tlkit.data.decode.resizing import fit, reduction
from tlkit.exported import ExportedFacts, normalize_pixels
from tlkit.exported.facts import PROBABILITIES
from tlkit.exported.sessions import OnnxRuntimeSession
from tlkit.inference.export.export_ladder import export_network
from tlkit.inference.export.make_int8 import make_int8
from tlkit.inference.predictor import load_model
from tlkit.inference.stored_model import load_stored
from tlkit.tables.text import to_lines

BATCH = 32


def pixels_of(contents, preprocess):
    images = []
    for content in contents:
        image, facts = open_rgb(content, reduction=lambda w, h: reduction(w, h, preprocess))
        images.append(np.asarray(fit(image, preprocess, facts.frame)))
    return np.stack(images)


def speed(run, predictor, networks, repeats):
    """Print the milliseconds an image of each stage, and the images per second of the whole path."""
    preprocess = predictor.card.preprocess
    root, paths = run.samples.root, run.predictions().path.tolist()[: 2 * BATCH]
    contents = [(root / path).read_bytes() for path in paths]
    batches = [contents[at : at + BATCH] for at in range(0, len(contents), BATCH)]
    sessions = {
        f"onnxruntime {name}": OnnxRuntimeSession(Path(name), proto.SerializeToString())
        for name, proto in networks.items()
    }

    def eager(image):
        with torch.inference_mode():
            return torch.softmax(predictor.network(torch.from_numpy(image)), dim=1)

    engines = {"torch float32": eager}
    for name, session in sessions.items():
        engines[name] = lambda image, session=session: session((PROBABILITIES,), image)
    stages = {name: [] for name in ("decode and scale", "normalize", *engines)}
    for turn in range(repeats + 1):  # the first warms up
        for batch in batches:
            start = time.perf_counter()
            pixels = pixels_of(batch, preprocess)
            decoded = time.perf_counter()
            image = normalize_pixels(pixels, preprocess)
            normalized = time.perf_counter()
            found = {"decode and scale": decoded - start, "normalize": normalized - decoded}
            for name in engines if turn % 2 else reversed(engines):
                begun = time.perf_counter()
                engines[name](image)
                found[name] = time.perf_counter() - begun
            if turn:
                for name, seconds in found.items():
                    stages[name].append(1000 * seconds / len(batch))
    typical = {name: statistics.median(values) for name, values in stages.items()}
    for name, values in stages.items():
        print(f"{name:22s} {typical[name]:7.2f} ms an image [{min(values):.2f}, {max(values):.2f}]")
    common = typical["decode and scale"] + typical["normalize"]
    whole = {name: 1000 / (common + typical[name]) for name in engines}
    for name, rate in whole.items():
        print(f"bytes to probabilities, {name:20s} {rate:6.1f} images/s, {rate / whole['torch float32']:.2f} x torch")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-speed", action="store_true")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(os.cpu_count() or 1)  # as many as ONNX Runtime takes
    versions = f"torch {torch.__version__}, onnxruntime {version('onnxruntime')}"
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {versions}")
    for path in given.runs:
        run = tlkit.open_run(path)
        predictor = load_model(path, device="cpu")
        card = predictor.card
        graph = export_network(
            lambda path=path: load_stored(path / "model")[0].eval(), image_size=card.preprocess.image_size
        )
        facts = ExportedFacts("network", card.classes, card.preprocess, card.architecture, "linear", path.name)
        report, network = make_int8(run.directory, graph.proto, facts, tolerance=None)
        print("\n".join(["", path.name, *to_lines(report.tables(), width=150)]), flush=True)
        if not given.no_speed:
            speed(run, predictor, {"float32": graph.proto, "int8": network}, given.repeats)


if __name__ == "__main__":
    main()
