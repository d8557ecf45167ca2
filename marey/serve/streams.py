"""Live streams: JPEG pictures in, labels out, over a WebSocket.

    client   picture  picture  picture  picture ...      as fast as it likes
    server   {seconds, label, score, top, dropped}       one for each picture that was looked at;
                                                         of a model of several heads also `head`

The newest picture wins: those that came while one was looked at are dropped, and counted, so that
what is said is never older than one picture. Pictures of several clients go through the model in
one batch. `label` is null while a model that sees windows has none yet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from starlette.websockets import WebSocket, WebSocketDisconnect

from marey.errors import MareyError, RunError
from marey.serve.batching import Batcher
from marey.serve.decoders import Decoders
from marey.serve.decoding import Picture
from marey.serve.guards import PROTOCOL
from marey.serve.refusals import Refused, refusal
from marey.serve.responses import response
from marey.serve.service import Service

if TYPE_CHECKING:
    from marey.engine.live.recogniser import Answer, LiveRecogniser, LiveStream

Frame: TypeAlias = tuple["LiveStream", npt.NDArray[np.uint8], float]
FRAMES_OF_A_BATCH = 16
MOST_REASON = 123
"""Bytes of why a stream is closed."""


class Streams:
    """The live streams of a server."""

    def __init__(self, service: Service) -> None:
        self._service, self._limits, self._metrics = service, service.limits, service.metrics
        self._by_head: dict[str | None, _Head] = {}
        self._decoders = Decoders(service.decoder, 1, service.metrics)  # none waits for a video
        self._num_open = 0

    def close(self) -> None:
        """Let go of the process that decodes."""
        self._decoders.close()

    async def serve(self, socket: WebSocket, top: int, head: str | None = None) -> None:
        """Answer one client until it leaves, or sends nothing for too long.

        head: the one that is asked; it may be left out of a model that has no other.
        """
        try:
            self._check_room()
        except Refused as refused:
            return await socket.send_denial_response(response(refused))
        self._num_open += 1
        try:
            with self._metrics.streams.track_inprogress():
                asked = socket.scope.get("subprotocols", ())
                await socket.accept(PROTOCOL if PROTOCOL in asked else None)
                await self._talk(socket, top, head)
        finally:
            self._num_open -= 1
        return None

    def _check_room(self) -> None:
        self._service.admission.check_open()
        if self._num_open >= self._limits.streams:
            raise Refused(
                429,
                f"{self._limits.streams} streams are open already",
                "come again later (--streams)",
                retry_after=5,
            )

    async def _talk(self, socket: WebSocket, top: int, head: str | None) -> None:
        newest = _Newest()
        tasks = [
            asyncio.create_task(task)
            for task in (
                self._hear(socket, newest),
                self._answer(socket, newest, top, head),
                self._stop(),
            )
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code, reason = next(task for task in tasks if task.done()).result()
            if code:
                await socket.close(code, reason)
        except (WebSocketDisconnect, OSError):
            return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop(self) -> tuple[int, str]:
        """The code and reason of the end, once the server is about to stop: a stream has no end."""
        await self._service.admission.closed.wait()
        return 1001, "the server is about to stop"

    async def _hear(self, socket: WebSocket, newest: _Newest) -> tuple[int, str]:
        """Take in what comes; the code and reason of the end, 0 where the client left."""
        while True:
            try:
                async with asyncio.timeout(self._limits.stream_seconds):
                    message = await socket.receive()
            except TimeoutError:
                return 1008, f"nothing came for {self._limits.stream_seconds:g} s"
            if message["type"] == "websocket.disconnect":
                return 0, ""
            if message.get("bytes") is None:
                return 1003, "send pictures, as binary messages"
            newest.put(message["bytes"])

    async def _answer(
        self, socket: WebSocket, newest: _Newest, top: int, head: str | None
    ) -> tuple[int, str]:
        """Answer to the newest picture, again and again."""
        try:
            asked = await self._service.in_model_thread(lambda: self._opened(head))
        except MareyError as error:  # there is no such head, or no stream of this model
            await socket.send_json(_refused(refusal(error)))
            return 1008, _reason(error.message)
        stream = asked.recogniser.begin()
        while True:
            data, seconds, dropped = await newest.get()
            self._metrics.dropped(dropped - newest.told)
            newest.told = dropped
            said: dict[str, Any]
            try:
                async with asyncio.timeout(self._limits.request_seconds):
                    picture = await self._decoders.do(Picture(data))
                    assert isinstance(picture, np.ndarray)
                    answer = await asked.answers((stream, picture, seconds))
                    if isinstance(answer, MareyError):
                        raise answer
                    said = asked.named | _said(answer, top)
            except (Refused, MareyError) as error:
                said = _refused(error if isinstance(error, Refused) else refusal(error))
            except TimeoutError:
                return 1013, "there was no answer in time"
            try:
                async with asyncio.timeout(self._limits.stream_seconds):
                    await socket.send_json(
                        {"seconds": round(seconds, 3), **said, "dropped": dropped}
                    )
            except TimeoutError:
                return 1008, "the answers are not read"

    def _opened(self, head: str | None) -> _Head:
        """What answers for a head, made when it is first asked; called in the thread of the model.

        RunError if it is not said which of several, or there is no such head.
        """
        heads = list(self._service.predictor.trained.classes)
        head = heads[0] if head is None and len(heads) == 1 else head
        if head not in self._by_head:
            from marey.engine.live.recogniser import live_recogniser

            recogniser = live_recogniser(self._service.predictor, head=head)
            self._by_head[head] = _Head(recogniser, self._service)
        return self._by_head[head]


class _Head:
    """The recogniser of one head, and the batches of frames that it answers."""

    def __init__(self, recogniser: LiveRecogniser, service: Service) -> None:
        self.recogniser, self._metrics = recogniser, service.metrics
        is_one_of_several = len(service.predictor.trained.classes) > 1
        self.named = {"head": recogniser.head} if is_one_of_several else {}
        """What tells its answers from those of other heads, as answers to videos do."""
        self.answers: Batcher[Frame, Answer | RunError | None] = Batcher(
            self._step, service.model_thread, most=FRAMES_OF_A_BATCH
        )

    def _step(self, frames: Sequence[Frame]) -> list[Answer | RunError | None]:
        """The answers to a batch, in the thread of the model."""
        self._metrics.batch("frames", len(frames))
        return self.recogniser.step(frames)


class _Newest:
    """The newest picture of a stream, and how many it took the place of."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._came = asyncio.Event()
        self._data, self._seconds, self._dropped = b"", 0.0, 0
        self.told = 0
        """Dropped pictures that are counted already."""

    def put(self, data: bytes) -> None:
        """A picture has come, and takes the place of one that was not looked at."""
        self._dropped += self._came.is_set()
        self._data, self._seconds = data, time.monotonic() - self._start
        self._came.set()

    async def get(self) -> tuple[bytes, float, int]:
        """The newest picture once there is one, its time, and how many were dropped so far."""
        await self._came.wait()
        self._came.clear()
        return self._data, self._seconds, self._dropped


def _reason(text: str) -> str:
    return text.encode()[:MOST_REASON].decode(errors="ignore")


def _refused(refused: Refused) -> dict[str, Any]:
    return {"error": {"message": refused.message, "hint": refused.hint}}


def _said(answer: Answer | None, top: int) -> dict[str, Any]:
    if answer is None:
        return {"label": None, "score": None, "top": []}
    best = [[label, round(score, 6)] for label, score in answer.top(top)]
    return {"label": answer.label, "score": round(answer.score, 6), "top": best}
