"""The files that exports mean: tools name them by their own servers, drives and uploads.

| in the export                         | looked for below the root                      |
|---------------------------------------|------------------------------------------------|
| `/data/upload/1/1a2b3c4d-p1.mp4`      | its ends, last `1a2b3c4d-p1.mp4`, and `p1.mp4` |
| `/data/local-files/?d=day%201/p1.mp4` | `day 1/p1.mp4`, `p1.mp4`                       |
| `file:///C:/study/p1.mp4`             | `study/p1.mp4`, `p1.mp4`                       |
| `s3://bucket/day1/p1.mp4?token=...`   | `day1/p1.mp4`, `p1.mp4`                        |

The longest end of the path that is there is taken, and it is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote

from marey.data.lists.listing import Listing
from marey.data.manifest.faults import clip_text
from marey.data.manifest.paths import Folders
from marey.errors import ManifestError, counted
from marey.storage.url import without_secrets

_UPLOADED = re.compile(r"((?:.*/)?)[0-9a-f]{8}-([^/]+)")
"""Label Studio puts eight digits before the name of an uploaded file."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?://[^/?#]*)?([^?#]*).*", re.DOTALL)


def with_files_below(listing: Listing, root: Path) -> Listing:
    """The listing by the paths of the files from `root`, also of those that are not there.

    ManifestError where two names of the export come to one file.
    """
    folders = Folders(root)
    texts = list(dict.fromkeys(row.path for row in listing.rows))
    found: dict[str, str] = {}
    for text in texts:
        paths = (folders.video(path) for path in _meanings(text))
        if path := next(filter(None, paths), None):
            found[text] = path
    named = {path: text for text, path in reversed(found.items())}
    for text, path in found.items():
        if named[path] != text:
            raise ManifestError(
                f"{listing.source}: {_shown(named[path])} and {_shown(text)} both come to {path}",
                f"keep the folders of the export below {root}, or name the files apart",
            )
    rows = [row._replace(path=found.get(row.path) or _below(row.path)) for row in listing.rows]
    moved = [text for text, path in found.items() if path != text]
    notes = list(listing.notes)
    if moved:
        example = f"{_shown(moved[0])} is {found[moved[0]]}"
        notes.append(f"{counted(len(moved), 'file')} found by the end of the path: {example}")
    return replace(listing, rows=rows, notes=notes)


def _meanings(text: str) -> Iterator[str]:
    """The paths that a name in an export may mean: those from the root, the longest first."""
    if not text.startswith("/"):
        yield text
    parts = _below(text).split("/")
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    yield from ends
    for end in ends:
        if match := _UPLOADED.fullmatch(end):
            yield match[1] + match[2]
    yield text


def _below(text: str) -> str:
    """All of a name as a path below a root."""
    return "/".join(part for part in _path_of(text).split("/") if part not in ("", ".", ".."))


def _path_of(text: str) -> str:
    """The path in a url or in a path of any system, with `/`, without host and drive."""
    named = parse_qs(text.partition("?")[2]).get("d")
    if named:
        text = named[0]
    elif url := _URL.fullmatch(text):
        text = unquote(url[1])
    return re.sub(r"^/?[A-Za-z]:/", "", text.replace("\\", "/"))


def _shown(text: str) -> str:
    return clip_text(without_secrets(text))
