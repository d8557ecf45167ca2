"""What each level of folders means: splits, classes, groups, or nothing; `{split}/{class}/{name}`.

| in a layout   | is                                                                             |
|---------------|--------------------------------------------------------------------------------|
| `{class}`     | a folder named as the class of the clips in it                                  |
| `{split}`     | a folder named as train, val or test; of several words one: `videos_train`      |
| `{group}`     | a folder whose clips stay on one side of the split                              |
| `{name}`      | the clip, and folders around it that mean nothing                               |
| `*`, or words | a folder that means nothing: any, or the one of this name                       |

A layout that is not given is told by the names and the structure of the folders, where that leaves
one reading; else the error names the readings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from marey.data.manifest.manifest import SPLITS
from marey.data.own_videos.splits import split_name
from marey.errors import ManifestError, counted

Folders = frozenset[tuple[str, ...]]
"""The folders that clips lie in, as their names from the root."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_KINDS = re.compile(r"(.+?)(?:list|set|split|data|video|clip|file|folder|frame)s?")
"""What is written together with a split: `trainlist`, `testset`."""
_LEVEL = r"[^/]+"
_HOLDERS = {"class": _LEVEL, "split": _LEVEL, "group": _LEVEL, "name": ".+"}
EXAMPLE = "'{split}/{class}/{name}'"
EXPECTED = "expected CLASS/clip.mp4 or CLASS/clip/img_00001.jpg, or a list of clips"


@dataclass(frozen=True)
class Layout:
    """What the folders of a path mean.

    >>> Layout("videos_{split}/{class}/{name}").match("videos_val/jump/1.mp4")
    {'split': 'val', 'class': 'jump', 'name': '1.mp4'}
    """

    text: str

    def __post_init__(self) -> None:
        names = re.findall(r"\{(.*?)\}", self.text)
        if not {"class", "name"} <= {*names} <= {*_HOLDERS} or len({*names}) < len(names):
            raise ManifestError(
                f"layout {self.text!r} does not say where classes are",
                f"write it like {EXAMPLE}; {{group}} and * are other folders",
            )

    def match(self, path: str) -> dict[str, str] | None:
        """What the folders of the path of a clip are; None if it is not laid out so."""
        found = self._pattern.fullmatch(path)
        return found.groupdict() if found else None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = re.split(r"(\{.*?\}|\*)", self.text)
        return re.compile("".join(map(_pattern_of, parts)), re.DOTALL)


def find_layout(root: Path, folders: Folders) -> Layout:
    """The layout of clips that lie in these folders of `root`.

    ManifestError if none is like them, or several.
    """
    levels: list[str] = []
    rest = folders
    while True:
        names = _names(rest)
        at = "/".join([str(root), *levels])
        if "{split}" not in levels and _are_splits(names, rest, at):
            levels.append("{split}")
            rest = _below(rest, [name for name in names if split_in(name)])
        elif len(names) == 1 and any(len(folder) > 1 for folder in rest):
            levels += [name if re.fullmatch(r"[^{}*]+", name) else "*" for name in names]
            rest = _below(rest, names)
        else:
            return Layout("/".join([*levels, *_class_levels(rest, levels, at), "{name}"]))


def split_in(name: str) -> str | None:
    """The one split that words of a folder or file are of; None if there is none, or several.

    >>> split_in("videos_train"), split_in("testset"), split_in("trainval"), split_in("strain")
    ('train', 'test', None, None)
    """
    words = [*map(str.lower, _WORDS.findall(name)), *re.findall("[a-z]+", name.lower())]
    words += [kind[1] for word in words if (kind := _KINDS.fullmatch(word))]
    splits = {split for word in words if (split := split_name(word))}
    return splits.pop() if len(splits) == 1 else None


def some(names: Collection[str], end: str = "/", most: int = 3) -> str:
    """The first few names, for a message.

    >>> some(["a", "b", "c", "d"])
    'a/, b/, c/ and 1 more'
    """
    shown = ", ".join(f"{name}{end}" for name in sorted(names)[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def _pattern_of(part: str) -> str:
    if part == "*":
        return "[^/]*"
    name = part[1:-1]
    return f"(?P<{name}>{_HOLDERS[name]})" if part.startswith("{") else re.escape(part)


def _names(folders: Folders) -> list[str]:
    return sorted({folder[0] for folder in folders if folder})


def _below(folders: Folders, names: Collection[str]) -> Folders:
    return frozenset(folder[1:] for folder in folders if folder and folder[0] in names)


def _are_splits(names: Sequence[str], folders: Folders, at: str) -> bool:
    """Whether folders of these names are splits; ManifestError where they may be classes too."""
    splits = [name for name in names if split_in(name)]
    others = [name for name in names if not split_in(name)]
    if not splits:
        return False
    with_folders = {folder[0] for folder in folders if len(folder) > 1}
    if with_folders.isdisjoint(splits):
        return _refuse_flat(splits, others, at)
    if unclear := with_folders.intersection(others):
        raise ManifestError(
            f"{at}: {some(splits)} by name a split, but {some(unclear)} beside it holds folders of"
            " clips too",
            f"rename or move one, or say what the levels are: --layout {EXAMPLE}",
        )
    named = {split: [name for name in splits if split_in(name) == split] for split in SPLITS}
    for split, same in named.items():
        if len(same) > 1:
            raise ManifestError(
                f"{at}: {some(same)} are all {split}: parts of it, or the same clips twice?",
                f"--layout {EXAMPLE} takes all, a layout as 'videos_{{split}}/...' some of them",
            )
    return True


def _refuse_flat(splits: Sequence[str], others: Sequence[str], at: str) -> bool:
    """False for classes such as "training a dog"; ManifestError for splits without classes."""
    exact = [name for name in splits if split_name(name)]
    if others and not exact:
        return False
    if others:
        raise ManifestError(
            f"{at}: {some(exact)} may be a class, as {some(others)}, or a split without labels",
            "--layout '{class}/{name}' takes all for classes; else move it away",
        )
    raise ManifestError(
        f"{at}: {some(splits)} by name a split, with no class folders in it",
        "give a list that says the classes, or --layout '{class}/{name}' if these are classes",
    )


def _class_levels(folders: Folders, levels: Sequence[str], at: str) -> list[str]:
    """What the levels are of which the first one's folders are classes."""
    names = _names(folders)
    start = "".join(f"{level}/" for level in levels)
    direct = {folder[0] for folder in folders if len(folder) == 1}
    deep = [name for name in names if name not in direct]
    if not names and folders:
        folder = Path(at).absolute()
        raise ManifestError(
            f"{at}: no videos in class folders: they lie in it directly, as those of one class do",
            f"if {folder.name} is a class, give {folder.parent}, the folder of all classes;"
            f" {EXPECTED}",
        )
    if not names:
        raise ManifestError(f"{at}: no videos in class folders", EXPECTED)
    if len(names) == 1:
        raise ManifestError(
            f"{at}: all clips lie in {names[0]}/, which makes one class",
            f"{EXPECTED}; --layout '{start}{{class}}/{{name}}' takes the one",
        )
    if not deep:
        return ["{class}"]
    inner = _inner_folders(folders, deep)
    if deep == names and max(map(len, folders)) == 2:
        if "{split}" not in levels and all(map(split_in, inner)):
            return ["{class}", "{split}"]
        if len(inner) == 1:
            return ["{class}", *inner]
    outer = "{class}/{group}" if deep == names else "{class}"
    around = "{group}" if all(len(tops) > 1 for tops in inner.values()) else "*"
    raise ManifestError(
        f"{at}: folders of clips, {some(inner)}, lie in {some(deep)}: which are the classes?",
        f"--layout '{start}{outer}/{{name}}' takes the {counted(len(names), 'outer one')},"
        f" '{start}{around}/{{class}}/{{name}}' the {counted(len(inner), 'inner one')};"
        " or give one folder",
    )


def _inner_folders(folders: Folders, names: Collection[str]) -> dict[str, set[str]]:
    """The folders in those of these names, each with the names of those it lies in."""
    inner: dict[str, set[str]] = {}
    for folder in sorted(folders):
        if folder and folder[0] in names:
            inner.setdefault(folder[1], set()).add(folder[0])
    return inner
