"""Videos that lie at a url, where whoever starts the server allowed it: off unless they did.

- A url is fetched only if it lies below an allowed one (``https://host/videos/``): same scheme,
  host and port, and a path that begins so and leads nowhere else.
- No answer that sends on to another url is followed.
- The addresses that a name leads to are looked at, and only those are reached: none of this
  machine or of a private network, unless the allowed url names that address itself.
- What comes is cut off where it is too large or too slow, as uploads are.

`marey.storage` follows servers that send on, as training data may lie behind them; so it is not
what fetches here.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import h11

from marey.errors import UrlError
from marey.serve.files import PIECE, Incoming, too_large
from marey.serve.refusals import Refused
from marey.storage.url import Url, without_secrets

WAIT_SECONDS = 10.0
"""For a server to take the request, or to send more."""
_HOLD_IPV4 = ip_network("64:ff9b::/96"), ip_network("::/96")
"""Addresses whose end is one of IPv4: those of NAT64, and an old form."""
_TRANSLATED_HERE = ip_network("64:ff9b:1::/48")
"""NAT64 of a network's own (RFC 8215)."""
_PLAIN = re.compile(r"[!-~]{1,2000}")
_LEADS_ELSEWHERE = re.compile(r"(?i)\\|//|%(25)*(2e|2f|5c|[01][0-9a-f])|(^|/)\.{1,2}(/|;|%|$)")
"""Also ``..;``, which some servers (Tomcat) read as ``..``, and ``..%20``."""


@dataclass(frozen=True)
class AllowedUrl:
    """A url below which videos may be fetched: ``https://host/videos/``."""

    text: str

    def __post_init__(self) -> None:
        parts = _parts(self.text)
        if not parts.path.endswith("/") or parts.query or parts.fragment:
            raise UrlError(
                f"{without_secrets(self.text)} is not the url of a folder",
                "give https://HOST/FOLDER/, with the last slash",
            )

    def covers(self, url: SplitResult) -> bool:
        """Whether the url lies below this."""
        own = _parts(self.text)
        return _origin(own) == _origin(url) and url.path.startswith(own.path)

    @property
    def names_address(self) -> bool:
        """Whether the host is named by its address, or as this machine itself."""
        return _is_address(_parts(self.text).hostname or "")


def check_url(url: object, allowed: Sequence[AllowedUrl]) -> AllowedUrl:
    """The allowed url that `url` lies below; `Refused` if there is none."""
    if not allowed:
        raise Refused(
            403,
            "this server fetches nothing",
            "send the video itself, or start it with --allow-url",
        )
    if not isinstance(url, str):
        raise Refused(422, "'url' is no text", 'send {"url": "https://..."}')
    try:
        parts = _parts(url)
    except UrlError as error:
        raise Refused(422, error.message, error.hint) from error
    found = next((each for each in allowed if each.covers(parts)), None)
    if found is None:
        raise Refused(
            403,
            f"{without_secrets(url)[:200]} lies below no allowed url",
            f"allowed: {', '.join(without_secrets(each.text) for each in allowed)}",
        )
    return found


async def fetch(url: str, to: Path, allowed: AllowedUrl, most: int) -> None:
    """Write the file at `url`, which `check_url` found below `allowed`, to the new file `to`.

    Raises:
        Refused: it cannot be had, or has over `most` bytes.
    """
    name = without_secrets(url)
    parts = _parts(url)
    try:
        reader, writer = await _connected(parts, name, allowed)
        try:
            with Incoming(to, most) as file:
                await _download(reader, writer, parts, name, file, most)
        finally:
            writer.transport.abort()
    except TimeoutError as error:
        raise Refused(504, f"{name} did not come in time") from error
    except (OSError, UnicodeError, h11.ProtocolError) as error:
        raise Refused(502, f"{name} cannot be had ({type(error).__name__})") from error


async def _connected(
    parts: SplitResult, name: str, allowed: AllowedUrl
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to an address of the host that may be asked; no other is spoken to at all."""
    _, host, port = _origin(parts)
    ssl, name_there = (True, host) if parts.scheme == "https" else (None, None)
    async with asyncio.timeout(WAIT_SECONDS):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        if not allowed.names_address:
            addresses = [each for each in addresses if is_public(each)]
        for number, address in enumerate(addresses, start=1):
            try:
                return await asyncio.open_connection(
                    address, port, ssl=ssl, server_hostname=name_there
                )
            except OSError:
                if number == len(addresses):
                    raise
    raise Refused(
        403,
        f"{name} leads to an address of this machine or of a private network",
        "allow it by that address: --allow-url http://ADDRESS/FOLDER/",
    )


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, as is what others translate it to.

    >>> is_public("64:ff9b::10.0.0.7")
    False
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is None and any(found in each for each in _HOLD_IPV4):
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local or found in _TRANSLATED_HERE:
            return False
    return found.is_global and not found.is_multicast


async def _download(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    parts: SplitResult,
    name: str,
    file: Incoming,
    most: int,
) -> None:
    http = h11.Connection(h11.CLIENT)
    query = f"?{parts.query}" if parts.query else ""
    headers = [("Host", parts.netloc), ("Accept-Encoding", "identity"), ("User-Agent", "marey")]
    target = (parts.path or "/") + query
    writer.write(http.send(h11.Request(method="GET", target=target, headers=headers)) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")
    has_begun = False
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as error:
            if has_begun:
                raise Refused(502, f"{name} was cut short", "send it again") from error
            raise
        match event:
            case h11.NEED_DATA:
                async with asyncio.timeout(WAIT_SECONDS):
                    http.receive_data(await reader.read(PIECE))
            case h11.Response():
                _check_answer(event, name, most)
                has_begun = True
            case h11.Data():
                await file.add(event.data)
            case h11.EndOfMessage():
                return await file.write()


def _check_answer(answer: h11.Response, name: str, most: int) -> None:
    if 300 <= answer.status_code < 400:
        raise Refused(502, f"{name} sends on to another url, which is not followed")
    if answer.status_code != 200:
        raise Refused(502, f"{name} cannot be had (status {answer.status_code})")
    length = next((value for key, value in answer.headers if key == b"content-length"), b"0")
    if int(length) > most:
        raise too_large(most)


def _parts(url: str) -> SplitResult:
    """The parts of a plain http url; `UrlError` for all that may be read in two ways."""
    shown = without_secrets(url)[:200]
    if not _PLAIN.fullmatch(url):
        raise UrlError("the url has blanks, other letters than ASCII, or over 2,000 of them")
    Url(url)  # nothing that leads upwards, no chain
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlError(f"{shown} is no url") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UrlError(f"{shown} is no url of http or https")
    if "@" in parts.netloc:
        raise UrlError(f"{shown} holds a user or a password", "leave them out")
    if _LEADS_ELSEWHERE.search(parts.path):
        raise UrlError(f"{shown} has a path that may lead elsewhere", "give it plainly")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").rstrip("."), port


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
