"""`Connections`: closes connections whose next request does not begin in time, which uvicorn leaves open."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

Client = tuple[str, int]


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

    def protocol(self) -> type[H11Protocol]:
        """Return uvicorn's HTTP protocol with its connections noted here; for `uvicorn.Config(http=…)`."""
        noted = self

        class NotedProtocol(H11Protocol):
            """Uvicorn's protocol, with two methods of `asyncio.Protocol` extended."""

            _peer: Client | None = None

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                peer = transport.get_extra_info("peername")
                if peer:
                    self._peer = (str(peer[0]), int(peer[1]))
                    noted.opened(self._peer, transport)

            def connection_lost(self, exc: Exception | None) -> None:
                if self._peer is not None:
                    noted.closed(self._peer)
                super().connection_lost(exc)

        return NotedProtocol
