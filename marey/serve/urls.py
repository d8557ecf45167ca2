"""Videos that lie at a url, where whoever starts the server allowed it: off unless they did.

- A url is fetched only if it lies below an allowed one (``https://host/videos/``): same scheme,
  host and port, and a path that begins so and leads nowhere else.
- No answer that sends on to another url is followed.
- The address that was really reached is looked at before anything is asked: one of this machine
  or of a private network is refused, unless the allowed url names that address itself.
- What comes is cut off where it is too large or too slow, as uploads are.

`marey.storage` follows servers that send on, as training data may lie behind them; so it is not
what fetches here.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from marey.errors import UrlError
from marey.serve.files import PIECE, new_file, too_large, write_all
from marey.serve.refusals import Refused
from marey.storage.url import Url, without_secrets

WAIT_SECONDS = 10.0
"""For a server to take the request, or to send more."""
_PLAIN = re.compile(r"[!-~]{1,2000}")
_LEADS_ELSEWHERE = re.compile(r"(?i)\\|//|%(25)*(2e|2f|5c|00)|(^|/)\.{1,2}(/|$)")


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


def fetch(
    url: str, to: Path, allowed: AllowedUrl, most: int, is_given_up: Callable[[], bool]
) -> None:
    """Write the file at `url`, which `check_url` found below `allowed`, to the new file `to`.

    Raises:
        Refused: it cannot be had, or has over `most` bytes.
    """
    name = without_secrets(url)
    parts = _parts(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=WAIT_SECONDS)
    try:
        connection.connect()
        _check_peer(connection.sock, name, allowed)
        query = f"?{parts.query}" if parts.query else ""
        headers = {"Accept-Encoding": "identity", "User-Agent": "marey"}
        connection.request("GET", (parts.path or "/") + query, headers=headers)
        answer = connection.getresponse()
        _check_answer(answer, name, most)
        with new_file(to) as file:
            count = 0
            while piece := answer.read1(PIECE):
                count += len(piece)
                if count > most:
                    raise too_large(most)
                if is_given_up():
                    raise TimeoutError
                write_all(file, piece)
            if answer.length:  # what was promised and is lacking
                raise Refused(502, f"{name} was cut short", "send it again")
    except TimeoutError as error:
        raise Refused(504, f"{name} did not come in time") from error
    except (OSError, HTTPException) as error:
        raise Refused(502, f"{name} cannot be had ({type(error).__name__})") from error
    finally:
        connection.close()


def _check_peer(connected: socket.socket, name: str, allowed: AllowedUrl) -> None:
    """Refuse an address of this machine or of a private network, to which a name may lead."""
    peer = ip_address(connected.getpeername()[0].partition("%")[0])
    peer = getattr(peer, "ipv4_mapped", None) or peer
    if not allowed.names_address and (not peer.is_global or peer.is_multicast):
        raise Refused(
            403,
            f"{name} leads to an address of this machine or of a private network",
            "allow it by that address: --allow-url http://ADDRESS/FOLDER/",
        )


def _check_answer(answer: HTTPResponse, name: str, most: int) -> None:
    if 300 <= answer.status < 400:
        raise Refused(502, f"{name} sends on to another url, which is not followed")
    if answer.status != 200:
        raise Refused(502, f"{name} cannot be had (status {answer.status})")
    if (answer.length or 0) > most:
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
