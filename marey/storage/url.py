"""Files in object stores: ``s3://bucket/a.mp4``, ``http://host/a.mp4``, whatever fsspec knows.

A `Url` stands where a `Path` may: it joins, lists and reads, and fails with an `OSError` as a path
does. What differs:

- *Nothing leads out.* A name joined to a url stays below it: no ``..``, also not in disguise
  (``%2e%2e``), no absolute path, no other scheme, no fsspec chain (``zip::s3``). So only stores are
  asked whose urls the user gave, and those to which an http server of these sends on.
- *No secret is shown.* ``str`` of a url, and so every message, log and table, lacks its user,
  password and query, which may hold a signature. What a store's library says of an error is not
  repeated, because it may quote the url; its kind and status are.
- *Nothing waits for ever.* A request that fails is made `TRIES` times in all, unless the store says
  that it would be in vain; http requests have a time limit.

A file of up to `WHOLE` bytes is read at once, with one request. Of a larger one fsspec keeps
`MAX_BLOCKS` blocks in memory at most.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias, TypeVar
from urllib.parse import quote, unquote

from marey.errors import DecodeError, UrlError
from marey.storage.faults import read_error

UNREACHED = "is the url right, may this user read it, is the store up?"
TRIES = 3
WAIT_SECONDS = 0.25
"""Before the second try; twice as long before the third."""
HTTP_SECONDS = 60.0
WHOLE = 32 << 20
BLOCK, MAX_BLOCKS = 4 << 20, 8
NO_PARTS = f"the server gives no parts of files, and it is over {WHOLE >> 20} MiB"
REMOTE = r"^[A-Za-z][A-Za-z0-9+.-]+://"
"""How a url begins; one letter would be a drive."""
LEADS_OUT = (
    r"^[/\\]|(^|[/\\])\.\.([/\\]|$)|^[A-Za-z][A-Za-z0-9+.-]*:|://|::"
    r"|(?i:%(25)*(2e|2f|5c))|[\x00-\x1f]"
)
"""Names that may lead out of a url they are joined to."""
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Url:
    """Where a file or folder lies in a store; `UrlError` for a text that is no plain url."""

    text: str
    """As given, secrets and all; `str` of a url has none."""

    def __post_init__(self) -> None:
        if not re.match(REMOTE, self.text) or "::" in self.text:
            raise UrlError(f"{without_secrets(self.text)!r} is no url, expected scheme://place")
        if ".." in PurePosixPath(unquote(self._parts[1])).parts:
            raise UrlError(f"{self} leads upwards, expected a url without '..'")

    def __str__(self) -> str:
        return without_secrets(self.text)

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __reduce__(self) -> tuple[type[Url], tuple[str]]:
        return Url, (self.text,)

    def __truediv__(self, name: str) -> Url:
        if re.search(LEADS_OUT, name):
            raise DecodeError(f"{self}: {name[:80]!r} leads out of it", "give paths below the root")
        scheme, rest, query = self._parts
        below = quote(name) if self._is_http else name
        return Url(f"{scheme}://{rest.rstrip('/')}/{below}{query}")

    @property
    def name(self) -> str:
        """The last part of the path."""
        last = self._parts[1].rstrip("/").rpartition("/")[2]
        return unquote(last) if self._is_http else last

    @property
    def suffix(self) -> str:
        """What stands after the last dot of the name, and the dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Url:
        """The folder it lies in; itself for a whole store."""
        scheme, rest, query = self._parts
        above = rest.rstrip("/").rpartition("/")[0]
        return Url(f"{scheme}://{above}{query}") if above else self

    @property
    def parents(self) -> list[Url]:
        """The folders it lies in, the nearest first."""
        above = [self.parent]
        while above[-1] != above[-1].parent:
            above.append(above[-1].parent)
        return above

    def as_posix(self) -> str:
        """The url without secrets."""
        return str(self)

    def absolute(self) -> Url:
        """Itself."""
        return self

    def relative_to(self, folder: Url) -> PurePosixPath:
        """The path from `folder`, in which this lies."""
        below = self._parts[1].removeprefix(folder._parts[1].rstrip("/")).lstrip("/")
        return PurePosixPath(unquote(below) if self._is_http else below)

    def is_dir(self) -> bool:
        """Whether it is a folder, or what http has in place of one: a page that lists files."""
        is_page = str(self._info.get("mimetype", "")).startswith("text/html")
        return self._info["type"] == "directory" or (self._is_http and is_page)

    def exists(self) -> bool:
        """Whether there is a file or folder."""
        try:
            return bool(self._info)
        except FileNotFoundError:
            return False

    @property
    def size(self) -> int | None:
        """Bytes of the file, if the store says."""
        size = self._info.get("size")
        return None if size is None else int(size)

    def iterdir(self) -> Iterator[Url]:
        """What lies in the folder."""
        for path in self._ask("ls", detail=False):
            name = str(path).rstrip("/").rpartition("/")[2]
            name = unquote(name) if self._is_http else name
            if name and not re.search(LEADS_OUT, name):
                yield self / name

    def read_bytes(self) -> bytes:
        """All of the file."""
        return bytes(self._ask("cat_file"))

    def read_range(self, start: int, size: int) -> bytes:
        """`size` bytes from `start` on, fewer at the end of the file."""
        stop = start + size
        if "_content" not in vars(self):
            data = bytes(self._ask("cat_file", start=start, end=stop))
            if len(data) <= size:
                return data
            vars(self)["_content"] = _limited(data)  # what comes in place of a part
        return self._content[start:stop]

    def download(self, to: Path) -> None:
        """Write the file to `to`, a block at a time."""
        self._ask("get_file", str(to))

    def open(self) -> BinaryIO:
        """The file, to read and seek in; DecodeError where reading fails later."""
        if (self.size or WHOLE + 1) <= WHOLE:
            return io.BytesIO(self._content)
        blocks = {"cache_type": "blockcache", "cache_options": {"maxblocks": MAX_BLOCKS}}
        file: Any = self._ask("open", "rb", block_size=BLOCK, **blocks)
        if not file.seekable():
            with file:
                return io.BytesIO(_limited(_asked(lambda: file.read(WHOLE + 1))))
        if hasattr(file, "cache"):  # fsspec keeps the blocks, and asks for each of them once
            file.cache.fetcher = partial(self._block, file.cache.fetcher)
        opened: BinaryIO = file
        return opened

    def _block(self, fetch: Callable[[int, int], bytes], start: int, stop: int) -> bytes:
        """A block of an open file, whose failures are those of a video."""
        try:
            return _asked(lambda: fetch(start, stop))
        except ValueError:  # fsspec's word for an answer with the whole file
            failed = OSError(errno.EFBIG, "the server gives no parts of files")
        except OSError as error:
            failed = error
        raise read_error(self, failed, UNREACHED)

    @property
    def _is_http(self) -> bool:
        return self._parts[0] in ("http", "https")

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        """Scheme, place and query; only http has queries."""
        scheme, rest = self.text.split("://", 1)
        scheme = scheme.lower()
        if scheme in ("http", "https"):
            rest, mark, query = rest.partition("#")[0].partition("?")
            return scheme, rest, mark + query
        return scheme, rest, ""

    @cached_property
    def _store(self) -> tuple[Any, str]:
        """The store by fsspec, and the path there."""
        import fsspec.core  # only for those who have such files

        options: dict[str, Any] = {}
        try:
            if self._is_http:
                import aiohttp

                options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=HTTP_SECONDS)}
            store, path = fsspec.core.url_to_fs(self.text, **options)
        except ImportError as error:
            package = "marey[remote]" if self._is_http else "the package that fsspec names for it"
            raise _OwnError(
                errno.ENOSYS, f"{self._parts[0]} needs a package that is not installed: {package}"
            ) from error
        except ValueError as error:
            raise _OwnError(errno.EINVAL, f"no store is known as {self._parts[0]}://") from error
        return store, str(path)

    def _ask(self, method: str, *values: Any, **options: Any) -> Any:
        """What the store's `method` gives for this path."""
        store, path = self._store
        return _asked(lambda: getattr(store, method)(path, *values, **options))

    @cached_property
    def _info(self) -> dict[str, Any]:
        return dict(self._ask("info"))

    @cached_property
    def _content(self) -> bytes:
        return self.read_bytes()


AnyPath: TypeAlias = Path | Url
"""Where a file lies, here or in a store."""


def any_path(text: str | AnyPath) -> AnyPath:
    """The url or path that `text` is; `UrlError` for a url that leads upwards or through another.

    >>> any_path("s3://bucket/a.mp4").name, any_path("c:/a.mp4")
    ('a.mp4', PosixPath('c:/a.mp4'))
    """
    if isinstance(text, Path | Url):
        return text
    return Url(text) if re.match(REMOTE, text) else Path(text)


def _limited(data: bytes) -> bytes:
    """`data`, the whole of a file in place of a part; an error if that is too much."""
    if len(data) > WHOLE:
        raise _OwnError(errno.EFBIG, NO_PARTS)
    return data


# Ours, since fsspec's http asks once and messages of its stores may quote the url; obstore, which
# asks again, lists no folders of http, knows fewer stores and quotes urls too.
def _asked(ask: Callable[[], T]) -> T:
    """What `ask` gives, asked up to `TRIES` times; OSError without the words of the store."""
    for tries in range(1, TRIES + 1):
        try:
            return ask()
        except _failures() as error:
            reason, in_vain = _explained(error)
        if in_vain:
            raise reason
        if tries < TRIES:
            time.sleep(WAIT_SECONDS * 2 ** (tries - 1))
    raise OSError(reason.errno, f"{reason.strerror}, {TRIES} times")


def _explained(error: BaseException) -> tuple[OSError, bool]:
    """An error in our own words, and whether it would be in vain to ask again."""
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, _failures()):
        error = error.__cause__  # what fsspec's http makes of every failure
    status, code = getattr(error, "status", None), getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return FileNotFoundError(errno.ENOENT, "no such file or folder"), True
    if status:
        in_vain = 400 <= status < 500 and status not in (408, 429)
        return OSError(errno.EIO, f"status {status}"), in_vain
    if isinstance(error, _OwnError):
        return error, True
    reason = os.strerror(code) if code and code > 0 else "no answer"
    in_vain = isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError)
    return OSError(code or errno.EIO, f"{reason} ({type(error).__name__})"), in_vain


class _OwnError(OSError):
    """An error that this module raises itself, in words that hold no secret."""


def _failures() -> tuple[type[Exception], ...]:
    """What stores raise: fsspec's own turn their errors into OSError, its http does not."""
    http = sys.modules.get("aiohttp")
    return (OSError, EOFError) if http is None else (OSError, EOFError, http.ClientError)


def without_secrets(text: str) -> str:
    """A url without user, password and query."""
    scheme, mark, rest = text.partition("://")
    rest = re.sub(r"^[^/@]*:(?!\d+(/|$))[^@]*@", "", rest)  # keys of s3 may have a slash
    if scheme.lower() in ("http", "https"):
        rest = re.split("[?#]", rest)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"
