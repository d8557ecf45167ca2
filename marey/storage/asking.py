"""Asking a store: again if that may help, never for ever, and errors in words without secrets.

Ours, since fsspec's http asks once and messages of its stores may quote the url; obstore, which
asks again, lists no folders of http, knows fewer stores and quotes urls too.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from marey.errors import UrlError

TRIES = 3
WAIT_SECONDS = 0.25
"""Before the second try; twice as long before the third."""
BUDGET = "MAREY_STORE_SECONDS"
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long stores are waited for.

    `seconds`: for a request, all tries together; a second more for each `bytes_a_second` that it
    brought. `connect_seconds`, `read_seconds`: until a server takes the request, and between two
    pieces of its answer (http only).
    """

    seconds: float = 60.0
    connect_seconds: float = 10.0
    read_seconds: float = 20.0
    bytes_a_second: int = 64 << 10


def patience() -> Patience:
    """What is waited by now: the variable `MAREY_STORE_SECONDS` sets `seconds`."""
    text = os.environ.get(BUDGET)
    if text is None:
        return Patience()
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UrlError(f"{BUDGET} is {text!r}", "a number of seconds above 0, as 60")
    return Patience(seconds)


class StoreError(OSError):
    """An error that these modules raise themselves, in words that hold no secret.

    `in_vain`: whether to ask again would bring the same.
    """

    in_vain = True


class CutShort(StoreError):
    """An answer that lacks a part."""

    in_vain = False

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the answer is cut short")


def asked(ask: Callable[[float], T]) -> T:
    """What `ask` gives, asked up to `TRIES` times; OSError without the words of the store.

    It is told how many seconds are left for all tries.
    """
    end = time.monotonic() + patience().seconds
    for tries in range(1, TRIES + 1):
        try:
            return ask(end - time.monotonic())
        except _failures() as error:
            reason, in_vain = _explained(error)
        if in_vain:
            raise reason
        wait = WAIT_SECONDS * 2 ** (tries - 1)
        if tries == TRIES or time.monotonic() + wait >= end:
            break
        time.sleep(wait)
    times = "once" if tries == 1 else f"{tries} times"
    raise OSError(reason.errno, f"{reason.strerror}, {times}")


def _explained(error: BaseException) -> tuple[OSError, bool]:
    """An error in our own words, and whether it would be in vain to ask again."""
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, _failures()):
        error = error.__cause__  # what fsspec's http makes of every failure
    if isinstance(error, StoreError):
        return error, error.in_vain
    status, code = getattr(error, "status", None), getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return FileNotFoundError(errno.ENOENT, "no such file or folder"), True
    if type(error).__name__ == "TooManyRedirects":  # of aiohttp, which may not be installed
        return OSError(errno.EIO, "the server sends on from url to url"), True
    if status:
        in_vain = 400 <= status < 500 and status not in (408, 429)
        return OSError(errno.EIO, f"status {status}"), in_vain
    if isinstance(error, TimeoutError):
        return OSError(errno.ETIMEDOUT, f"no answer in time ({BUDGET} sets how long)"), False
    reason = os.strerror(code) if code and code > 0 else "no answer"
    in_vain = isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError)
    return OSError(code or errno.EIO, f"{reason} ({type(error).__name__})"), in_vain


def _failures() -> tuple[type[Exception], ...]:
    """What stores raise: fsspec's own turn their errors into OSError, its http does not."""
    http = sys.modules.get("aiohttp")
    return (OSError, EOFError) if http is None else (OSError, EOFError, http.ClientError)
