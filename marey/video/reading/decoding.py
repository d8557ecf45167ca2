"""The packets and frames of an open video, from its beginning or where it was sought to.

Damaged packets are passed over as FFmpeg does: what decodes, counts. An index may list one packet a
million times; so as many in a row as no damage explains end the reading.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import cast

import av
from av.packet import Packet
from av.video.stream import VideoStream

from marey.errors import DecodeError, counted
from marey.pulse import beat
from marey.storage.url import AnyPath
from marey.video.reading.ffmpeg_stream import OpenStream, open_stream
from marey.video.reading.timeline import Timeline, timeline_of_frames, timeline_of_packets

MOST_IN_VAIN = 10_000
"""Packets in a row of which no frame decodes: minutes of a damaged video, or an index that lies."""


def count_frames(path: AnyPath, fps: float | None) -> Timeline:
    """The timeline of all frames that decode; `DecodeError` if none does."""
    shown: list[int | None] = []
    dts: list[int | None] = []
    keys: list[int] = []
    with open_stream(path, draft=True) as opened:
        for frame in decoded(opened, keys=keys):
            shown.append(frame.pts)
            dts.append(frame.dts)
        unit = opened.stream.time_base
    if not shown:
        raise no_frames(path)
    assert unit is not None
    return timeline_of_frames(shown, dts, keys, unit=unit, fps=fps)


def scan_packets(path: AnyPath, num_frames: int) -> Timeline | None:
    """The timeline by packets, or None where they do not stand for `num_frames` frames."""
    keys: list[int] = []
    shown: list[int | None] = []
    with open_stream(path) as opened:
        for packet in packets(opened, keys=keys):
            opened.file.unused = 0
            if not packet.is_discard:
                shown.append(packet.pts)
            if len(shown) > num_frames:
                return None
        unit = opened.stream.time_base
    assert unit is not None
    return timeline_of_packets(shown, keys, unit=unit, num_frames=num_frames)


def packets(opened: OpenStream, *, keys: list[int] | None = None) -> Iterator[Packet[VideoStream]]:
    """The packets of the video from here on; a file that breaks off ends there.

    The presentation time of every key packet is noted in `keys`.
    """
    flow = cast("Generator[Packet[VideoStream]]", opened.container.demux(opened.stream))
    with closing(flow):  # PyAV leaks a packet when it is just dropped
        while True:
            try:
                packet = next(flow, None)
            except av.FFmpegError:
                packet = None
            opened.file.check()
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            if keys is not None and packet.is_keyframe and packet.pts is not None:
                keys.append(packet.pts)
            yield packet


def decoded(opened: OpenStream, *, keys: list[int] | None = None) -> Iterator[av.VideoFrame]:
    """The frames of the video from here on, as shown; damaged packets are passed over."""
    in_vain = 0
    for packet in packets(opened, keys=keys):
        frames = _decode(opened, packet)
        yield from frames
        in_vain = 0 if frames else in_vain + 1
        if in_vain > MOST_IN_VAIN:
            raise DecodeError(
                f"{opened.path}: no picture in {MOST_IN_VAIN:,} packets of it",
                "the video is damaged or encrypted: get a new copy",
            )
    yield from _decode(opened, None)


def no_frames(path: AnyPath) -> DecodeError:
    """The error of a video stream of which nothing decodes."""
    filled, locked = 0, False
    with open_stream(path) as opened:
        for packet in packets(opened):
            opened.file.unused = 0
            filled += packet.size > 0
            locked = locked or packet.has_sidedata("encryption_info")
    if locked:
        return DecodeError(f"{path}: the video is encrypted", "get a copy without protection")
    if not filled:
        return DecodeError(
            f"{path}: a header without pictures", "the file is cut short: get a new copy"
        )
    return DecodeError(
        f"{path}: no frame decodes, in {counted(filled, 'packet')}",
        "the video is damaged or encrypted: get a new copy",
    )


def _decode(opened: OpenStream, packet: Packet[VideoStream] | None) -> list[av.VideoFrame]:
    try:
        frames = opened.stream.decode(packet)
    except av.error.MemoryError as error:  # a frame left out for want of it would shift the rest
        context = opened.stream.codec_context
        raise DecodeError(
            f"{opened.path}: not enough memory for a picture of {context.width} x {context.height}",
            "is the size true? if so, scale the video down once, before training",
        ) from error
    except av.FFmpegError:
        return []
    if frames:
        opened.file.unused = 0
        beat()
    return frames
