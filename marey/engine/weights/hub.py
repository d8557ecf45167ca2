"""Networks of the hub of Hugging Face, fetched into its own cache, where `hf:ORG/NAME` finds them.

Of a network its configuration, its processor and its weights as safetensors are fetched, and
nothing else: no pickled weights, no code. The download is huggingface_hub's, which goes on where it
was interrupted; the SHA-256 that the hub states is verified here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from marey.errors import CheckpointError, counted
from marey.recipes.huggingface import PROCESSORS, is_hub_name
from marey.recipes.release import CONFIG

WANTED = (CONFIG, *PROCESSORS, "model*.safetensors", "model.safetensors.index.json")
MOST = 16 << 30
"""Bytes of a network, all files together."""


def fetch_network(name: str, *, say: Callable[[str], None]) -> Path:
    """The folder of the network ORG/NAME, fetched unless it is here.

    say: told what is fetched and how much of it, before it is.

    Raises:
        CheckpointError: there is no network of this name, or none as safetensors; it is larger than
            16 GiB; it cannot be fetched; or a file is not what the hub states.
    """
    if not is_hub_name(name):
        raise CheckpointError(f"'hf:{name}' names no network of the hub", "expected hf:ORG/NAME")
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
    except ImportError as error:
        raise CheckpointError(
            "huggingface_hub is not installed", "pip install 'marey[hf]'"
        ) from error
    unreachable = (HTTPError, OSError, ValueError, RuntimeError)
    try:
        about = hub.HfApi().model_info(name, files_metadata=True)
        files = _wanted(about, name)
        size = sum(file.size or 0 for file in files)
        if size > MOST:
            raise CheckpointError(
                f"hf:{name} has {size:,} bytes, expected at most {MOST:,}", f"hf download {name}"
            )
        licence = getattr(about.card_data, "license", None)
        say(
            f"fetching hf:{name} ({counted(len(files), 'file')}, {size / 2**20:.0f} MiB"
            f"{f', licence {licence}' if licence else ''}) into the cache of the hub"
        )
        names = [file.rfilename for file in files]
        # of "main", by which the cache is asked later: a digest leaves no name for what it fetched
        folder = Path(hub.snapshot_download(name, allow_patterns=names))
    except unreachable as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"hf:{name} could not be fetched: {first}",
            f"hf download {name} where there is a network, and hf:FOLDER here",
        ) from error
    for file in files:
        _check(folder / file.rfilename, file)
    return folder


def _wanted(about: Any, name: str) -> list[Any]:
    """The files to fetch; CheckpointError without a configuration or weights as safetensors."""
    files = [
        file
        for file in about.siblings or ()
        if any(fnmatch(file.rfilename, pattern) for pattern in WANTED)
    ]
    for ending in (CONFIG, ".safetensors"):
        if not any(file.rfilename.endswith(ending) for file in files):
            raise CheckpointError(
                f"hf:{name} has no {ending}",
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
