"""`ServeOptions`: where a model is served, to whom, and the limits of what is accepted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tlkit.errors import TlkitError

LEAST_TOKEN = 16


class ServeError(TlkitError):
    """A model cannot be served so."""


@dataclass(frozen=True)
class ServeOptions:
    """How a model is served.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 = any free one.
        token: what clients have to send as `Authorization: Bearer TOKEN`; "" = nothing.
        max_bytes: most bytes of a request's body.
        max_images: most images of a request.
        max_pixels: images of more pixels (width × height, by their header) are refused before they are decoded.
        max_waiting: most images that wait for a worker; a request with more gets 503 at once.
        max_connections: most open connections.
        workers: images that are predicted at the same time; 0 = one per core.
        timeout_s: seconds for the headers of a request, for its body, and for its answer, each.
        log: folder that gets what was served, as Parquet parts; None = no log.
        log_images: folder that gets each image that was served; None = no image is kept.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    max_bytes: int = 20_000_000
    max_images: int = 64
    max_pixels: int = 50_000_000
    max_waiting: int = 256
    max_connections: int = 256
    workers: int = 0
    timeout_s: float = 10.0
    log: Path | None = None
    log_images: Path | None = None

    def __post_init__(self) -> None:
        problems = []
        if not self.is_loopback and not self.token:
            problems.append(
                f"{self.host} can be reached from other machines. Set a token in the environment variable "
                "TLKIT_SERVE_TOKEN, or listen on 127.0.0.1."
            )
        if self.token and (len(self.token) < LEAST_TOKEN or not self.token.isascii() or not self.token.isprintable()):
            problems.append(
                f"The token has {len(self.token)} characters. Use at least {LEAST_TOKEN} of printable ASCII, such as "
                "from: openssl rand -hex 16"
            )
        if self.max_images > self.max_waiting:
            problems.append(
                f"max_images is {self.max_images}, but only {self.max_waiting} images may wait (max_waiting), so a "
                "full request would never be accepted. Raise the one or lower the other."
            )
        if problems:
            raise ServeError(*problems)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        import ipaddress

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
