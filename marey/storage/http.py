"""Files on http servers, whole or in parts, through the session of fsspec's file system.

fsspec itself believes a server's answers: a whole file in place of a part, a part that is cut short
or of a file that has changed meanwhile, an answer without an end.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from marey.storage.asking import CutShort, Patience, StoreError, asked, patience

PIECE = 1 << 20
RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
"""How an answer says which part it is: ``bytes 0-99/1234``."""


@dataclass(frozen=True)
class Answer:
    """What a server gave: the bytes of a file, all of it or the part asked for."""

    data: bytes
    is_part: bool
    size: int | None
    """Of the whole file, if the server says."""
    version: tuple[str, ...]
    """What tells one content of the file from another: size, ETag, Last-Modified."""


def options(wait: Patience) -> dict[str, Any]:
    """What fsspec's http file system is to be made with, so that it waits as long."""
    return {"client_kwargs": {"timeout": timeout(wait)}}


def timeout(wait: Patience) -> Any:
    """The same for aiohttp."""
    import aiohttp

    return aiohttp.ClientTimeout(
        total=None,
        connect=min(wait.connect_seconds, wait.seconds),
        sock_read=min(wait.read_seconds, wait.seconds),
    )


def get(store: Any, url: str, *, most: int, part: tuple[int, int] | None = None) -> Answer:
    """The file at `url`, or its bytes from `part[0]` up to `part[1]`, if the server gives parts.

    Raises:
        OSError: it cannot be had; EFBIG if over `most` bytes come.
    """

    def once(seconds: float) -> Answer:
        data = bytearray()
        is_part, size, version = _receive(store, url, data.extend, seconds, part=part, most=most)
        return Answer(bytes(data), is_part, size, version)

    return asked(once)


def save(store: Any, url: str, to: Path) -> None:
    """Write the file at `url` to `to`; OSError if it cannot be had."""

    def once(seconds: float) -> None:
        with to.open("wb") as file:
            _receive(store, url, file.write, seconds)

    asked(once)


def _receive(
    store: Any, url: str, keep: Callable[[bytes], object], seconds: float, **limits: Any
) -> tuple[bool, int | None, tuple[str, ...]]:
    """`_received`, from outside the event loop."""
    from fsspec.asyn import sync

    answer: tuple[bool, int | None, tuple[str, ...]] = sync(
        store.loop, _received, store, url, keep, seconds, **limits
    )
    return answer


async def _received(
    store: Any,
    url: str,
    keep: Callable[[bytes], object],
    seconds: float,
    *,
    part: tuple[int, int] | None = None,
    most: int | None = None,
) -> tuple[bool, int | None, tuple[str, ...]]:
    """Whether a part came, the size of the whole and its version; `keep` was given the pieces."""
    headers = {"Accept-Encoding": "identity"}
    if part is not None:
        headers["Range"] = f"bytes={part[0]}-{part[1] - 1}"
    session, start, count = await store.set_session(), time.monotonic(), 0
    wait = replace(patience(), seconds=seconds)
    asking = session.get(store.encode_url(url), headers=headers, timeout=timeout(wait))
    async with asking as answer:
        answer.raise_for_status()
        is_part = part is not None and answer.status == 206
        first, stop, size = place_of(answer.headers, is_part)
        async for piece in answer.content.iter_chunked(PIECE):
            count += len(piece)
            if most is not None and count > most:
                reason = "sends" if is_part or part is None else "gives no parts of files, but"
                raise StoreError(errno.EFBIG, f"the server {reason} over {most:,} bytes")
            keep(piece)
            if time.monotonic() - start > wait.seconds + count / wait.bytes_a_second:
                raise TimeoutError
        told = [answer.headers.get(name, "") for name in ("ETag", "Last-Modified")]
    if part is not None and is_part:
        if first != part[0]:
            raise StoreError(errno.EIO, "the server gives another part than was asked for")
        if count < (stop if size is None else min(part[1], size)) - first:
            raise CutShort
    return is_part, size, (str(size), *told)


def place_of(headers: Any, is_part: bool) -> tuple[int, int, int | None]:
    """The first byte of the answer in the file, the one after its last, and the size of the file.

    All are -1 and None where the server does not say.
    """
    size = headers.get("Content-Length", "")
    if not is_part:
        return 0, -1, int(size) if size.isdigit() else None
    found = RANGE.fullmatch(headers.get("Content-Range", ""))
    if found is None:
        return -1, -1, None
    return int(found[1]), int(found[2]) + 1, None if found[3] == "*" else int(found[3])
