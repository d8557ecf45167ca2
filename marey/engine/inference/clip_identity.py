"""Which clips of several lists are the same: by what they are called, whatever their form.

Two lists of one data set may differ in their order, in where the clips lie (frames here, optical
flow there), in their form (videos, packs, features) and in clips that one lacks. So a clip is known
by its id; where a list has none, by its path and span; where paths differ, by what they are below
the root of each list; where one is a packing of the other, by the name that a packing gives: the
path from the folder that holds all clips, with the span behind it (`marey.data.packs.clip_names`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from marey.data.manifest.manifest import Manifest, VideoClip
from marey.data.packs.clip_names import span_text, split_suffix
from marey.video.reading.reader import Span

Keys: TypeAlias = list[Hashable]
_IN_PACKING = re.compile(r"^(?:.*\.tar|clips|frames)/")
"""What a packing puts before the names of its clips."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipNames:
    """What the clips [n] of a list are called."""

    ids: Sequence[str | None] | None
    places: Sequence[str]
    """Their whole paths."""
    texts: Sequence[str]
    """Their paths below the root."""
    spans: Sequence[Span | None]
    root: str

    @classmethod
    def of(cls, clips: Manifest) -> ClipNames:
        """Those of a manifest."""
        rows = range(len(clips))
        return cls(
            ids=None if clips.ids is None else clips.ids.to_pylist(),
            places=[str(clips.path(row)) for row in rows],
            texts=[*clips.texts()],
            spans=[clips.span(row) for row in rows],
            root=str(clips.root),
        )


def common_keys(lists: Sequence[ClipNames]) -> tuple[str, list[Keys]] | None:
    """By what the clips of several lists are matched, and what that is for every clip of each.

    The first by which each clip of a list is another one, and some clips are in all lists; None if
    there is none.
    """
    for words, named in _IDENTITIES.items():
        keys = named(lists)
        if any(len({*each}) < len(each) for each in keys):
            continue
        if keys and set.intersection(*({*each} for each in keys)):
            roots = " and ".join(dict.fromkeys(each.root for each in lists))
            return words.format(roots=roots), keys
    return None


def _ids(lists: Sequence[ClipNames]) -> list[Keys]:
    """What the data sets call them, if they do so for every clip."""
    all_named = all(each.ids and all(each.ids) for each in lists)
    return [list(each.ids or ()) for each in lists] if all_named else []


def _places(lists: Sequence[ClipNames]) -> list[Keys]:
    return [_spanned(each.places, each.spans) for each in lists]


def _names(lists: Sequence[ClipNames]) -> list[Keys]:
    return [_spanned(each.texts, each.spans) for each in lists]


def _stems(lists: Sequence[ClipNames]) -> list[Keys]:
    """Their paths without the ending of the file, which folders of frames do not have."""
    return [
        _spanned((str(PurePosixPath(text).with_suffix("")) for text in each.texts), each.spans)
        for each in lists
    ]


def _packed(lists: Sequence[ClipNames]) -> list[Keys]:
    """What a packing calls them, below the folder by which one list is deeper than another."""
    names = [
        [_packed_name(*clip) for clip in zip(each.texts, each.spans, strict=True)] for each in lists
    ]
    shallow = min(names, key=lambda each: max((name.count("/") for name in each), default=0))
    return [_below_common(each, shallow) for each in names]


def _packed_name(text: str, span: Span | None) -> str:
    stem = split_suffix(_IN_PACKING.sub("", text))[0]
    return stem + span_text(VideoClip(row=0, text=text, path=Path(text), span=span))


def _below_common(names: Sequence[str], others: Sequence[str]) -> Keys:
    """The names below the folder under which most are among `others`."""
    wanted, best = {*others}, (len({*names} & {*others}), "")
    for other in others[:1]:
        for folder in {name.removesuffix(other) for name in names if name.endswith(f"/{other}")}:
            found = {name.removeprefix(folder) for name in names if name.startswith(folder)}
            best = max(best, (len(found & wanted), folder))
    return [name.removeprefix(best[1]) for name in names]


def _spanned(names: Iterable[str], spans: Sequence[Span | None]) -> Keys:
    return list(zip(names, spans, strict=True))


_IDENTITIES: Mapping[str, Callable[[Sequence[ClipNames]], list[Keys]]] = {
    "their ids": _ids,
    "their paths": _places,
    "their paths below {roots}": _names,
    "their paths below {roots}, without the endings of files": _stems,
    "the names that packings give them": _packed,
}
"""What clips may be called, in words, the surest first."""
