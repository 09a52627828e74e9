"""`ServerMetrics`: counts and times of a server, as the text that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class ServerMetrics:
    """Counters of one server.

    Args:
        classes: names of the classes.
        waiting: returns the number of images that wait.
        lost: returns the number of rows that the log has lost.
    """

    def __init__(self, classes: tuple[str, ...], *, waiting: Callable[[], int], lost: Callable[[], int]) -> None:
        self._registry = own = CollectorRegistry()
        self._requests = Counter("tlkit_requests", "Requests by route and status.", ["route", "status"], registry=own)
        self._seconds = Histogram(
            "tlkit_request_seconds",
            "Seconds from the headers to the answer of /predict.",
            buckets=SECONDS,
            registry=own,
        )
        self._images = Counter("tlkit_images", "Images by outcome.", ["outcome"], registry=own)
        self._classes = Counter("tlkit_predictions", "Images by predicted class.", ["label"], registry=own)
        self._abstained = Counter("tlkit_abstentions", "Images on which the model abstained.", registry=own)
        for name in classes:
            self._classes.labels(name)
        Gauge("tlkit_waiting_images", "Images that wait or are computed.", registry=own).set_function(waiting)
        Gauge("tlkit_log_lost_rows", "Rows that the log could not keep.", registry=own).set_function(lost)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, str(status)).inc()
        if route == "/predict":
            self._seconds.observe(seconds)

    def count_image(self, label: str | None, *, answered: bool = True) -> None:
        """Count an image; without a label it could not be read."""
        self._images.labels("predicted" if label is not None else "unreadable").inc()
        if label is not None:
            self._classes.labels(label).inc()
            if not answered:
                self._abstained.inc()

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self._registry)
