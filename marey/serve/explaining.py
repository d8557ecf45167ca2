"""Where the model looks in a video that a client sends: its frames, with heat over each."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel
from starlette.requests import Request

from marey.engine.inference.looking import Looked, look_at, middle_view
from marey.errors import RunError
from marey.serve.decoding import Video
from marey.serve.refusals import Refused
from marey.serve.service import Given, Service
from marey.video.reading.jpeg import encode_jpeg
from marey.video.reading.pixels import ShortSide, scaled
from marey.video.sampling.segments import at_rate

CELLS = 28
"""Of a side of the heat that is sent, at most: it is smooth, as maps of networks are small."""
PIXELS, QUALITY = 160, 5
"""Of the short side of a picture, at most, and its JPEG quality, from 1 (best) to 31."""


class SeenFrame(BaseModel):
    """A frame as the model sees it."""

    seconds: float
    image: str
    """A JPEG, as a data URI."""
    heat: list[list[float]]
    """From the top left, row by row, in [0, 1]."""


class Explained(BaseModel):
    """Where the model looks."""

    head: str
    label: str
    """The class that was asked about."""
    way: str
    """"gradients": what speaks for the class. "attention": what is looked at for any class."""
    frames: list[SeenFrame]


@dataclass(frozen=True)
class Asked:
    """What is asked of a video."""

    label: str = ""
    """The class; "" for the one with the highest score."""
    head: str = ""
    """Of a model with several; "" for the first."""
    start: float = 0.0
    end: float | None = None
    """The part that is looked into, in seconds; by default all of it."""


async def explain(service: Service, request: Request, asked: Asked) -> Explained:
    """Where the model looks in the middle view of the video that a request brings.

    Raises:
        Refused: the video cannot be had or read, there is no such class or no such part, or it
            cannot be told of this model.
    """

    async def work(given: Given) -> Explained:
        video = given.video
        first, last = _part(video, asked)
        (views,) = await service.read(given.path, video, [(first, last)])
        test = service.predictor.trained.recipe.test
        clip, crop = middle_view(test)
        view = torch.from_numpy(views[clip * test.crop.views + crop])
        looked = await service.in_model_thread(lambda: _looked(service, view, asked))
        indices = at_rate(test.sampling, video.fps).indices(last - first)[clip]
        return explained(looked, video.times[first + indices])

    return await service.on_video(request, work)


def explained(looked: Looked, times: np.ndarray) -> Explained:
    """What is sent of a look at frames that are shown at these times, float64 [t] in seconds."""
    frames = []
    for picture, heat, seconds in zip(looked.frames, looked.heat, times.tolist(), strict=True):
        rows, columns = (min(CELLS, size) for size in heat.shape)
        small = F.adaptive_avg_pool2d(torch.from_numpy(heat)[None], (rows, columns))[0]
        height, width = picture.shape[:2]
        jpeg = encode_jpeg(scaled(picture, ShortSide(PIXELS)((width, height))), quality=QUALITY)
        frames.append(
            SeenFrame(
                seconds=round(seconds, 3),
                image="data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
                heat=[[round(cell, 3) for cell in row] for row in small.tolist()],
            )
        )
    return Explained(head=looked.head, label=looked.label, way=looked.way, frames=frames)


def _part(video: Video, asked: Asked) -> tuple[int, int]:
    """The first frame of the part that is asked for, and the one after its last."""
    end = math.inf if asked.end is None else asked.end
    first, last = np.searchsorted(video.times, [asked.start - 1e-6, end - 1e-6]).tolist()
    if first >= last:
        span = "s on" if asked.end is None else f"to {asked.end:g} s"
        message = f"no frame is shown from {asked.start:g} {span}"
        raise Refused(422, f"{message}: the video has {video.seconds:.3f} s", "give another part")
    return first, last


def _looked(service: Service, view: torch.Tensor, asked: Asked) -> Looked:
    try:
        return look_at(service.predictor, view, asked.label, asked.head)
    except ValueError as error:
        raise Refused(422, str(error), "GET /v1/model lists heads and classes") from error
    except RunError as error:
        raise Refused(422, error.message, error.hint) from error
