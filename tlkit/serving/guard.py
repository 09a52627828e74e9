"""`Guard`: checks host and token of every request, adds headers to every answer, and counts both."""

from __future__ import annotations

import hmac
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tlkit.serving.serve_options import ServeOptions

if TYPE_CHECKING:
    from tlkit.serving.connections import Connections
    from tlkit.serving.metrics import ServerMetrics

OPEN_ROUTES = ("/", "/health", "/ready")
"""Routes without a token: the page holds nothing of the model, and asks for the token."""
PREDICT = "/predict"
ROUTES = ("/", "/health", "/ready", "/model", "/metrics", PREDICT, "/docs", "/openapi.json")
HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of every answer that does not state them itself."""


class Guard:
    """ASGI middleware: refuses foreign host names and wrong tokens, counts requests, adds headers.

    A web page on another host can reach a server on the loopback address under a name of its own (DNS rebinding); so
    there only names of this machine are served.

    Args:
        app: what handles requests.
        options: token and address.
        metrics: counts requests.
        connections: learns when a request begins and ends.
        routes: method and path -> what answers such requests in place of `app`, whose layers (routing, dependencies,
            handlers) take as long as a tiny network.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        options: ServeOptions,
        metrics: ServerMetrics,
        connections: Connections,
        routes: Mapping[tuple[str, str], Callable[[Request], Awaitable[Response]]],
    ) -> None:
        self._app = app
        self._token = options.token.encode()
        self._is_loopback = options.is_loopback
        self._metrics = metrics
        self._connections = connections
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 500

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        client = scope.get("client")
        self._connections.begin(client)
        try:
            problem = self._problem(scope)
            respond = self._routes.get((scope["method"], scope["path"]))
            if problem is not None:
                await _refuse(send_guarded, *problem)
            elif respond is not None:
                response = await respond(Request(scope, receive))
                await response(scope, receive, send_guarded)
            else:
                await self._app(scope, receive, send_guarded)
        finally:
            self._connections.end(client)
            route = scope["path"] if scope["path"] in ROUTES else "other"
            self._metrics.count_request(route, status, time.monotonic() - start)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the reason of a refusal, or None."""
        headers = Headers(scope=scope)
        if self._is_loopback and not _is_this_machine(headers.get("host", "")):
            return 421, "This server answers on the loopback address only, under 127.0.0.1 or localhost."
        if self._token and scope["path"] not in OPEN_ROUTES:
            kind, _, token = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token):
                return 401, "A token is needed: Authorization: Bearer TOKEN."
        return None


@lru_cache(maxsize=64)
def _is_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close")]  # its body is not read
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
