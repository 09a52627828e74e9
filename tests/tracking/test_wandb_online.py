"""W&B online, against a local server that implements the needed part of its protocol."""

from __future__ import annotations

import gzip
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from messages import saying
from opened_trackers import open_tracker

RUN = {
    "id": "b1",
    "name": "run1",
    "displayName": "pets",
    "config": "{}",
    "historyLineCount": 0,
    "project": {"id": "p1", "name": "tlkit", "entity": {"id": "e1", "name": "me"}},
}


class FakeServer(ThreadingHTTPServer):
    """`streamed` holds the messages of the file stream."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.streamed: list[dict] = []

    def handle_error(self, request, client_address):
        """Ignore closed connections: pytest's stderr may be closed as well."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message = json.loads(body or b"{}")
        if self.path == "/graphql":
            self.answer({"data": self.data(message)})
        else:
            if self.path.endswith("/file_stream"):
                self.server.streamed.append(message)
            self.answer({})

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer({})

    def data(self, message):
        if message.get("operationName") == "UpsertBucket":
            return {"upsertBucket": {"bucket": RUN, "inserted": True}}
        if message.get("operationName") == "CreateRunFiles":
            names = message["variables"]["files"]
            files = [{"name": name, "uploadUrl": f"{self.server.url}/upload/{name}"} for name in names]
            return {"createRunFiles": {"runID": "b1", "uploadHeaders": [], "files": files}}
        return {}

    def answer(self, values):
        body = json.dumps(values).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(home, monkeypatch):
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "20")
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "20")
    with FakeServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_run_with_an_api_key_sends_its_metrics_to_the_server(server, options, logged, capfd, home):
    environment = dict(os.environ)
    with open_tracker(**options | {"mode": "auto", "log_model": False}) as tracker:
        tracker.log_metrics({"val_loss": 0.25}, epoch=3)
    assert tracker.location == f"{server.url}/me/tlkit/runs/run1"
    assert logged() == [saying("online", tracker.location)]
    files = [message["files"] for message in server.streamed if "files" in message]
    lines = [json.loads(line) for sent in files for line in sent.get("wandb-history.jsonl", {}).get("content", [])]
    assert [(line["epoch"], line["val_loss"]) for line in lines] == [(3, 0.25)]
    assert [message["exitcode"] for message in server.streamed if message.get("complete")] == [0]
    assert capfd.readouterr().out == ""
    assert dict(os.environ) == environment
    assert list(home.rglob("*")) == []
    assert Path(options["run_dir"], "wandb").is_dir()
