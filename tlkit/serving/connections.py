"""`Connections`: closes connections whose next request does not begin in time, which uvicorn leaves open."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

Client = tuple[str, int]
MOST_HEADER_BYTES = 65_536
"""Bytes of a request's first line and headers, at most; the limit that h11 has of its own."""


class Connections:
    """Open connections that wait for the headers of a request, and since when.

    Uvicorn ends a connection that idles after an answer, but neither one that never sends a request nor one that sends
    its headers byte by byte. Each holds a descriptor.

    Args:
        timeout_s: seconds from the opening of a connection, or from an answer, to the end of the next headers.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._waiting: dict[Client, tuple[float, asyncio.Transport]] = {}
        self._busy: dict[Client, asyncio.Transport] = {}

    def opened(self, client: Client, transport: asyncio.Transport) -> None:
        """Note a new connection."""
        self._waiting[client] = time.monotonic(), transport

    def closed(self, client: Client) -> None:
        """Forget a connection."""
        self._waiting.pop(client, None)
        self._busy.pop(client, None)

    def begin(self, client: Any) -> None:
        """Note that the headers of a request have arrived; `client` is that of its ASGI scope."""
        if client is not None and (found := self._waiting.pop(tuple(client), None)):
            self._busy[tuple(client)] = found[1]

    def end(self, client: Any) -> None:
        """Note that a request is answered."""
        if client is not None and (transport := self._busy.pop(tuple(client), None)):
            self._waiting[tuple(client)] = time.monotonic(), transport

    def close_late(self) -> None:
        """Close the connections that have waited too long."""
        limit = time.monotonic() - self._timeout_s
        for since, transport in list(self._waiting.values()):
            if since < limit:
                transport.abort()

    async def watch(self) -> None:
        """Close late connections until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._timeout_s / 4))
            self.close_late()

    def protocol(self) -> type[asyncio.Protocol]:
        """Return uvicorn's HTTP protocol with its connections noted here; for `uvicorn.Config(http=…)`.

        It is that of httptools where it is installed, which takes a third of the time of h11 and has no limit of
        headers: so one is set here.
        """
        noted = self

        class NotedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # one of two classes
            """Uvicorn's protocol, with methods of `asyncio.Protocol` and callbacks of httptools extended."""

            _peer: Client | None = None
            _header_bytes = 0
            _is_in_headers = False

            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                peer = transport.get_extra_info("peername")
                if peer:
                    self._peer = (str(peer[0]), int(peer[1]))
                    noted.opened(self._peer, transport)

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                if self._is_in_headers:
                    self._header_bytes += len(data)
                    if self._header_bytes > MOST_HEADER_BYTES:
                        self.transport.abort()

            def on_message_begin(self) -> None:
                self._is_in_headers, self._header_bytes = True, 0
                super().on_message_begin()

            def on_headers_complete(self) -> None:
                self._is_in_headers = False
                super().on_headers_complete()

            def connection_lost(self, exc: Exception | None) -> None:
                if self._peer is not None:
                    noted.closed(self._peer)
                super().connection_lost(exc)

        return NotedProtocol
