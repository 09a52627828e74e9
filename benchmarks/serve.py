"""`tlkit serve` under load: requests per second, growth of memory, attacks while others are served, LitServe beside it.

    python benchmarks/serve.py FILE IMAGE [--requests 10000] [--clients 16]   rate, p95, growth, bare session
    python benchmarks/serve.py FILE IMAGE --attacks                          bombs, truncated, 100 MB, slow clients
    python benchmarks/serve.py FILE IMAGE --litserve lit/bin/python          in turn with LitServe (litserve_app.py)

`FILE` is an exported file; "tiny" makes one with a linear classifier of 16 x 16 pixels. `IMAGE` may be "tiny", too.
LitServe needs `model.onnx`, whose preprocessing is inside. Clients are threads of this process that send the same bytes
over kept connections and compare each answer with the probabilities of `predict`.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from tiny_export import tiny_jpeg, write_tiny

from tlkit.exported.exported_predictor import load_exported

LITSERVE_VARIANTS = ((2, 1, 0.0), (1, 16, 0.002), (2, 8, 0.002))
"""Workers, batch size, seconds that a batch waits."""


def memory_and_descriptors(pid: int) -> tuple[float, int]:
    """Resident MiB and open descriptors of a process."""
    resident = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(resident[1]) / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Connection:
    """A kept HTTP connection that sends bytes and reads answers with a stated length."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._socket.sendall(request)
        return self.answer()

    def answer(self) -> tuple[int, bytes]:
        while b"\r\n\r\n" not in self._left:
            self._left += self._more()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        while len(self._left) < length:
            self._left += self._more()
        body, self._left = self._left[:length], self._left[length:]
        return int(head.split(b" ", 2)[1]), body

    def send(self, part: bytes) -> None:
        self._socket.sendall(part)

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> bytes:
        found = self._socket.recv(65536)
        if not found:
            raise ConnectionError("closed")
        return found


def request_of(body: bytes, kind: str, *, length: int | None = None) -> bytes:
    """A POST of /predict."""
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


@contextmanager
def tlkit_server(file: str, *more: str):
    """Port and process of `tlkit serve`."""
    command = [sys.executable, "-m", "tlkit", "serve", file, "--port", "0", *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stderr.readline()
            port = int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])
            wait_for(port, b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            yield port, server
        finally:
            server.send_signal(signal.SIGTERM)


@contextmanager
def litserve_server(python: str, file: str, workers: int, batch: int, timeout: float):
    """Port and process of LitServe."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = Path(__file__).with_name("litserve_app.py")
    command = [python, str(script), file, str(port), str(workers), str(batch), str(timeout)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(command, env=environment, start_new_session=True, **quiet) as server:
        try:
            wait_for(port, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            yield port, server
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                server.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def wait_for(port: int, request: bytes) -> None:
    """Wait until a server answers 200."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        with suppress(OSError):
            connection = Connection(port, 10)
            status, _ = connection.ask(request)
            connection.close()
            if status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the server does not answer")


def load(port: int, request: bytes, *, requests: int, clients: int, expected: dict[str, float]):
    """Requests per second, seconds of each, and the number of wrong answers."""
    local, times, wrong = threading.local(), [], []

    def ask(_: int) -> None:
        if not hasattr(local, "connection"):
            local.connection = Connection(port)
        start = time.perf_counter()
        status, body = local.connection.ask(request)
        times.append(time.perf_counter() - start)
        answer = json.loads(body)
        found = answer["predictions"][0] if "predictions" in answer else answer
        if status != 200 or found["probabilities"] != expected:
            wrong.append(body)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients * 4)))
        times.clear()
        start = time.perf_counter()
        list(pool.map(ask, range(requests)))
        rate = requests / (time.perf_counter() - start)
    return rate, times, len(wrong)


def bare_rate(predictor, content: bytes, images: int) -> float:
    """Images per second of the session alone, decoding included, one worker per core."""
    with ThreadPoolExecutor(predictor.workers) as pool:
        list(pool.map(predictor.probabilities_of, [content] * 8))
        start = time.perf_counter()
        list(pool.map(predictor.probabilities_of, [content] * images))
        return images / (time.perf_counter() - start)


def show(name: str, rate: float, times, wrong: int, bare: float) -> None:
    p50, p95 = (1000 * np.quantile(times, share) for share in (0.5, 0.95))
    print(
        f"{name:34s} {rate:7.1f} requests/s, {rate / bare:4.0%} of the bare session's; p50 {p50:6.1f} ms, "
        f"p95 {p95:6.1f} ms; {wrong} of {len(times)} answers differ",
        flush=True,
    )


def bomb(side: int = 30_000) -> bytes:
    """A PNG of a few kB that claims side x side pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def attack(port: int, content: bytes, stop: threading.Event) -> dict[str, list[object]]:
    """Send what a server must refuse until stopped; statuses by kind, "closed" where the server hangs up."""
    raw = "application/octet-stream"
    seen: dict[str, list[object]] = {}

    def once(name: str, *parts: bytes, pause: float = 0.0) -> None:
        connection = Connection(port, 30)
        try:
            for part in parts:
                if stop.is_set() and pause:
                    return
                connection.send(part)
                time.sleep(pause)
            seen.setdefault(name, []).append(connection.answer()[0])
        except OSError:
            seen.setdefault(name, []).append("closed")
        finally:
            connection.close()

    def forever(name: str, *parts: bytes, pause: float = 0.0) -> None:
        while not stop.is_set():
            once(name, *parts, pause=pause)
            time.sleep(0.05)

    whole = request_of(content, raw)
    megabytes = [bytes(1_000_000)] * 100
    chunked = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {raw}\r\nTransfer-Encoding: chunked\r\n\r\n"
    kinds = {
        "bomb": ((request_of(bomb(), raw),), 0.0),
        "truncated image": ((request_of(content[: len(content) // 2], raw),), 0.0),
        "100 MB, declared": ((request_of(b"", raw, length=100_000_000), *megabytes), 0.0),
        "100 MB, chunked": ((chunked.encode(), *[b"f4240\r\n" + part + b"\r\n" for part in megabytes]), 0.0),
        "slow headers": (tuple(bytes([byte]) for byte in whole[:40]), 0.3),
        "slow body": ((whole[:150], *(bytes([byte]) for byte in whole[150:200])), 0.3),
        "no image": ((request_of(b"<html>", raw),), 0.0),
    }

    def hang_up() -> None:  # leaves in the midst of its body
        while not stop.is_set():
            connection = Connection(port, 30)
            connection.send(request_of(content[:50], raw, length=len(content)))
            connection.close()
            seen.setdefault("truncated body, hangs up", []).append("left")
            time.sleep(0.05)

    threads = [
        threading.Thread(target=forever, args=(name, *parts), kwargs={"pause": pause})
        for name, (parts, pause) in kinds.items()
    ]
    threads.append(threading.Thread(target=hang_up))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def attacks(file: str, content: bytes, request: bytes, expected, given) -> None:
    """Serve good clients while others attack."""
    with tlkit_server(file, "--timeout", "3") as (port, server):
        rate, times, wrong = load(port, request, requests=200, clients=given.clients, expected=expected)
        print(f"alone: {rate:.0f} requests/s, {wrong} wrong")
        before = memory_and_descriptors(server.pid)
        stop, seen = threading.Event(), {}
        thread = threading.Thread(target=lambda: seen.update(attack(port, content, stop)))
        thread.start()
        peak = [before]
        watch = threading.Thread(target=lambda: watch_until(server.pid, stop, peak))
        watch.start()
        rate, times, wrong = load(port, request, requests=given.requests, clients=given.clients, expected=expected)
        time.sleep(4)  # for the slow ones to be shut out
        stop.set()
        thread.join()
        watch.join()
        time.sleep(4)
        after = memory_and_descriptors(server.pid)
        print(
            f"while attacked: {rate:.0f} requests/s, p95 {1000 * np.quantile(times, 0.95):.0f} ms, "
            f"{wrong} of {len(times)} wrong"
        )
        for name, found in sorted(seen.items()):
            counts = {str(one): found.count(one) for one in dict.fromkeys(found)}
            print(f"  {name:26s} {counts}")
        largest = max(size for size, _ in peak), max(count for _, count in peak)
        for when, (size, count) in (("before", before), ("at most", largest), ("after", after)):
            print(f"{when}: {size:.0f} MiB, {count} descriptors")


def watch_until(pid: int, stop: threading.Event, peak: list[tuple[float, int]]) -> None:
    while not stop.is_set():
        peak.append(memory_and_descriptors(pid))
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("image")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--attacks", action="store_true")
    parser.add_argument("--litserve", help="python of an environment with LitServe")
    parser.add_argument("--rounds", type=int, default=3, help="of each server beside LitServe, in turn")
    given = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, load average {os.getloadavg()[0]:.1f}, {given.clients} clients")
    with tempfile.TemporaryDirectory() as folder:
        file = str(write_tiny(Path(folder))[1]) if given.file == "tiny" else given.file
        content = tiny_jpeg(0, side=64) if given.image == "tiny" else Path(given.image).read_bytes()
        predictor = load_exported(file)
        alone = predictor.probabilities_of(content).tolist()
        expected = dict(zip(predictor.classes, alone, strict=True))
        raw = request_of(content, "application/octet-stream")
        if given.attacks:
            attacks(file, content, raw, expected, given)
        elif given.litserve:
            compare(file, predictor, content, expected, given)
        else:
            bare = bare_rate(predictor, content, min(given.requests, 1000))
            print(f"bare session, {predictor.workers} workers: {bare:.1f} images/s from the bytes of the file")
            with tlkit_server(file) as (port, server):
                load(port, raw, requests=given.clients * 4, clients=given.clients, expected=expected)
                before = memory_and_descriptors(server.pid)
                show(
                    "tlkit serve, raw bytes",
                    *load(port, raw, requests=given.requests, clients=given.clients, expected=expected),
                    bare,
                )
                after = memory_and_descriptors(server.pid)
            for when, (size, descriptors) in (("before", before), ("after", after)):
                print(f"{when}: {size:.1f} MiB, {descriptors} descriptors")


def compare(file: str, predictor, content: bytes, expected, given) -> None:
    """Run both servers in turn, with the same base64 body."""
    request = request_of(json.dumps({"image": base64.b64encode(content).decode()}).encode(), "application/json")
    found: dict[str, list[tuple[float, list[float], int]]] = {}
    bare = bare_rate(predictor, content, min(given.requests, 1000))
    print(f"bare session, {predictor.workers} workers: {bare:.1f} images/s from the bytes of the file")
    for _ in range(given.rounds):
        with tlkit_server(file) as (port, _):
            one = load(port, request, requests=given.requests, clients=given.clients, expected=expected)
            found.setdefault("tlkit serve", []).append(one)
        for workers, batch, timeout in LITSERVE_VARIANTS:
            with litserve_server(given.litserve, file, workers, batch, timeout) as (port, _):
                one = load(port, request, requests=given.requests, clients=given.clients, expected=expected)
                name = f"LitServe, {workers} workers, batch {batch}" + (f", {1000 * timeout:g} ms" if timeout else "")
                found.setdefault(name, []).append(one)
    best = 0.0
    for name, rounds in found.items():
        rates = sorted(rate for rate, _, _ in rounds)
        show(
            name,
            rates[len(rates) // 2],
            [one for _, times, _ in rounds for one in times],
            sum(r[2] for r in rounds),
            bare,
        )
        if name != "tlkit serve":
            best = max(best, rates[len(rates) // 2])
    ours = sorted(rate for rate, _, _ in found["tlkit serve"])
    print(f"tlkit serve has {ours[len(ours) // 2] / best:.2f} times the requests of the best LitServe")


if __name__ == "__main__":
    main()
