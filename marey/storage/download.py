"""A file fetched from the web: one that goes on where it was interrupted, and is checked.

    FILE.part          what has come so far
    FILE.part.version  of which content of the file: the server's ETag, or when it was changed
    FILE.lock          held by the process that fetches it

Ours, since downloads of torch.hub, urllib and pooch begin anew after every fault, and that of
huggingface_hub is made for its own hub.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from marey.storage.asking import BUDGET, TRIES, CutShort, StoreError, patience
from marey.storage.http import PIECE, place_of
from marey.storage.lock import locked

WAIT_SECONDS = 0.25
"""Before it is tried again, twice as long every further time."""
REDIRECTS = 5
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
Progress = Callable[[int, int], None]
"""Called with the bytes (done, total) of the file."""


def download(
    url: str,
    to: Path,
    *,
    most: int,
    digits: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> None:
    """Fetch the file at `url` to `to`, whose folder is there; what came before is kept.

    Args:
        url: by https; plain http only from this machine itself.
        to: left alone if it is there when its turn has come.
        most: bytes that it may have.
        digits: by one of these its SHA-256 must begin; none are not checked.
        progress: called as it goes on.

    Raises:
        OSError: it cannot be had, in words for people; or it is another file than it should be.
        Held: another process fetches it.
    """
    _refuse_unsafe(url, url)
    part, lock = (to.with_name(f"{to.name}.{word}") for word in ("part", "lock"))
    with locked(lock, f"downloads {to.name}"):
        try:
            if not to.is_file():
                _receive_all(url, part, most, progress or _unseen)
                _check(part, digits)
                part.replace(to)
                _version(part).unlink(missing_ok=True)
        finally:
            lock.unlink(missing_ok=True)


def _unseen(done: int, total: int) -> None:
    """What is called where nobody looks."""


def _receive_all(url: str, part: Path, most: int, progress: Progress) -> None:
    """Fetch what is left of the file to `part`, again while that brings anything."""
    tries = 0
    while True:
        before = _size(part)
        try:
            return _receive(url, part, most, progress)
        except (OSError, HTTPException, ValueError, OverflowError) as fault:
            if isinstance(fault, HTTPError) and fault.code == 416:  # there is no more: begin anew
                _version(part).unlink(missing_ok=True)
            error = _in_words(fault)
        tries = 1 if _size(part) > before else tries + 1
        if tries >= TRIES or (isinstance(error, StoreError) and error.in_vain):
            raise error
        time.sleep(WAIT_SECONDS * 2 ** (tries - 1))


def _receive(url: str, part: Path, most: int, progress: Progress) -> None:
    """Ask once, for what lacks in `part`; CutShort if the answer ends early."""
    version = _version(part)
    known = version.read_text(encoding="utf-8") if version.is_file() else ""
    start = _size(part) if known else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "marey"}
    headers |= {"Range": f"bytes={start}-", "If-Range": known} if start else {}
    wait = patience()
    opener, request = build_opener(_Redirects()), Request(url, headers=headers)
    with opener.open(request, timeout=min(wait.read_seconds, wait.seconds)) as answer:
        first, _, size = place_of(answer.headers, answer.status == 206)
        if answer.status != 206:
            start = 0
        elif first != start:
            raise StoreError(errno.EIO, "the server gives another part than was asked for")
        if answer.headers.get_content_type() == "text/html":
            raise StoreError(errno.EIO, "the server gives a web page in its place")
        _refuse_size(size, start, part, most)
        version.write_text(_told(answer.headers), encoding="utf-8")
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            _copy(answer, file, start, size, most, progress)
            file.flush()
            os.fsync(file.fileno())  # else the name may be on the disk before the bytes


def _copy(
    answer: IO[bytes], file: IO[bytes], done: int, size: int | None, most: int, progress: Progress
) -> None:
    progress(done, size or 0)
    while piece := answer.read(PIECE):
        done += len(piece)
        if done > most:
            raise _too_large(done, most)
        file.write(piece)
        progress(done, size or done)
    if size is not None and done < size:
        raise CutShort


def _refuse_size(size: int | None, start: int, part: Path, most: int) -> None:
    """StoreError where the file is too large, or there is no room for the rest of it."""
    if size is not None and size > most:
        raise _too_large(size, most)
    free = shutil.disk_usage(part.parent).free
    if size is not None and size - start > free:
        raise StoreError(errno.ENOSPC, f"{size - start:,} bytes are to come, {free:,} are free")


def _too_large(size: int, most: int) -> StoreError:
    return StoreError(errno.EFBIG, f"it has {size:,} bytes or more, expected at most {most:,}")


def _check(part: Path, digits: tuple[str, ...]) -> None:
    """StoreError, and `part` is thrown away, unless its SHA-256 begins with one of the digits."""
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digits and not digest.startswith(digits):
        part.unlink()
        _version(part).unlink()
        begins, expected = digest[: len(digits[0])], " or ".join(digits)
        raise StoreError(errno.EIO, f"its SHA-256 begins with {begins}, expected {expected}")


def _told(headers: HTTPMessage) -> str:
    """What tells this content of the file from another, for If-Range; empty if nothing does."""
    tag = headers.get("ETag", "")
    return headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag


def _version(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _refuse_unsafe(url: str, asked: str) -> None:
    """StoreError but for https; plain http is for a server of this machine that was asked for."""
    with suppress(ValueError):  # no url at all
        here = all(urlsplit(each).hostname in _THIS_MACHINE for each in (url, asked))
        scheme = urlsplit(url).scheme
        if scheme == "https" or (scheme == "http" and here):
            return
    whither = "" if url == asked else f"the server sends on to {url}: "
    raise StoreError(errno.EIO, f"{whither}not https, by which alone files are fetched")


class _Redirects(HTTPRedirectHandler):
    """A few, and none that leaves https."""

    max_redirections = REDIRECTS

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        _refuse_unsafe(newurl, req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _in_words(fault: Exception) -> OSError:
    """The fault as an error that says what a person needs to know."""
    if isinstance(fault, StoreError):
        return fault
    if isinstance(fault, HTTPError):
        with fault:
            return _of_status(fault)
    reason = fault.reason if isinstance(fault, URLError) else fault
    if isinstance(reason, TimeoutError):
        return OSError(errno.ETIMEDOUT, f"timed out ({BUDGET} sets after how long)")
    if isinstance(fault, ValueError | OverflowError):
        return StoreError(errno.EINVAL, f"it is no url: {fault}")
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return OSError(getattr(reason, "errno", None) or errno.EIO, words)


def _of_status(fault: HTTPError) -> OSError:
    if 300 <= fault.code < 400:
        return StoreError(errno.EIO, f"the server sends on over {REDIRECTS} times, or to no https")
    if fault.code in (404, 410):
        return StoreError(errno.ENOENT, f"the server has no such file (status {fault.code})")
    words = f"the server answers with status {fault.code} ({fault.reason})"
    in_vain = 400 <= fault.code < 500 and fault.code not in (408, 416, 429)
    return StoreError(errno.EIO, words) if in_vain else OSError(errno.EIO, words)
