"""What a server counts, as Prometheus reads it; each server has a registry of its own."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CLIPS = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The numbers, and how they change."""

    def __init__(self) -> None:
        self._registry = of = CollectorRegistry()
        self._requests = Counter(
            "marey_requests", "Requests answered", ("route", "status"), registry=of
        )
        self._seconds = Histogram(
            "marey_request_seconds",
            "From a request to the end of its answer",
            ("route",),
            buckets=SECONDS,
            registry=of,
        )
        self.waiting = Gauge("marey_waiting_requests", "Requests that wait", registry=of)
        self.in_work = Gauge("marey_requests_in_work", "Requests worked on", registry=of)
        self.streams = Gauge("marey_streams", "Live streams that are open", registry=of)
        self._batches = Histogram(
            "marey_batch_size",
            "Clips, or frames of streams, in one pass of the model",
            ("of",),
            buckets=CLIPS,
            registry=of,
        )
        self._refused = Counter(
            "marey_refused_videos", "Videos that gave no answer", ("status",), registry=of
        )
        self._replaced = Counter(
            "marey_decoders_replaced", "Decoding processes replaced", ("why",), registry=of
        )
        self._dropped = Counter(
            "marey_stream_frames_dropped", "Frames that a newer one replaced", registry=of
        )

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, of: str, size: int) -> None:
        """The model took so many `clips` or `frames` at once."""
        self._batches.labels(of).observe(size)

    def refused(self, status: int) -> None:
        """A video gave no answer."""
        self._refused.labels(str(status)).inc()

    def replaced(self, why: str) -> None:
        """A decoding process was replaced: it `died`, `hung`, or its job was `given up`."""
        self._replaced.labels(why).inc()

    def dropped(self, frames: int) -> None:
        """Frames of a stream gave way to a newer one."""
        self._dropped.inc(frames)


class Measured:
    """An app whose requests are counted by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, and note what became of it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start, status = time.monotonic(), 499  # as nginx notes a client that left

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            status = 500  # which is sent further out
            raise
        finally:
            route = getattr(scope.get("route"), "path", "other")  # never what the client wrote
            self._metrics.answered(route, status, time.monotonic() - start)
        return None
