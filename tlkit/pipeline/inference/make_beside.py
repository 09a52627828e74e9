"""The process that makes features while another one loads what training needs; see `pipeline.starting.beside`.

Standard input: lines of JSON: the recipe; its images; "alone", once the other process waits; what to look for copies
among. The end of it means that the other process is gone. Standard output: lines of JSON: null for each step; logger
and text of what is logged; {"made": images}; {"copies": pairs}.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from queue import Queue
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlkit.data.duplicates import Pair
    from tlkit.features.features import Features


def main() -> None:
    """Read the task, make the features, leave them in the cache; then look for copies that they give away."""
    gc.disable()  # it lives for seconds
    lines: Queue[bytes] = Queue()
    alone = threading.Event()
    threading.Thread(target=_listen, args=(lines, alone), daemon=True).start()
    leave_out_compiler()
    import torch

    threads = torch.get_num_threads()  # as many as OMP_NUM_THREADS allows
    torch.set_num_threads(1)  # the other process needs a core
    from tlkit.pipeline.inference.devices import choose_device
    from tlkit.pipeline.inference.wanted import backbone_of, embed_images
    from tlkit.recipe import Recipe

    def step(*_: int) -> None:
        _say(None)
        if alone.is_set():
            torch.set_num_threads(threads)

    recipe = Recipe.model_validate(json.loads(lines.get()))
    device = choose_device(recipe.train.device)
    if device == "cpu":  # a GPU is done before this process would be ready
        backbone = backbone_of(recipe)
        log = logging.getLogger("tlkit")
        log.setLevel(logging.INFO)
        log.addHandler(_Relay())
        given = json.loads(lines.get())
        file_of = {path: str(Path(given["root"], path)) for path in given["paths"]}
        images, engine = list(file_of.values()), recipe.features.engine
        features = embed_images(recipe, images, backbone=backbone, engine=engine, device=device, progress=step)
        _say({"made": len(features)})
        _say({"copies": find_copies(json.loads(lines.get()), features, file_of, recipe.data.max_pixels, step)})
    gc.freeze()  # nothing is searched for rubbish at the end


def find_copies(
    task: Mapping[str, Any],
    features: Features,
    file_of: Mapping[str, str],
    max_pixels: int,
    progress: Callable[[int, int], None],
) -> list[Pair]:
    """Return the pairs of images that features give away; see `inference.copies.pairs_by_features`.

    Args:
        task: the samples as `root`, `classes` and the columns of their `table`, and the columns of the known `leaks`.
        features: of these images and perhaps more, by file.
        file_of: the file of each path.
        max_pixels: larger images count as unreadable.
        progress: called with (pairs compared, pairs in all).
    """
    import numpy as np
    import pandas as pd

    from tlkit.pipeline.inference.copies import pairs_by_features
    from tlkit.samples import Samples

    samples = Samples(Path(task["root"]), tuple(task["classes"]), pd.DataFrame(task["table"]))
    chosen = features.of([file_of[path] for path in samples.paths])
    named = replace(chosen, path=np.array(samples.paths))
    leaks = pd.DataFrame(task["leaks"])
    return pairs_by_features(samples, named, leaks, max_pixels=max_pixels, progress=progress)


def leave_out_compiler() -> None:
    """Keep torch's compiler, which takes as long to load as torch, out of this process: nothing is compiled in it.

    What torchvision 0.28 and timm 1.0 load it for is to ask whether it is there, and to mark functions for it. Should a
    network need more of it, this process ends with an error, and the other one makes the features.
    """
    import tlkit.torchvision_cure  # isort: skip  # noqa: F401
    import torch

    compiler, its_utils = ModuleType("torch._dynamo"), ModuleType("torch._dynamo.utils")
    compiler.__path__ = []
    compiler.disable = lambda function, *_, **__: function  # type: ignore[attr-defined]
    its_utils.is_compile_supported = lambda device: False  # type: ignore[attr-defined]
    sys.modules |= {module.__name__: module for module in (compiler, its_utils)}
    torch._dynamo = compiler


class _Relay(logging.Handler):
    """Hands over what was decided. What is wrong with an image or the weights, the other process finds out itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line for it."""
        if record.levelno == logging.INFO:
            _say([record.name, record.getMessage()])


def _say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _listen(lines: Queue[bytes], alone: threading.Event) -> None:
    """Take in the lines of the task and the sign that the other process waits, then its end.

    It reads the pipe itself: a thread that waits in `sys.stdin` holds its lock, on which workers of a loader, which are
    forked from here and close it, would wait for ever.
    """
    rest = b""
    while part := os.read(0, 1 << 16):
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            if line == b'"alone"':
                alone.set()
            else:
                lines.put(line)
    os._exit(1)
