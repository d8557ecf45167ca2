"""Cameras and urls as streams. They break, and are opened again (`marey.video.live.feed`).

FFmpeg is given the one protocol that was asked for, with those that it stands on, so that a stream
or a playlist cannot send it to files of this machine or elsewhere; and times after which it gives
up.
"""

from __future__ import annotations

import platform
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import av
from av.container import InputContainer

from marey.errors import DecodeError, first_few
from marey.storage.url import Url
from marey.video.live.clock import Pace
from marey.video.live.decoding import moments
from marey.video.live.moment import Moment
from marey.video.reading.ffmpeg_stream import FORMATS, LIMITS, video_stream

PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "http": ("http", "https", "tls", "tcp"),
    "https": ("https", "tls", "tcp"),
    "rtsp": ("rtsp", "rtp", "rtcp", "udp", "tcp"),
    "rtsps": ("rtsps", "rtsp", "rtp", "rtcp", "udp", "tls", "tcp"),
    "rtmp": ("rtmp", "tcp"),
    "rtmps": ("rtmps", "rtmp", "tls", "tcp"),
    "udp": ("udp",),
    "tcp": ("tcp",),
    "srt": ("srt",),
}
"""Scheme of a url -> what FFmpeg may use for it."""
OPEN_SECONDS, SILENT_SECONDS = 15.0, 30.0
"""After which opening, and waiting for the next bytes, are given up."""
STREAMED = (*FORMATS, "hls", "rtsp", "rtp", "sdp", "flv")
"""What a url may hold: a playlist (hls) by its own protocol alone."""
FETCH = (
    "a file whose index is at its end, as that of many an mp4, needs a server that sends parts of "
    "it: fetch it, and give the file"
)


@dataclass(frozen=True)
class Link:
    """What lies at a url: a live stream, or a file, which is shown at its pace unless in a hurry.

    DecodeError for a scheme that is none of `PROTOCOLS`.
    """

    url: Url
    hurry: bool = False

    breaks = True

    def __post_init__(self) -> None:
        if self._scheme not in PROTOCOLS:
            raise DecodeError(
                f"{self.url}: '{self._scheme}' is no protocol for streams",
                f"known are {', '.join(PROTOCOLS)}",
            )

    @property
    def name(self) -> str:
        """The url without user, password and query."""
        return str(self.url)

    @property
    def _scheme(self) -> str:
        return self.url.text.partition("://")[0].lower()

    def moments(self, stop: threading.Event) -> Iterator[Moment | str]:
        """What comes from now on; a file from its beginning, once."""
        options = LIMITS | {
            "protocol_whitelist": ",".join(PROTOCOLS[self._scheme]),
            "format_whitelist": ",".join(STREAMED),
            "rw_timeout": str(int(SILENT_SECONDS * 1e6)),
        }
        if self._scheme in ("rtsp", "rtsps"):
            options["rtsp_flags"] = "prefer_tcp"  # else packets lost on the way smear pictures
        with _opened(self.name, self.url.text, options) as container:
            stream = video_stream(container, self.name)
            is_file = container.duration is not None
            pace = Pace(stop)
            hint = FETCH if is_file else ""
            for each in moments(self.name, container, stream, live=not is_file, hint=hint):
                if stop.is_set():
                    return
                if isinstance(each, Moment) and is_file and not self.hurry:
                    pace.wait_until(each.seconds)
                yield each
        if not is_file:
            raise DecodeError(f"{self.name}: the stream ended")


@dataclass(frozen=True)
class Camera:
    """A camera of this machine: its number, /dev/videoN, or its name where systems go by names."""

    device: str

    breaks = True

    @property
    def name(self) -> str:
        """How it was named."""
        return f"camera {self.device}"

    def moments(self, stop: threading.Event) -> Iterator[Moment | str]:
        """What it films from now on."""
        kind, device = camera_of(self.device, platform.system())
        with _opened(self.name, device, LIMITS, format=kind) as container:
            stream = video_stream(container, self.name)
            for each in moments(self.name, container, stream, live=True):
                if stop.is_set():
                    return
                yield each
        raise DecodeError(f"{self.name}: it gives no more pictures")


def camera_of(device: str, system: str) -> tuple[str, str]:
    """FFmpeg's input device of a system, and its name of the camera; DecodeError if unknown.

    >>> camera_of("0", "Linux"), camera_of("1", "Darwin")
    (('v4l2', '/dev/video0'), ('avfoundation', '1:none'))
    """
    if system == "Linux":
        return "v4l2", f"/dev/video{device}" if device.isdigit() else device
    if system == "Darwin":
        return "avfoundation", f"{device}:none"
    if system == "Windows" and not device.isdigit():
        return "dshow", f"video={device}"
    names = "cameras have names there, as ffmpeg -list_devices true -f dshow -i dummy lists them"
    raise DecodeError(
        f"camera {device} is not known on {system}", names if system == "Windows" else ""
    )


def _opened(
    name: str, what: str, options: Mapping[str, str], format: str | None = None
) -> InputContainer:
    try:
        return av.open(
            what,
            format=format,
            metadata_errors="replace",
            container_options=dict(options),
            timeout=(OPEN_SECONDS, SILENT_SECONDS),
        )
    except av.error.ProtocolNotFoundError as error:
        scheme = re.match(r"\w+", what)
        raise DecodeError(
            f"{name}: the FFmpeg of this PyAV has no {scheme[0] if scheme else 'such protocol'}",
            f"give one of {first_few((each for each in PROTOCOLS if each != 'srt'), 9)}",
        ) from error
    except av.FFmpegError as error:  # its text names the url, secrets and all
        reason = "it does not answer" if isinstance(error, av.error.ExitError) else error.strerror
        hint = "is it there, and may you look at it?"
        if isinstance(error, av.error.InvalidDataError):
            hint = "what comes from there is no video, or damaged"
        raise DecodeError(f"{name}: {reason}", hint) from None
    except ValueError as error:
        raise DecodeError(f"{name}: {error}", "this PyAV reads no cameras here") from error
