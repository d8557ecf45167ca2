"""The JSON that a server answers with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel

from marey.engine.inference.predict import Predictor
from marey.engine.live.recogniser import why_windows
from marey.serve.limits import Limits


class Labelled(BaseModel):
    """A label with its probability; of a window with its time in seconds."""

    label: str
    score: float
    head: str | None = None
    """Of a model that has several."""
    start: float | None = None
    end: float | None = None


class Clip(BaseModel):
    """What a video was found to be."""

    frames: int
    seconds: float
    width: int
    height: int


class Predicted(BaseModel):
    """The labels of a video, best first; or the best of each window, and the timeline of these."""

    answers: list[Labelled]
    timeline: list[Labelled] | None = None
    clip: Clip
    warning: str | None = None
    """Of a video that can be read, but is cut off, damaged or a single picture."""
    took_seconds: float
    """In work, without the time for which the video was sent or waited."""


class Model(BaseModel):
    """What is served."""

    name: str
    heads: dict[str, list[str]]
    """Head -> the names of its classes."""
    class_counts: dict[str, list[int]]
    """Head -> training clips of each class; empty where nobody knows."""
    frames: int
    """Of a clip."""
    size: int
    """Of a frame as the model sees it, in pixels: width and height."""
    streams: Literal["frame", "window"]
    """How streams are seen: frame by frame, or by a sliding window."""
    limits: dict[str, Any]


class Fault(BaseModel):
    """What was wrong, and the remedy."""

    message: str
    hint: str


class Failed(BaseModel):
    """Why there is no answer."""

    error: Fault


GUARDED = (400, 401, 403)
"""Statuses of what `guards` refuses."""
OF_VIDEOS = (*GUARDED, 408, 413, 415, 422, 429, 500, 502, 503, 504)
"""Statuses of requests that bring a video, and get no answer."""
_WHY = {
    400: "it is no request as it says, or asks a server of another name",
    401: "a token is asked for",
    403: "a page of another site asks, or the url is not allowed",
    408: "the video did not come in time",
    413: "beyond a limit",
    415: "neither a form nor JSON",
    422: "a video that cannot be read, or a question without an answer",
    429: "too many requests: come again after Retry-After",
    500: "an error of the server",
    502: "the server of the url has it not",
    503: "the server stops, or lost the process that read the video",
    504: "there was no answer in time",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What FastAPI is told of these statuses."""
    return {status: {"model": Failed, "description": _WHY[status]} for status in statuses}


def about_model(predictor: Predictor, limits: Limits, name: str = "") -> Model:
    """What a server says of its model, by its recipe's name without another, and of itself."""
    trained = predictor.trained
    return Model(
        name=name or trained.recipe.name,
        heads={head: list(names) for head, names in trained.classes.items()},
        class_counts={head: of.tolist() for head, of in trained.class_counts.items()},
        frames=trained.recipe.test.sampling.frames,
        size=trained.recipe.test.crop.size,
        streams="window" if why_windows(predictor) else "frame",
        limits=asdict(limits),
    )
