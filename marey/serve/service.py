"""One video's way: from the file a client sent to the answers of the model.

    upload or url     a private file                                 `uploads`, `urls`
    let in, a turn    so many at a time                              `admission`
    looked over       frames, seconds, pixels, in a process          `decoders`
    decoded           views, a few windows at a time, in a process   `decoders`
    scored            with those of other requests, in one thread    `batching`

Whatever becomes of it, the file is gone in the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from starlette.requests import Request

from marey.engine.inference.predict import Predictor
from marey.engine.inference.windows import Window, check_window, stride_of, windows
from marey.errors import DecodeError, MareyError
from marey.jobs.cores import num_cores
from marey.serve.admission import Admission
from marey.serve.batching import Batcher
from marey.serve.decoders import Decoders
from marey.serve.decoding import Decoder, Look, Range, Read, Video, Views
from marey.serve.documents import Clip, Labelled, Predicted
from marey.serve.files import private_file
from marey.serve.limits import Limits
from marey.serve.metrics import Metrics
from marey.serve.refusals import Refused
from marey.serve.uploads import content_type, read_json, save_upload
from marey.serve.urls import AllowedUrl, check_url, fetch
from marey.storage.temporary import temporary_folder
from marey.timelines.segments import SegmentRule
from marey.types import Scores

CLIPS_OF_A_BATCH = 8
WINDOWS_AT_ONCE = 4
"""That a process decodes before others have their turn."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Given:
    """A video that a client brought."""

    path: Path
    video: Video
    began: float
    """When its turn came, by `time.monotonic`."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a video."""

    top: int = 5
    window: float | None = None
    stride: float | None = None


class Service:
    """A predictor, the processes that decode for it, and the thread that it computes in."""

    def __init__(
        self,
        predictor: Predictor,
        limits: Limits,
        *,
        allowed: Sequence[AllowedUrl] = (),
        temporary: Path | None = None,
        rule: SegmentRule | None = None,
    ) -> None:
        """A service that is to be started.

        Args:
            predictor: of a model of videos.
            limits: what is refused beyond.
            allowed: below which urls videos are fetched.
            temporary: where uploads lie; by default the system's folder for that.
            rule: makes timelines of windows.
        """
        self._rule = rule
        self.predictor, self.limits, self.metrics = predictor, limits, Metrics()
        self.admission = Admission(limits, self.metrics)
        self.model_thread = ThreadPoolExecutor(1, "model")
        self.decoder = Decoder(predictor.trained.recipe.test, limits)
        self.decoders = Decoders(self.decoder, max(2, num_cores()), self.metrics)
        self._allowed, self._temporary = tuple(allowed), temporary
        self._folder: Path | None = None
        self._opened = ExitStack()
        self._batcher = Batcher(self._scored, self.model_thread, most=CLIPS_OF_A_BATCH)

    def start(self) -> None:
        """Be ready: processes are started, and the model has seen a clip."""
        self._folder = self._opened.enter_context(temporary_folder("serve", self._temporary))
        self.decoders.start()
        with suppress(MareyError):  # that black is no number is not said of any video
            self.model_thread.submit(self._passed, [_blank(self.predictor)]).result()

    def close(self) -> None:
        """Let go of processes and files, and of the model once its pass is over."""
        self.decoders.close()
        self._opened.close()
        self.model_thread.shutdown(cancel_futures=True)

    async def predict(self, request: Request, asked: Asked) -> Predicted:
        """The labels of the video that a request brings, or its timeline."""
        return await self.on_video(request, lambda given: self._predict(given, asked))

    async def on_video(self, request: Request, work: Callable[[Given], Awaitable[T]]) -> T:
        """What `work` makes of the video that a request brings, as an upload or a url.

        The video is within the limits, and gone when `work` is done. All ends when the client
        leaves, or the time of the request is over.

        Raises:
            Refused: there is no room, the video cannot be had or read, time is over, or the server
                stops.
        """
        assert self._folder is not None, "it is started"
        try:
            async with self.admission.inside():
                return await self._inside(request, work)
        except Refused as refused:
            self.metrics.refused(refused.status)
            raise

    async def _inside(self, request: Request, work: Callable[[Given], Awaitable[T]]) -> T:
        assert self._folder is not None
        with private_file(self._folder) as path:
            async with _in_time(self.limits.request_seconds, 408, "the video did not come"):
                end = asyncio.get_running_loop().time() + self.limits.request_seconds
                await self._receive(request, path)
            left = end - asyncio.get_running_loop().time()
            async with _in_time(left, 504, "there was no answer"):
                return await _while_connected(request, self._turn(path, work))

    async def read(self, path: Path, video: Video, ranges: Sequence[Range]) -> tuple[Views, ...]:
        """The test views of parts of a video, each uint8 [v t 3 h w]."""
        views = await self.decoders.do(Read(path, len(video.times), tuple(ranges)))
        assert isinstance(views, tuple)
        return views

    async def scores(self, views: Views) -> Scores:
        """Scores [k] of every head for the views of a clip; RunError if they are not finite."""
        found = await self._batcher(views)
        if isinstance(found, Exception):
            raise found
        return found

    async def in_model_thread(self, work: Callable[[], T]) -> T:
        """What `work` gives, called in the one thread that uses the model.

        Where the task is cancelled the work is not waited for: all that it has is its own.
        """
        return await asyncio.get_running_loop().run_in_executor(self.model_thread, work)

    async def _receive(self, request: Request, path: Path) -> None:
        if content_type(request)[0] != b"application/json":
            return await save_upload(request, path, self.limits.bytes)
        url = (await read_json(request)).get("url")
        allowed = check_url(url, self._allowed)
        assert isinstance(url, str)
        return await fetch(url, path, allowed, self.limits.bytes)

    async def _turn(self, path: Path, work: Callable[[Given], Awaitable[T]]) -> T:
        async with self.admission.working():
            began = time.monotonic()
            video = await self.decoders.do(Look(path))
            assert isinstance(video, Video)
            return await work(Given(path, video, began))

    async def _predict(self, given: Given, asked: Asked) -> Predicted:
        path, video = given.path, given.video
        if asked.window is None:
            found = await self._of_clip(path, video, asked.top)
        else:
            found = await self._of_windows(path, video, self._windows(video, asked))
        about = Clip(
            frames=len(video.times),
            seconds=round(video.seconds, 3),
            width=video.width,
            height=video.height,
        )
        warning = f"the video is {video.doubt}" if video.doubt else None
        took = round(time.monotonic() - given.began, 4)
        return Predicted(**found, clip=about, warning=warning, took_seconds=took)

    async def _of_clip(self, path: Path, video: Video, top: int) -> dict[str, list[Labelled]]:
        [views] = await self.read(path, video, [(0, len(video.times))])
        answers = self.predictor.answers(await self.scores(views), top)
        return {"answers": [Labelled(**each) for each in answers]}

    async def _of_windows(
        self, path: Path, video: Video, found: Sequence[Window]
    ) -> dict[str, list[Labelled]]:
        scores: list[Scores] = []
        for some in (found[i : i + WINDOWS_AT_ONCE] for i in range(0, len(found), WINDOWS_AT_ONCE)):
            views = await self.read(path, video, [(of.first, of.last) for of in some])
            scores += await asyncio.gather(*map(self.scores, views))
        by_head = {head: torch.stack([of[head] for of in scores]) for head in scores[0]}
        watched = self.predictor.of_windows(found, by_head, video.times)
        times = [{"start": window.start, "end": window.end} for window in found]
        answers = [
            Labelled.model_validate(time | each)
            for time, of_window in zip(times, scores, strict=True)
            for each in self.predictor.answers(of_window, top=1)
        ]
        segments = [Labelled.model_validate(of.to_json()) for of in watched.segments(self._rule)]
        return {"answers": answers, "timeline": segments}

    def _windows(self, video: Video, asked: Asked) -> list[Window]:
        assert asked.window is not None
        try:
            check_window(video.times, asked.window)
            found = windows(video.times, asked.window, stride_of(asked.window, asked.stride))
            some = list(islice(found, self.limits.windows + 1))
        except DecodeError as error:  # what was asked is at fault
            raise Refused(422, error.message, error.hint) from error
        if len(some) > self.limits.windows:
            raise Refused(
                413,
                f"over {self.limits.windows:,} windows",
                "ask for longer ones, or a longer stride (--max-windows)",
            )
        return some

    def _scored(self, batch: Sequence[Views]) -> list[Scores | Exception]:
        """Scores [k] of each clip, in the thread of the model; an error costs one clip alone.

        As of scores that are not finite, or of a batch that is too large for the memory.
        """
        try:
            return self._passed(batch)
        except Exception as error:  # noqa: BLE001  # whoever waits for it raises it
            if len(batch) == 1:
                return [error]
        return [each for clip in batch for each in self._scored([clip])]

    def _passed(self, batch: Sequence[Views]) -> list[Scores | Exception]:
        scores = self.predictor.score_batch(
            torch.from_numpy(np.stack(batch)), ["the video"] * len(batch)
        )
        self.metrics.batch("clips", len(batch))
        return [{head: of[i] for head, of in scores.items()} for i in range(len(batch))]


def _blank(predictor: Predictor) -> Views:
    """Black views, of the shape that the model sees."""
    test = predictor.trained.recipe.test
    shape = (test.sampling.clips * test.crop.views, test.sampling.frames, 3)
    return np.zeros((*shape, test.crop.size, test.crop.size), np.uint8)


@asynccontextmanager
async def _in_time(seconds: float, status: int, what: str) -> AsyncIterator[None]:
    """The block ends after so long, refused."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        hint = "send a shorter video, or fewer at a time (--request-seconds)"
        raise Refused(status, f"{what} in time", hint) from None


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What comes of the work, which is cancelled when the client leaves."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refused(499, "the client left")
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
