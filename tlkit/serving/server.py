"""`serve`: runs the server of an exported model until it is stopped."""

from __future__ import annotations

import hashlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from tlkit.errors import ModelError
from tlkit.exported import EXPORT_FOLDER, ExportFolder, is_exported
from tlkit.exported.export_folder import NETWORK_ONNX
from tlkit.exported.exported_predictor import load_exported
from tlkit.runs import RunDirectory
from tlkit.serving.connections import Connections
from tlkit.serving.routes import ServedModel, create_app
from tlkit.serving.serve_options import ServeError, ServeOptions

logger = logging.getLogger(__name__)


def find_served(path: Path) -> Path:
    """Return the exported file to serve: the one that is named, or `network.onnx` of a run's exported files.

    Raises:
        ModelError: the run was not exported to ONNX, or its files have changed.
        RunError: there is no run.
    """
    if is_exported(path):
        return path
    folder = ExportFolder(RunDirectory.open(path).path / EXPORT_FOLDER)
    folder.require_classes()
    found = {file.name: file for file in folder.files()}
    if NETWORK_ONNX not in found:
        raise ModelError(f"{folder.path} holds no {NETWORK_ONNX}. Export the run for serving: tlkit export {path}")
    return found[NETWORK_ONNX]


def create_server(path: str | Path, options: ServeOptions = ServeOptions()) -> uvicorn.Server:
    """Return the server of an exported file or a run that was exported; its `run` serves until it is stopped.

    Args:
        path: a file that `tlkit export` wrote, or a run with such files.
        options: address, token, limits, log.

    Raises:
        ModelError: there is no exported file, or it was changed.
        ServeError: the log cannot be continued.
    """
    file = find_served(Path(path))
    predictor = load_exported(file, workers=options.workers, max_pixels=options.max_pixels)
    connections = Connections(timeout_s=options.timeout_s)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    served = ServedModel(predictor, digest=digest, options=options, connections=connections)
    return uvicorn.Server(
        uvicorn.Config(
            create_app(served),
            host=options.host,
            port=options.port,
            http=connections.protocol(),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=options.max_connections,
            timeout_graceful_shutdown=max(1, round(options.timeout_s)),
        )
    )


def serve(path: str | Path, options: ServeOptions = ServeOptions()) -> None:
    """Serve a model until SIGINT or SIGTERM; requests in progress are answered, and the log is written.

    Arguments and errors are those of `create_server` and `listening_socket`.
    """
    with listening_socket(options) as listener, _signals_end_quietly():
        server = create_server(path, options)
        logger.info("Serving %s on %s (stop: Ctrl-C).", path, address_of(listener))
        server.run(sockets=[listener])


def listening_socket(options: ServeOptions) -> socket.socket:
    """Return the socket that a server listens on.

    Raises:
        ServeError: the address is taken, or none of this machine.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        reason = f"{options.host}, port {options.port}, cannot be listened on ({error.strerror or error})."
        raise ServeError(f"{reason} Use another --port or --host; --port 0 takes a free one.") from error


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Ignore, within the block, the signals that uvicorn raises again after its graceful stop; then restore them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def done(number: int, _: FrameType | None) -> None:
        logger.debug("signal %d has stopped the server", number)

    before = {number: signal.signal(number, done) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
