"""What a client sends, written as it comes to a private file; cut off where it is too large.

Nothing that the client says of a video is believed: not its name, its type or its length.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from marey.serve.files import Incoming, too_large
from marey.serve.refusals import Refused

FIELD = b"file"
"""The field of the form that holds the video."""
MOST_FIELDS = 16
"""Of a form; those besides the video are passed over."""
MOST_HEADER = 8 << 10
"""Bytes of a header of a field."""
MOST_JSON = 16 << 10
OVERHEAD = 64 << 10
"""Bytes that a form may have around the video."""
HOW = (
    "send a form (multipart/form-data) with the video in the field 'file', or JSON: {\"url\": ...}"
)


def content_type(request: Request) -> tuple[bytes, dict[bytes, bytes]]:
    """What a request says it is, in small letters, and the parameters of that."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    return kind.lower(), options


async def body(request: Request, most: int, *, around: int = 0) -> AsyncIterator[bytes]:
    """The pieces of a body; `Refused` as soon as it has, or says it has, too many bytes.

    These are `most`, and those that may be `around` what they are a limit of. A compressed body is
    refused: nobody knows what it becomes.
    """
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise Refused(415, f"the body is compressed ({coding[:80]!r})", "send it as it is")
    told = request.headers.get("content-length", "")
    count = int(told) if told.isascii() and told.isdecimal() and len(told) < 20 else 0
    if count > most + around:
        raise too_large(most)
    count = 0
    try:
        async for piece in request.stream():
            count += len(piece)
            if count > most + around:
                raise too_large(most)
            yield piece
    except ClientDisconnect as gone:
        raise Refused(400, "the client left before it had sent everything") from gone


async def read_json(request: Request) -> dict[str, object]:
    """The names and values of a small JSON body."""
    text = b"".join([piece async for piece in body(request, MOST_JSON)])
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is not JSON", HOW) from error
    if not isinstance(found, dict):
        raise Refused(422, "the body is JSON, but no object", HOW)
    return found


async def save_upload(request: Request, to: Path, most: int) -> None:
    """Write the video of a form to the new file `to`.

    Raises:
        Refused: it has over `most` bytes, or the body is no form with one video.
    """
    kind, options = content_type(request)
    if kind != b"multipart/form-data":
        raise Refused(415, f"the body is {kind.decode('latin-1')[:80] or 'of no type'}", HOW)
    form = _Form(options.get(b"boundary", b""))
    with Incoming(to, most) as file:
        async for piece in body(request, most, around=OVERHEAD):
            await file.add(form.video_in(piece))
        form.end()
        await file.write()
    if not file.size:
        raise Refused(422, "the video has no bytes", HOW)


class _Form:
    """A form as it comes in; of its fields one is kept."""

    def __init__(self, boundary: bytes) -> None:
        self._video = bytearray()
        self._num_fields = self._num_files = 0
        self._name = self._value = b""
        self._wanted = self._ended = False
        if not 0 < len(boundary) <= 200:
            raise Refused(400, "the form names no boundary of its parts", HOW)
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def video_in(self, piece: bytes) -> bytearray:
        """What a piece of the form has of the video."""
        self._video = bytearray()
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise Refused(400, "the body is no form as it says", HOW) from error
        return self._video

    def end(self) -> None:
        """`Refused` unless the form is whole and had the field."""
        if not self._num_files:
            raise Refused(422, f"the form has no field '{FIELD.decode()}'", HOW)
        if not self._ended:
            raise Refused(400, "the form breaks off", "send it again")

    def _begin(self) -> None:
        self._num_fields += 1
        self._wanted = False
        self._name = self._value = b""
        if self._num_fields > MOST_FIELDS:
            raise Refused(413, f"the form has over {MOST_FIELDS} fields", HOW)

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += self._of_header(data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._of_header(data[start:end])

    def _of_header(self, data: bytes) -> bytes:
        if len(self._name) + len(self._value) + len(data) > MOST_HEADER:
            raise Refused(413, f"the form has a header of over {MOST_HEADER:,} bytes", HOW)
        return data

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._wanted = options.get(b"name") == FIELD
            self._num_files += self._wanted
            if self._num_files > 1:
                raise Refused(422, "the form has several videos", "send one at a time")
        self._name = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self._video += data[start:end]

    def _end(self) -> None:
        self._ended = True
