"""Connections that send nothing, send headers slowly or take nothing are ended; there are so many.

uvicorn waits for the headers of a request, and until an answer is taken, for as long as they last,
and has any number of connections. Whoever opened as many as the server may have files would keep
all others out; who only sends pings would have it keep pongs without end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_SECONDS = 10.0
"""From the beginning of a connection, or of a request, to the end of its headers."""
MOST_CONNECTIONS = 512
"""At a time; half the files that a process may usually have open."""
TAKE_SECONDS = 10.0
"""For which a client may take nothing of what was sent."""

MOST_SMALL, SMALL = 1000, 64
"""Chunks of a body that may have fewer bytes than these, as their mean; pings without a message."""
MOST_FRAGMENTS = 1 << 14
"""Of a message."""

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.frames import Frame

    class _Protocol(asyncio.Protocol):
        loop: asyncio.AbstractEventLoop
        transport: asyncio.Transport

        def shutdown(self) -> None: ...

else:
    _Protocol = object


class _Taken(_Protocol):
    """A protocol of uvicorn's whose client has to take what it is sent.

    The transport calls `pause_writing` as soon as anything waits that the system does not take, and
    `resume_writing` once nothing does, also of a connection that is to be closed.
    """

    _looking: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)

    def pause_writing(self) -> None:
        """Something waits: look whether it becomes less."""
        super().pause_writing()
        self._stop_looking()
        self._unsent = self.transport.get_write_buffer_size()
        self._looking = self.loop.call_later(TAKE_SECONDS, self._look)

    def resume_writing(self) -> None:
        """Nothing waits any more."""
        super().resume_writing()
        self._stop_looking()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        super().connection_lost(exc)
        self._stop_looking()

    def shutdown(self) -> None:
        """The server ends: it waits for nobody who takes nothing."""
        super().shutdown()
        if self._looking is not None:
            self.transport.abort()

    def _look(self) -> None:
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent >= before:
            self.transport.abort()
        else:
            self._looking = self.loop.call_later(TAKE_SECONDS, self._look)

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None


class Stream(_Taken, WebSocketsSansIOProtocol):  # type: ignore[misc]
    """One WebSocket of a client."""

    _num_pings = 0

    async def send(self, message: ASGISendEvent) -> None:
        """Send it. A refusal is an answer too: uvicorn (0.54) would log an error for each."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    def handle_cont(self, event: Frame) -> None:
        """Take in a part of a message; those that are empty cost no bytes of its limit."""
        super().handle_cont(event)
        if len(self.frames) > MOST_FRAGMENTS:
            self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """A message is whole. Streams take no text, so what it says does not matter.

        Of one that is no UTF-8 uvicorn (0.54) would log an error with its traceback.
        """
        if self.curr_msg_data_type == "text":
            self.frames = []
        super().send_receive_event_to_app()
        self._num_pings = 0

    def handle_ping(self) -> None:
        """Answer it, unless earlier answers wait: not every one has to be (RFC 6455, 5.5.3)."""
        self._num_pings += 1
        if self._num_pings > MOST_SMALL:
            self.transport.abort()
        elif self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()


class _Chunked(h11.Connection):
    """The side of the server, which refuses bodies that cost it much more than those who send them:
    a chunk of a byte takes as long as one of many.
    """

    _count = _size = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """What came."""
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._count, self._size = self._count + 1, self._size + len(event.data)
            if self._count > MOST_SMALL and self._size < SMALL * self._count:
                raise h11.RemoteProtocolError("a body of very many small chunks")
        elif isinstance(event, h11.Request):
            self._count = self._size = 0
        return event


class Connection(_Taken, H11Protocol):
    """One connection of a client."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, if there is room for another connection."""
        super().connection_made(transport)
        self.conn = _Chunked(h11.SERVER)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Say that it is no HTTP, unless another answer has begun: then that is broken off."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

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
