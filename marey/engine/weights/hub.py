"""Fetching from the hub of Hugging Face into its own cache: networks, and releases of marey.

Of a network its configuration, its processor and its weights as safetensors are fetched, of a
release the files that it is made of, and nothing else: no pickled weights, no code. The download is
huggingface_hub's, which goes on where it was interrupted; the SHA-256 that the hub states is
verified here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from marey.errors import CheckpointError, counted
from marey.recipes.huggingface import PREFIX, PROCESSORS, is_hub_name
from marey.recipes.release import CONFIG

WANTED = (CONFIG, *PROCESSORS, "model*.safetensors", "model.safetensors.index.json")
MOST = 16 << 30
"""Bytes of a network or release, all files together."""


@dataclass(frozen=True)
class HubName:
    """What a person calls something of the hub: ``hf:ORG/NAME``, or ``hub:ORG/NAME@REVISION``."""

    prefix: str
    name: str
    revision: str | None = None
    """A branch, a tag or a commit; by default its main branch."""

    def __str__(self) -> str:
        return f"{self.prefix}{self.name}" + (f"@{self.revision}" if self.revision else "")


def fetch_network(name: str, *, say: Callable[[str], None]) -> Path:
    """The folder of the network ORG/NAME, fetched unless it is here.

    say: told what is fetched and how much of it, before it is.

    Raises:
        CheckpointError: there is no network of this name, or none as safetensors; it is larger than
            16 GiB; it cannot be fetched; or a file is not what the hub states.
    """
    if not is_hub_name(name):
        raise CheckpointError(f"'hf:{name}' names no network of the hub", "expected hf:ORG/NAME")
    return fetch_files(HubName(PREFIX, name), WANTED, extra="hf", say=say)


def fetch_files(
    of: HubName, wanted: Sequence[str], *, extra: str, say: Callable[[str], None]
) -> Path:
    """The folder in the hub's cache with the files of the patterns `wanted`; see `fetch_network`.

    extra: of marey, that brings huggingface_hub.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
    except ImportError as error:
        raise CheckpointError(
            "huggingface_hub is not installed", f"pip install 'marey[{extra}]'"
        ) from error
    unreachable = (HTTPError, OSError, ValueError, RuntimeError)
    folder = f"{PREFIX}FOLDER" if of.prefix == PREFIX else "its folder"
    try:
        about = hub.HfApi().model_info(of.name, revision=of.revision, files_metadata=True)
        files = _wanted(about, of, wanted)
        size = sum(file.size or 0 for file in files)
        if size > MOST:
            raise CheckpointError(
                f"{of} has {size:,} bytes, expected at most {MOST:,}", f"hf download {of.name}"
            )
        licence = getattr(about.card_data, "license", None)
        say(
            f"fetching {of} ({counted(len(files), 'file')}, {size / 2**20:.0f} MiB"
            f"{f', licence {licence}' if licence else ''}) into the cache of the hub"
        )
        names = [file.rfilename for file in files]
        # of a branch, by which the cache is asked later: a digest leaves no name for what it got
        found = hub.snapshot_download(of.name, revision=of.revision, allow_patterns=names)
    except unreachable as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{of} could not be fetched: {first}",
            f"hf download {of.name} where there is a network, and {folder} here",
        ) from error
    for file in files:
        _check(Path(found) / file.rfilename, file)
    return Path(found)


def _wanted(about: Any, of: HubName, wanted: Sequence[str]) -> list[Any]:
    """The files to fetch; CheckpointError without a configuration or weights as safetensors."""
    files = [
        file
        for file in about.siblings or ()
        if any(fnmatch(file.rfilename, pattern) for pattern in wanted) and "/" not in file.rfilename
    ]
    for ending in (CONFIG, ".safetensors"):
        if not any(file.rfilename.endswith(ending) for file in files):
            raise CheckpointError(
                f"{of} has no {ending}",
                "pickled weights are not fetched; give another revision or network",
            )
    return files


def _check(path: Path, file: Any) -> None:
    """CheckpointError, and the file is removed, if its SHA-256 is not the one that is stated."""
    stated = file.lfs and file.lfs.sha256
    if not stated:
        return
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != stated:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path.name} has the SHA-256 {digest[:8]}..., the hub states {stated[:8]}...",
            "get it again",
        )
