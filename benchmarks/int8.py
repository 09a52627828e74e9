"""What int8 costs and gains: size, verdict by group, and speed from JPEG bytes to probabilities, stage by stage.

    python benchmarks/int8.py RUN [RUN ...] [--repeats 3] [--no-speed]

`RUN` is a run of any recipe, such as EfficientNet-Lite0 on ants_bees, or on the sample `occupations` with
`audit: {by: [presentation, skin_tone]}`. The network is exported and quantized as by `tlkit export --int8`; no file is
written. Speed, on as many threads as cores: first each stage in batches of 32 on the same pixels, in turn; then whole
paths from the bytes of JPEGs to probabilities, in turn: eager torch float32 as a plain loop, and with threads that
decode the next batch beside it; the same of ONNX Runtime in float32 and int8; and what `tlkit predict FILE` does, each
image alone in a thread of its own.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import tlkit
from tlkit.data.decode.decoding import open_rgb
from tlkit.data.decode.resizing import reduction, resize_image
from tlkit.exported import ExportedFacts, normalize_pixels
from tlkit.exported.exported_predictor import load_exported
from tlkit.exported.facts import PROBABILITIES
from tlkit.exported.sessions import OnnxRuntimeSession
from tlkit.inference.export.export_ladder import export_network
from tlkit.inference.export.make_int8 import make_int8
from tlkit.inference.export.model_graph import onnx_content
from tlkit.inference.predictor import load_predictor
from tlkit.inference.stored_model import load_stored
from tlkit.tables.text import to_lines

BATCH = 32


def pixels_of(contents, preprocess):
    images = []
    for content in contents:
        image, facts = open_rgb(content, reduction=lambda w, h: reduction(w, h, preprocess))
        images.append(np.asarray(resize_image(image, preprocess, facts.frame)))
    return np.stack(images)


def speed(run, predictor, networks, repeats):
    """Print the milliseconds an image of each stage; return the engines."""
    preprocess = predictor.facts.preprocess
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
    print(f"stages, batch {BATCH}, ms an image: median [least, most] of {len(stages['normalize'])} batches")
    for name, values in stages.items():
        print(f"  {name:22s} {statistics.median(values):7.2f} [{min(values):.2f}, {max(values):.2f}]")
    return engines


def paths(run, predictor, networks, engines, repeats):
    """Print the images per second of whole paths, from the bytes of files to probabilities."""
    preprocess, card = predictor.facts.preprocess, predictor.facts
    names = run.predictions().path.tolist()[: 4 * BATCH]
    contents = [(run.samples.root / name).read_bytes() for name in names]
    batches = [contents[at : at + BATCH] for at in range(0, len(contents), BATCH)]
    cores = len(os.sched_getaffinity(0))

    def loop(engine):
        for batch in batches:
            engine(normalize_pixels(pixels_of(batch, preprocess), preprocess))

    def beside(engine):
        with ThreadPoolExecutor(cores) as pool:
            waiting = [pool.submit(pixels_of, [content], preprocess) for content in batches[0]]
            for following in [*batches[1:], []]:
                ready = np.concatenate([one.result() for one in waiting])
                waiting = [pool.submit(pixels_of, [content], preprocess) for content in following]
                engine(normalize_pixels(ready, preprocess))

    ways = {"torch float32, plain loop": lambda: loop(engines["torch float32"])}
    for name, engine in engines.items():
        ways[f"{name}, decoding beside"] = lambda engine=engine: beside(engine)
    with tempfile.TemporaryDirectory() as folder:
        for name, proto in networks.items():
            facts = ExportedFacts("network", card.classes, preprocess, card.architecture, "linear", "run")
            file = Path(folder) / f"{name}.onnx"
            file.write_bytes(onnx_content(proto, replace(facts, precision=name)))
            exported = load_exported(file)
            ways[f"tlkit predict, {name} file"] = lambda exported=exported: exported.predict(contents)
        seconds = {name: [] for name in ways}
        for turn in range(repeats + 1):  # the first warms up
            for name in ways if turn % 2 else reversed(ways):
                start = time.perf_counter()
                ways[name]()
                if turn:
                    seconds[name].append(time.perf_counter() - start)
    load = os.getloadavg()[0]
    print(f"whole paths, {len(contents)} images, load {load:.1f}; images/s: median [least, most] of {repeats}")
    first = statistics.median(seconds["torch float32, plain loop"])
    for name, values in seconds.items():
        rates = sorted(len(contents) / value for value in values)
        middle = statistics.median(values)
        spread = f"[{rates[0]:.1f}, {rates[-1]:.1f}]"
        print(f"  {name:38s} {len(contents) / middle:7.1f} {spread:16s} {first / middle:.2f} x the first")


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
        predictor = load_predictor(path, device="cpu")
        card = predictor.facts
        graph = export_network(
            lambda path=path: load_stored(path / "model")[0].eval(), image_size=card.preprocess.image_size
        )
        facts = ExportedFacts("network", card.classes, card.preprocess, card.architecture, "linear", path.name)
        report, network = make_int8(run.directory, graph.proto, facts, tolerance=None)
        print("\n".join(["", path.name, *to_lines(report.tables(), width=150)]), flush=True)
        if not given.no_speed:
            networks = {"float32": graph.proto, "int8": network}
            paths(run, predictor, networks, speed(run, predictor, networks, given.repeats), given.repeats)


if __name__ == "__main__":
    main()
