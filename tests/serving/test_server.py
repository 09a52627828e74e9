"""A real server on a loopback port: same bits as `predict`, limits that hold while others are served."""

from __future__ import annotations

import base64
import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import says
from prometheus_client.parser import text_string_to_metric_families
from small_exports import CLASSES, encoded, write_small_export

import tlkit
from tlkit.predictions import read_predictions
from tlkit.serving.serve_options import ServeError, ServeOptions
from tlkit.serving.server import create_server, listening_socket

TOKEN = "0123456789abcdef"
RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_small_export(tmp_path_factory.mktemp("secret-place") / "network.onnx")


@contextmanager
def running(file, **options):
    """Yield the port of a server in a thread."""
    stated = ServeOptions(port=0, **options)
    server = create_server(file, stated)
    with listening_socket(stated) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            limit = time.monotonic() + 60
            while not server.started:
                assert thread.is_alive() and time.monotonic() < limit
                time.sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(60)
        assert not thread.is_alive()


def ask(port, method="GET", path="/predict", body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def post(port, body, headers=RAW):
    status, _, content = ask(port, "POST", "/predict", body, headers)
    return status, json.loads(content)


def proba_of(answer):
    return np.array([[one["probabilities"][name] for name in CLASSES] for one in answer["predictions"]], np.float32)


def multipart(contents):
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="images"; filename="../../etc/passwd"\r\n\r\n' + content + b"\r\n"
        for content in contents
    ]
    return b"".join(parts) + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


def png_that_claims(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_every_kind_of_body_gives_the_bits_of_predict_also_in_company(file):
    contents = [encoded(seed) for seed in range(6)]
    expected = tlkit.load_model(file).predict(contents).proba.astype(np.float32)
    with running(file) as port:
        texts = [base64.b64encode(content).decode() for content in contents]
        json_body = json.dumps({"images": texts}).encode(), {"Content-Type": "application/json"}
        for body, headers in (multipart(contents), json_body):
            status, answer = post(port, body, headers)
            assert status == 200
            np.testing.assert_array_equal(proba_of(answer), expected)
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda row: (row, post(port, contents[row])[1]), [*range(6)] * 4))
        for row, answer in answers:
            np.testing.assert_array_equal(proba_of(answer)[0], expected[row])
            assert answer["predictions"][0]["label"] == CLASSES[int(expected[row].argmax())]
        one = json.dumps({"image": texts[0]}).encode()
        np.testing.assert_array_equal(proba_of(post(port, one, json_body[1])[1])[0], expected[0])


def test_bad_requests_are_refused_while_others_are_served_and_no_answer_names_a_path(file):
    good = encoded(1)
    with running(file, max_bytes=100_000, max_pixels=1_000_000, max_images=3, timeout_s=1.0) as port:
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        slow[0].sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\n")  # headers without an end
        slow[1].sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nab"
        )
        truncated = socket.create_connection(("127.0.0.1", port))  # slow[2] sends nothing at all
        truncated.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nab"
        )
        truncated.close()
        json_type = {"Content-Type": "application/json"}
        cases = [
            (422, png_that_claims(60_000, 60_000), RAW, "60000 x 60000"),
            (422, good[: len(good) // 2], RAW, "truncated"),
            (422, b"no image", RAW, ""),
            (422, b"", RAW, "no image"),
            (413, bytes(100_001), RAW, "100,000 bytes"),
            (
                413,
                iter([bytes(60_000)] * 2),
                RAW,  # in chunks, without a length
                "100,000 bytes",
            ),
            (413, *multipart([good] * 4), "3 images"),
            (422, b"--x\r\nnonsense", {"Content-Type": "multipart/form-data; boundary=x"}, "no image"),
            (400, b"--x", {"Content-Type": "multipart/form-data"}, "multipart"),
            (400, b"[" * 90_000, json_type, "JSON"),
            (400, b'{"images": "x"}', json_type, "base64 texts"),
            (400, b'{"image": "%%%"}', json_type, "base64"),
            (415, good, {"Content-Type": "text/plain"}, "multipart/form-data"),
        ]
        answers = []
        for status, body, headers, words in cases:
            try:
                found, _, content = ask(port, "POST", "/predict", body, headers)
            except (BrokenPipeError, ConnectionResetError):  # closed before all of a large body was sent
                assert status == 413
                continue
            assert (found, words in content.decode()) == (status, True), content
            answers.append(content)
            assert post(port, good)[0] == 200
        for useless in (b"junk", b""):  # one of several costs the others nothing
            status, answer = post(port, *multipart([good, useless]))
            assert status == 200
            assert ["error" in one for one in answer["predictions"]] == [False, True]
        for client in slow:
            client.settimeout(30)
        assert b" 408 " in slow[1].recv(1000)
        assert ends(slow[0]) and ends(slow[2])
        for path in ("/", "/docs", "/openapi.json", "/model", "/metrics", "/health", "/ready", "/nothing", "/../etc"):
            status, _, content = ask(port, path=path)
            assert status == (404 if path in ("/nothing", "/../etc") else 200)
            answers.append(content)
        for content in answers:
            assert not re.search(rb"secret-place|network\.onnx|tlkit/|site-packages", content), content
        for client in slow:
            client.close()


def ends(client):
    """Whether the server ends a connection."""
    try:
        return client.recv(10) == b""
    except ConnectionResetError:
        return True


def test_a_hundred_megabytes_are_refused_by_their_length_alone(file):
    with running(file) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(30)
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 100000000\r\n\r\n"
        )
        answer = b"".join(iter(lambda: client.recv(2000), b""))
    assert b" 413 " in answer.splitlines()[0] and b"20,000,000 bytes" in answer


def test_headers_without_end_are_cut_off_long_before_the_timeout(file):
    with running(file, timeout_s=60) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(30)
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        sent = 0
        try:
            while sent < 50_000_000:  # more than buffers of sockets hold
                sent += client.send(bytes(100_000).replace(b"\0", b"a"))
            closed = False
        except OSError:
            closed = True
        assert closed or ends(client)
        assert post(port, encoded(1))[0] == 200


def test_descriptors_and_threads_do_not_grow_with_requests(file):
    content = encoded(1)
    with running(file) as port:

        def count():
            limit = time.monotonic() + 10
            while (now := len([*Path("/proc/self/fd").iterdir()])) > count.most and time.monotonic() < limit:
                time.sleep(0.05)  # closed connections are noticed a little later
            return now

        count.most = 10**9
        for _ in range(20):
            post(port, content)
        count.most = before = count()
        threads = threading.active_count()
        for number in range(300):
            body = content if number % 3 else content[:100]
            assert post(port, body)[0] == (200 if number % 3 else 422)
        assert count() <= before
        assert threading.active_count() <= threads + 2  # a pool starts its threads when it needs them


def test_a_token_and_the_name_of_this_machine_are_needed_where_asked(file):
    with running(file, token=TOKEN) as port:
        sent = {**RAW, "Authorization": f"Bearer {TOKEN}"}
        assert post(port, encoded(1), sent)[0] == 200
        for headers in (RAW, {**RAW, "Authorization": "Bearer wrong"}, {**RAW, "Authorization": TOKEN}):
            assert post(port, encoded(1), headers)[0] == 401
        for path, status in (("/", 200), ("/health", 200), ("/ready", 200), ("/model", 401), ("/metrics", 401)):
            assert ask(port, path=path)[0] == status
        assert ask(port, path="/health", headers={"Host": "evil.example"})[0] == 421
    for options in ({"host": "0.0.0.0"}, {"token": "short"}, {"max_images": 9, "max_waiting": 8}):
        with pytest.raises(ServeError):
            ServeOptions(**options)


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/model", "/metrics", "/health", "/ready"])
def test_head_is_get_without_a_body(file, path):
    with running(file) as port:
        status, headers, content = ask(port, "HEAD", path)
        expected = ask(port, "GET", path)
        assert (status, content) == (200, b"")
        assert headers["content-type"] == expected[1]["content-type"]
        assert ask(port, "GET", "/openapi.json")[2].count(b'"head"') == 0


def test_metrics_count_what_was_served(file):
    with running(file) as port:
        post(port, encoded(1))
        post(port, b"junk")
        families = {one.name: one for one in text_string_to_metric_families(ask(port, path="/metrics")[2].decode())}
    values = {(one.name, *one.labels.values()): one.value for family in families.values() for one in family.samples}
    assert values["tlkit_requests_total", "/predict", "200"] == values["tlkit_requests_total", "/predict", "422"] == 1
    assert values["tlkit_images_total", "unreadable"] == 1
    assert sum(values["tlkit_predictions_total", name] for name in CLASSES) == 1
    assert values["tlkit_request_seconds_count",] == 2
    assert values["tlkit_waiting_images",] == 0


def test_page_loads_nothing_from_elsewhere_and_its_script_is_the_allowed_one(file):
    import hashlib

    with running(file) as port:
        _, headers, content = ask(port, path="/")
    page, policy = content.decode(), headers["content-security-policy"]
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)|url\(|@import""", page)
    for kind in ("script", "style"):
        (text,) = re.findall(f"<{kind}>(.*?)</{kind}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "viewport" in page and "unsafe" not in policy


def test_log_holds_each_image_once_and_is_judged_once_labels_come(tmp_path):
    file = write_small_export(tmp_path / "network.onnx", answer_above=0.4, wanted_risk=0.1)
    log = tmp_path / "served.parquet"
    contents = [encoded(seed) for seed in range(4)]
    for _ in range(2):  # a second server continues the log
        with running(file, log=log, log_images=tmp_path / "kept") as port:
            answers = [post(port, content)[1]["predictions"][0] for content in (*contents, contents[0])]
            contents.append(encoded(9))
    stored = read_predictions(log)
    expected = tlkit.load_model(file).predict(contents[:5])
    assert len(stored) == 5 and set(stored.group_columns) == {"answered", "served_at"}
    np.testing.assert_array_equal(stored.proba, expected.proba)
    assert stored.path[0] == answers[0]["digest"]
    assert {path.read_bytes() for path in (tmp_path / "kept").iterdir()} == set(contents[:5])
    labels = pd.DataFrame({"path": stored.path, "y_true": "ant", "side": ["l", "l", "r", "r", "r"]})
    judged = stored.with_groups(labels)
    assert tlkit.evaluate(judged).to_dict()
    assert tlkit.audit_groups(judged, by=["side"]).to_dict()
    other = write_small_export(tmp_path / "other" / "network.onnx", verified="another model")
    with pytest.raises(ServeError) as error:
        create_server(other, ServeOptions(log=log))
    assert says(error, "served.parquet", "Name another")


def test_a_log_belongs_to_one_server_at_a_time(file, tmp_path):
    """Two would give their parts the same names, and an image two rows."""
    log = tmp_path / "served.parquet"
    with running(file, log=log) as port:
        with pytest.raises(ServeError) as error:
            create_server(file, ServeOptions(log=log))
        assert says(error, "served.parquet", "another server", "of its own")
        assert post(port, encoded(1))[0] == 200
    with running(file, log=log) as port:
        assert post(port, encoded(2))[0] == 200
    assert len(read_predictions(log)) == 2
    assert all(path.suffix == ".parquet" for path in log.iterdir())


def test_sigterm_stops_gracefully_and_writes_the_log(file, tmp_path):
    log = tmp_path / "served.parquet"
    command = [sys.executable, "-m", "tlkit", "serve", file, "--port", "0", "--log", log]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        line = process.stderr.readline()
        port = int(re.search(r":(\d+)", line[line.index("http") + 6 :])[1])
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            try:
                if ask(port, path="/ready")[0] == 200:
                    break
            except OSError:
                time.sleep(0.05)
        assert post(port, encoded(3))[0] == 200
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 0, line + rest
    assert len(read_predictions(log)) == 1
