"""FFmpeg's view of a file: open it and pick the stream; and say why not.

FFmpeg gets the bytes of the one file and opens no other, whatever it says (`MediaFile`); and it
reads them only as one of `FORMATS`, which need no other. PyAV turns FFmpeg's log off by default, so
nothing here writes to standard error.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Self

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from marey.errors import DecodeError
from marey.storage.url import AnyPath
from marey.video.reading.media_file import MediaFile
from marey.video.reading.pixels import MOST_PIXELS, require_size

FORMATS = (
    # files of cameras, players, screens and archives
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "live_flv", "kux", "asf", "asf_o", "ogg"),
    *("rm", "mxf", "gxf", "lxf", "nut", "nuv", "wtv", "ty", "dv", "dhav", "cine", "r3d", "mlv"),
    *(
        "ivf",
        "ivr",
        "swf",
        "smjpeg",
        "mods",
        "moflex",
        "pva",
        "nsv",
        "vivo",
        "bink",
        "smk",
        "flic",
        "roq",
    ),
    # streams without a container
    *("h261", "h263", "h264", "hevc", "vvc", "evc", "apv", "av1", "obu", "m4v", "mpegvideo"),
    *("avs2", "avs3", "cavsvideo", "dirac", "dnxhd", "vc1", "vc1test", "yuv4mpegpipe"),
    *("mjpeg", "mpjpeg", "mjpeg_2000", "ingenient"),
    # pictures, of which some move
    *("gif", "apng", "webp", "jpegxl_anim", "jpeg_pipe", "png_pipe", "gif_pipe", "webp_pipe"),
    *("bmp_pipe", "tiff_pipe", "j2k_pipe", "jpegxl_pipe"),
    # sound, to say that it is that
    *("aac", "ac3", "aiff", "amr", "ape", "au", "caf", "flac", "mp3", "w64", "wav", "wv"),
)
"""FFmpeg's demuxers that read moving pictures from the bytes of their own file alone. Not so
playlists (hls, dash, concat, sdp), numbered pictures (image2), subtitles beside a file (vobsub),
scripts (avisynth), devices, and what shows any text as a video (tty, bin, xbin, adf, idf)."""
PLAYLIST = re.compile(
    rb"(\xef\xbb\xbf)?\s*(#EXTM3U|ffconcat|\[(playlist|reference)\]|<asx|v=0\r?\n|rtsptext|SMILtext"
    rb"|(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(MPD|SmoothStreamingMedia|manifest|playlist|smil)\b)",
    re.I | re.S,
)
"""How files begin that name others."""
HEAD = 4096
STAND_INS = {
    rb"version https://git-lfs\.": (
        "a placeholder of Git LFS",
        "fetch the video itself: git lfs pull",
    ),
    rb"[./]*\.git/annex/|/annex/objects/": (
        "a placeholder of git-annex",
        "fetch the video itself: git annex get FILE",
    ),
    rb"\s*(<!doctype html|<html)\b": (
        "a web page, not a video",
        "its download failed: get it again, signed in if the site asks for that",
    ),
    rb"\0+\Z": (
        "no video yet: it begins with zeros alone",
        "its copy or download was not finished: get it again",
    ),
}
"""How files begin that lie where a video should -> what they are, and the remedy."""

PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails

LEAVE_OUT = "leave it out of the list of clips"
EMPTY = "the file is empty (0 bytes)", "copy or download it again"
LARGE_PIXELS = 2560 * 1440
NOTHING_ELSE = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "none"}
LIMITS = {"max_pixels": str(MOST_PIXELS)}


@dataclass(frozen=True)
class OpenStream:
    """An open file and the stream of it that is the video; a context that closes the file."""

    file: MediaFile
    container: InputContainer
    stream: VideoStream

    @property
    def path(self) -> AnyPath:
        """Where the file lies."""
        return self.file.path

    def close(self) -> None:
        """Let go of the file; closing twice is fine."""
        self.container.close()
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_stream(path: AnyPath, *, draft: bool = False) -> OpenStream:
    """The video stream of the file, ready to decode on one thread.

    `draft` is for counting: without the loop filter (other pixels, the same frames, up to a third
    faster), and with two threads for pictures so large that a short clip would take long.

    Raises:
        DecodeError: it cannot be read, is none of `FORMATS`, has no video, or too large a one.
    """
    with ExitStack() as opened:
        file = opened.enter_context(closing(MediaFile(path)))
        container = opened.enter_context(_open(file))
        stream = video_stream(container, path)
        require_size(path, (stream.width, stream.height))
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        _make_ready(stream, draft)
        opened.pop_all()
    return OpenStream(file, container, stream)


def announced_frames(opened: OpenStream) -> int:
    """Frames that the header of the file says there are; 0 where it says nothing to rely on.

    Of mp4 those that its edit list shows; of Matroska and FLV by their time. MPEG streams say
    nothing, and FFmpeg shortens the time of an AVI that was cut off.
    """
    container, stream = opened.container, opened.stream
    kind, rate, counts = container.format.name, stream.average_rate or 0, [stream.frames]
    if kind.startswith("mov") and stream.duration and stream.time_base:
        counts.append(round(stream.duration * stream.time_base * rate))
    elif kind in ("matroska,webm", "flv"):
        alone = len(container.streams) == 1 and container.duration
        seconds = _seconds(stream.metadata.get("DURATION", ""))
        seconds = seconds or (float(container.duration or 0) / av.time_base if alone else 0.0)
        counts = [round(seconds * rate)]
    elif kind != "avi":
        return 0
    return min((count for count in counts if count > 0), default=0)


def _seconds(text: str) -> float:
    """Of `00:02:45.072`, as Matroska writes how long a stream lasts; 0 of anything else."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)\s*", text)
    hours, minutes, seconds = map(float, match.groups()) if match else (0.0, 0.0, 0.0)
    return 3600 * hours + 60 * minutes + seconds


def _make_ready(stream: VideoStream, draft: bool) -> None:
    context = stream.codec_context
    context.thread_count = 1
    context.options = LIMITS | ({"skip_loop_filter": "all"} if draft else {})
    if draft and context.width * context.height > LARGE_PIXELS:
        context.thread_count, context.thread_type = 2, ThreadType.FRAME


def _open(file: MediaFile) -> InputContainer:
    try:
        container = _raw_open(file)
    except av.FFmpegError as error:
        file.check()
        reason = _last_words(file) or str(error.strerror)
        raise _refused(file, reason) from error
    try:
        file.check()
    except DecodeError:
        container.close()
        raise
    return container


def _raw_open(file: MediaFile) -> InputContainer:
    file.seek(0)
    return av.open(
        file,
        mode="r",
        metadata_errors="replace",
        options=LIMITS,
        container_options=NOTHING_ELSE,
    )


def _last_words(file: MediaFile) -> str:
    """What FFmpeg logged last when it refused the file, or nothing."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)  # errors are kept for the exception, none is shown
    try:
        _raw_open(file).close()
    except av.FFmpegError as error:
        return str(error.args[3][2]).strip() if len(error.args) > 3 else ""
    finally:
        av.logging.set_level(level)
    return ""


def _refused(file: MediaFile, reason: str) -> DecodeError:
    file.seek(0)
    head = file.read(HEAD)
    known = (told for start, told in STAND_INS.items() if re.match(start, head, re.I))
    if not head:
        reason, hint = EMPTY
    elif PLAYLIST.match(head):
        reason, hint = "a playlist, which names other files", "give the video itself"
    elif stand_in := next(known, None):
        reason, hint = stand_in
    elif "whitelist" not in reason:
        hint = "it is damaged, or no video: if no player shows it, get a new copy or leave it out"
        if "moov atom" in reason:
            hint = "the file is cut short, or is no mp4 at all: get a new copy"
    elif b"\0" not in head:
        reason, hint = "a text file, not a video", LEAVE_OUT
    else:
        reason, hint = "of a format that is not read as video", "re-encode it as H.264, in an mp4"
    return DecodeError(f"{file.path}: {reason}", hint)


def video_stream(container: InputContainer, path: object) -> VideoStream:
    """The first video stream that is not a cover picture; DecodeError, of `path`, without one."""
    streams = container.streams.video
    if not streams:
        kinds = " and ".join(sorted({stream.type for stream in container.streams}))
        raise DecodeError(
            f"{path}: no video stream, the file holds {kinds or 'nothing'}", LEAVE_OUT
        )
    moving = [stream for stream in streams if not stream.disposition & PICTURES]
    if not moving:
        raise DecodeError(f"{path}: no video stream but a cover picture", LEAVE_OUT)
    if moving[0].codec_context is None:
        raise DecodeError(f"{path}: FFmpeg has no decoder for its video", "re-encode it as H.264")
    return moving[0]
