"""What `marey data init` is given: a list, a folder of lists, or a folder of class folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from marey.data.lists.listing import Listing, join_listings
from marey.data.lists.lists import read_listing
from marey.data.lists.tables import is_table
from marey.data.manifest.manifest import SPLITS
from marey.data.own_videos.folders import read_folder
from marey.data.own_videos.splits import split_name
from marey.errors import ManifestError

_OURS = ("manifest.csv", "check.csv", "rejects.csv")
_LIST = re.compile(r"[^.].*\.(?:csv|tsv|txt|lst|list|json)", re.IGNORECASE)


def read_source(source: Path) -> tuple[Listing, list[str]]:
    """What `source` lists, and what there is to say about how it was read.

    A file is a list; a folder holds one table, or a list a split, or class folders.
    """
    if not source.exists():
        raise ManifestError(f"{source} does not exist", "give a folder of videos or a list")
    if source.is_file():
        return read_listing(source), []
    lists = [path for path in sorted(source.iterdir()) if _LIST.fullmatch(path.name)]
    lists = [path for path in lists if path.name not in _OURS and path.is_file()]
    tables = [path for path in lists if is_table(path)]
    parts = _split_lists(lists)
    if len(tables) == 1 and not parts:
        return read_listing(tables[0]), [f"read {tables[0].name} in {source}, not its folders"]
    if "train" in parts:
        listings = {split: read_listing(path) for split, path in parts.items()}
        return join_listings(source, listings), []
    if tables:
        names = ", ".join(path.name for path in tables)
        raise ManifestError(f"{source} holds several lists: {names}", "name the one to read")
    return read_folder(source)


def _split_lists(lists: Sequence[Path]) -> dict[str, Path]:
    """Split -> its list, where the names of the lists say so and none says it twice.

    A list that is named as its split alone goes before those with more words in their name.
    """
    plain = {split: path for path in lists if (split := split_name(path.stem))}
    if "train" in plain:
        return {split: plain[split] for split in SPLITS if split in plain}
    named: dict[str, Path] = {}
    for path in lists:
        words = re.split(r"[^a-z]+", path.stem.lower())
        splits = {split for word in words if (split := split_name(word))}
        if len(splits) == 1 and named.setdefault(splits.pop(), path) != path:
            return {}
    return {split: named[split] for split in SPLITS if split in named}
