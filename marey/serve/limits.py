"""How much one server takes: of a request, of a video, and at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from marey.types import check_counts, check_numbers


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is refused beyond; every refusal names the limit."""

    bytes: int = 64 << 20
    """Of an upload, or of a file at a url."""
    seconds: float = 600.0
    """Of a video."""
    frames: int = 20_000
    """Of a video: a file of few bytes may have millions."""
    pixels: int = 3840 * 2160
    """Of a frame."""
    windows: int = 600
    """Of a timeline."""
    concurrency: int = 8
    """Requests that are worked on at a time; others wait."""
    queue: int = 32
    """Requests that wait; more are refused with 429."""
    request_seconds: float = 60.0
    """From the first byte of a request to its answer."""
    streams: int = 8
    """Live streams at a time."""
    stream_bytes: int = 4 << 20
    """Of a frame that a stream sends."""
    stream_seconds: float = 30.0
    """That a stream may send nothing, before it is closed."""
    grace_seconds: float = 7.0
    """For what is inside when the server is asked to stop; containers are killed after 10."""
    memory: int = 2 << 30
    """Bytes that a decoding process may take beyond those it starts with."""

    def __post_init__(self) -> None:
        counts = {name: value for name, value in asdict(self).items() if isinstance(value, int)}
        check_counts(**counts)
        check_numbers(
            above=0,
            seconds=self.seconds,
            request_seconds=self.request_seconds,
            stream_seconds=self.stream_seconds,
            grace_seconds=self.grace_seconds,
        )
