"""Files in object stores: ``s3://bucket/a.mp4``, ``http://host/a.mp4``, whatever fsspec knows.

A `Url` stands where a `Path` may: it joins, lists and reads, and fails with an `OSError` as a path
does. What differs:

- *Nothing leads out.* A name joined to a url stays below it: no ``..``, also not in disguise
  (``%2e%2e``), no absolute path, no other scheme, no fsspec chain (``zip::s3``). So only stores are
  asked whose urls the user gave, and those to which an http server of these sends on.
- *No secret is shown.* ``str`` of a url, and so every message, log and table, lacks its user,
  password and query, which may hold a signature. What a store's library says of an error is not
  repeated, because it may quote the url; its kind and status are.
- *Nothing waits for ever.* A request that fails is made again, unless the store says that it would
  be in vain, and all tries together have a time limit (`marey.storage.asking`).

A file of up to `WHOLE` bytes is read at once, with one request. Of a larger one `MAX_BLOCKS` blocks
are in memory at most; all of them are of one version of the file.
"""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias, cast
from urllib.parse import quote, unquote

from marey.errors import DecodeError, UrlError
from marey.storage import http
from marey.storage.asking import CutShort, StoreError, asked, patience
from marey.storage.blocks import Blocks
from marey.storage.regular import open_regular, read_regular

UNREACHED = "is the url right, may this user read it, is the store up?"
MOST = 1 << 32
"""Bytes of a file that is read wholly for another reason than to be a video."""
WHOLE = 32 << 20
REMOTE = r"^[A-Za-z][A-Za-z0-9+.-]+://"
"""How a url begins; one letter would be a drive."""
LEADS_OUT = (
    r"^[/\\]|(^|[/\\])\.\.([/\\]|$)|^[A-Za-z][A-Za-z0-9+.-]*:|://|::"
    r"|(?i:%(25)*(2e|2f|5c))|[\x00-\x1f]"
)
"""Names that may lead out of a url they are joined to."""


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

    def read_bytes(self, *, most: int = MOST) -> bytes:
        """All of the file; OSError if it has over `most` bytes."""
        store, path = self._store
        if self._is_http:
            data = http.get(store, path, most=most).data
            if len(data) < (self._told_size or 0):
                raise CutShort
            return data
        if self.local is not None:
            return read_regular(self.local, most=most)
        return bytes(self._ask("cat_file"))

    def read_range(self, start: int, size: int) -> bytes:
        """`size` bytes from `start` on, fewer at the end of the file.

        A server that gives no parts is asked for the whole once, up to `WHOLE` bytes.
        """
        stop = start + size
        if "_content" not in vars(self):
            data = self._part(start, stop)
            if data is not None:
                return data
        return self._content[start:stop]

    def download(self, to: Path) -> None:
        """Write the file to `to`, a block at a time."""
        if self._is_http:
            http.save(*self._store, to)
        else:
            self._ask("get_file", str(to))

    def open(self) -> BinaryIO:
        """The file, to read and seek in; its methods raise OSError."""
        if self.local is not None:
            return open_regular(self.local)
        size = self.size
        if size is None or size <= WHOLE:
            return io.BytesIO(self._content)
        return cast(BinaryIO, Blocks(self.read_range, size))

    def _part(self, start: int, stop: int) -> bytes | None:
        """The bytes from `start` up to `stop`; None where the server gives the whole, now kept."""
        if self.local is not None:
            with open_regular(self.local) as file:
                file.seek(start)
                return file.read(stop - start)
        if not self._is_http:
            return bytes(self._ask("cat_file", start=start, end=stop))
        if start >= stop:
            return b""
        answer = http.get(*self._store, part=(start, stop), most=max(WHOLE, stop - start))
        if not answer.is_part:
            vars(self)["_content"] = answer.data
            return None
        is_other = None not in (answer.size, self._told_size) and answer.size != self._told_size
        if is_other or vars(self).setdefault("_version", answer.version) != answer.version:
            raise StoreError(errno.ESTALE, "the file changed while it was read")
        return answer.data

    @cached_property
    def local(self) -> Path | None:
        """The path of a file of this machine."""
        return Path(self._store[1]) if self._parts[0] in ("file", "local") else None

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

    @property
    def _store(self) -> tuple[Any, str]:
        """The store by fsspec, and the path there; one of its own for every forked process."""
        key = f"_store of {os.getpid()}"
        if key not in vars(self):
            vars(self)[key] = self._found_store()
        found: tuple[Any, str] = vars(self)[key]
        return found

    def _found_store(self) -> tuple[Any, str]:
        import fsspec.core  # only for those who have such files

        options: dict[str, Any] = {}
        try:
            if self._is_http:
                options = http.options(patience())
            store, path = fsspec.core.url_to_fs(self.text, **options)
        except ImportError as error:
            package = "marey[remote]" if self._is_http else "the package that fsspec names for it"
            raise StoreError(
                errno.ENOSYS, f"{self._parts[0]} needs a package that is not installed: {package}"
            ) from error
        except ValueError as error:
            raise StoreError(errno.EINVAL, f"no store is known as {self._parts[0]}://") from error
        return store, str(path)

    def _ask(self, method: str, *values: Any, **options: Any) -> Any:
        """What the store's `method` gives for this path."""
        store, path = self._store
        is_limited = store.async_impl and method != "get_file"

        def once(seconds: float) -> Any:
            limit = {"timeout": seconds} if is_limited else {}
            return getattr(store, method)(path, *values, **options, **limit)

        return asked(once)

    @cached_property
    def _info(self) -> dict[str, Any]:
        return dict(self._ask("info"))

    @property
    def _told_size(self) -> int | None:
        """The size, if the store was asked about the file already."""
        return self.size if "_info" in vars(self) else None

    @cached_property
    def _content(self) -> bytes:
        return self.read_bytes(most=WHOLE)


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


def without_secrets(text: str) -> str:
    """A url without user, password and query."""
    scheme, mark, rest = text.partition("://")
    rest = re.sub(r"^[^/@]*:(?!\d+(/|$))[^@]*@", "", rest)  # keys of s3 may have a slash
    if scheme.lower() in ("http", "https"):
        rest = re.split("[?#]", rest)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"
