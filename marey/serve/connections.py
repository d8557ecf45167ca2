"""Connections that send nothing, or their headers slowly, are ended; there are only so many.

uvicorn waits for the headers of a request for as long as they take, and takes any number of
connections. Whoever opened as many as the server may have files would keep all others out.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""From the beginning of a connection, or of a request, to the end of its headers."""
MOST_CONNECTIONS = 512
"""At a time; half the files that a process may usually have open."""


class Connection(H11Protocol):
    """One connection of a client."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, if there is room for another connection."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        self._stop_watching()

    @property
    def _waits(self) -> bool:
        """Whether no request is being answered, and none became a stream."""
        is_ours = self.transport.get_protocol() is self
        return is_ours and (self.cycle is None or self.cycle.response_complete)

    def _watch(self) -> None:
        if not self._waits:
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._end)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if self._waits:
            self.transport.close()
