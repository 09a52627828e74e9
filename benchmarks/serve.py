"""Requests per second and p95 of `tlkit serve` beside the bare session, CPU per image by batch size; no growth.

python benchmarks/serve.py FILE IMAGE [--requests 300] [--clients 8]
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tlkit.exported.predictor import load_exported


def memory_and_descriptors(pid):
    resident = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(resident[1]) / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("image", type=Path)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    content = options.image.read_bytes()
    predictor = load_exported(options.file)
    alone = predictor.probabilities_of(content)

    height, width = predictor.facts.preprocess.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (16, height, width, 3), dtype=np.uint8)
    for size in (1, 4, 16):
        predictor.model.probabilities(pixels[:size])
        start = time.process_time()
        for at in range(0, 16, size):
            predictor.model.probabilities(pixels[at : at + size])
        print(f"batch {size:2}: {1000 * (time.process_time() - start) / 16:.1f} ms of CPU time an image")

    with ThreadPoolExecutor(predictor.workers) as pool:
        start = time.perf_counter()
        list(pool.map(predictor.probabilities_of, [content] * options.requests))
    bare = options.requests / (time.perf_counter() - start)

    command = [sys.executable, "-m", "tlkit", "serve", options.file, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        line = server.stderr.readline()
        port = int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])
        local, times, wrong = threading.local(), [], []

        def ask(_):
            if not hasattr(local, "connection"):
                local.connection = http.client.HTTPConnection("127.0.0.1", port)
            start = time.perf_counter()
            local.connection.request("POST", "/predict", content, {"Content-Type": "application/octet-stream"})
            answer = local.connection.getresponse()
            body = answer.read()
            times.append(time.perf_counter() - start)
            if answer.status != 200 or repr(float(alone.max())).encode() not in body:
                wrong.append(body)

        with ThreadPoolExecutor(options.clients) as clients:
            list(clients.map(ask, range(options.clients * 4)))
            before = memory_and_descriptors(server.pid)
            times.clear()
            start = time.perf_counter()
            list(clients.map(ask, range(options.requests)))
            rate = options.requests / (time.perf_counter() - start)
            after = memory_and_descriptors(server.pid)
        server.send_signal(signal.SIGTERM)
    print(f"bare, {predictor.workers} workers: {bare:.0f} images/s from JPEG bytes; served: {rate:.0f} requests/s")
    print(
        f"p50 {1000 * np.quantile(times, 0.5):.0f} ms, p95 {1000 * np.quantile(times, 0.95):.0f} ms, {len(wrong)} wrong"
    )
    for when, (size, descriptors) in (("before", before), ("after", after)):
        print(f"{when}: {size:.0f} MiB, {descriptors} descriptors")
    print(f"load average {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
