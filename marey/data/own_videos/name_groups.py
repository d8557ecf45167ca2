"""Clips of one person, of one take, or cut from one video, by their names.

| names                          | clips of        | who writes them              |
|--------------------------------|-----------------|------------------------------|
| `S001C002P003R001A007`         | `P003`          | NTU RGB+D                    |
| `person03_run`, `Run_p02_c03`  | `person03`      | KTH, Toyota Smarthome        |
| `NAME_cam1`, `NAME-front`      | `NAME`          | several cameras at once      |
| `NAME_flip`, `NAME_aug2`       | `NAME`          | makers of more clips         |
| `anna_run`, `anna_hop_2`       | `anna`          | Weizmann: NAME and class     |
| `GX010042`, `GX020042`         | `0042`          | GoPro: parts of one take     |
| `v_Archery_g01_c02`            | `v_Archery_g01` | UCF101: a group is one video |
| `ID_000010_000020`, `ID_3.5_7` | `ID`            | Kinetics; cutters by times   |
| `NAME_clip3`, `NAME-part02`    | `NAME`          | cutters of videos            |
| `MOVIE_wave_f_cm_np1_ba_med_0` | `MOVIE`         | HMDB51                       |
| `yt-ID_26`, `flickr-ID_3`      | `yt-ID`         | Moments in Time              |
| `VIDEO/clip3`, `VIDEO/0003`    | `VIDEO`         | a folder a video             |

A pattern counts only if it explains nearly all names, has groups of several clips, and does not
just name the class: `jump_clip3` is no clip of a video `jump`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from marey.data.lists.listing import video_name, without_suffix
from marey.data.lists.plain_lists import SAMPLE
from marey.data.manifest.column_names import PEOPLE
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError, counted

_PART = "(?:clip|part|segment|seg|shot|chunk|cut|piece|snippet)"
_SITES = "yt|youtube|flickr|getty|giphy|vine|vimeo|meta|vb"
_SPLIT = "(?:train(?:ing)?|val(?:id(?:ation)?)?|dev|test(?:ing)?)"
"""Folders whose clips are of many videos."""
_PERSON = "|".join([*PEOPLE.split(), "subj", "sub"])
_CAMERA = r"(?:(?:cam|camera|view)[_-]?\d+|front|side|top|rear|overhead)"
_OF_PEOPLE = {
    "S001C002P003R001A007": r"(?:.*/)?S\d{3}C\d{3}(?P<group>P\d{3})R\d{3}A\d{3}(?:_.*)?",
    "person03": rf"(?:.*[/_ .-])?(?P<group>(?:{_PERSON})[_-]?\d+)(?:[/_ .-].*)?",
    # not at the end, where p2 is a part
    "p03_NAME": r"(?:.*[/_ .-])?(?P<group>[ps]\d+)[/_ .-].+",
}
_OF_TAKES = {
    "NAME_cam1": rf"(?P<group>.+)[_-]{_CAMERA}",
    "cam1_NAME": rf"{_CAMERA}[_-](?P<group>.+)",
    "GX010042": r"(?:.*/)?(?:GOPR|GP\d\d|G[HX]\d\d)(?P<group>\d{4})",
}
_OF_VIDEOS = {
    "NAME_g01_c02": r"(?P<group>.+_g\d+)_c\d+",
    "MOVIE_CLASS_f_cm_np1_ba_med_0": (
        r"(?P<group>.+)_[fuhl]_(?:cm|nm)_np\d_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+"
    ),
    "NAME_000010_000020": r"(?P<group>.+?)[_-](?P<start>\d+(?:\.\d+)?)[_-](?P<end>\d+(?:\.\d+)?)",
    "NAME_clip3": rf"(?P<group>.+?)[_.-]?(?:{_PART}[_-]?\d+|c\d+)",
    "ID_3": rf"(?P<group>(?:{_SITES})-.+|(?=\S*[A-Z])(?=\S*[a-z])[\w-]{{11}})_\d+",
    "NAME/clip3": rf"(?!(?:.*/)?{_SPLIT}/[^/]*$)(?P<group>.*[^/])/(?:{_PART}[_-]?)?\d+",
}
"""The shape of a name, as it is said -> its pattern; the last is of a name with its folder."""
_COPY = re.compile(
    r"(.+?)(?:[_-](?:h?flip(?:ped)?|mirror(?:ed)?|aug(?:mented)?[_-]?\d*|copy|rot\d+|flow|depth)"
    r"| - copy)+",
    re.IGNORECASE,
)
_KINDS = (
    ("person", "people are in several clips", _OF_PEOPLE),
    ("take", "takes have several clips", _OF_TAKES),
    ("video", "videos are cut into several clips", _OF_VIDEOS),
)
"""What a group is, what is said of groups, and how names tell."""
_SHARE = 0.95
"""Of the names that a pattern must explain."""


class Groups(NamedTuple):
    """What no split may divide."""

    name: str
    """What a group is."""
    values: Sequence[str]
    """Of every clip."""
    note: str = ""


def groups_by_name(paths: Sequence[str], labels: Sequence[str]) -> Groups | None:
    """The person, take or video of each clip, by the first pattern that fits; None if none does.

    Args:
        labels: the class of each clip, by its name.
    """
    for kind, said, patterns in _KINDS:
        for shape, pattern in patterns.items():
            groups = _matched(re.compile(pattern, re.IGNORECASE), _keys(paths, shape), labels)
            if groups is not None and _are_groups(groups, labels):
                note = _note(shape, said, paths, groups)
                return Groups(f"{kind}, by the names of its clips", groups, note)
    groups = _beside_classes(paths, labels)
    if groups and len(set(groups)) > 2 and _are_groups(groups, labels):
        note = _note("NAME_CLASS", "names are in several clips", paths, groups)
        return Groups("name beside the class", groups, note)
    names = _keys(paths, "")
    groups = [match[1] if (match := _COPY.fullmatch(name)) else name for name in names]
    if len(set(groups)) < len(set(names)) and _are_groups(groups, labels):
        note = _note("NAME_flip", "clips have others made of them", paths, groups)
        return Groups("clip and what is made of it", groups, note)
    return None


def groups_by_pattern(paths: Sequence[str], pattern: str) -> Groups:
    r"""What a pattern takes from the path of every clip.

    Args:
        pattern: a regular expression with one group, found anywhere in a path without its suffix;
            or a template with `{group}`, of which `*` is any text, of the whole name, or of the
            whole path if it has a `/`.

    Raises:
        ManifestError: the pattern has no group, takes none from a path, or one from all.

    >>> groups_by_pattern(["hop/s1_a.mp4", "run/s2_b.mp4"], "{group}_*").values
    ['s1', 's2']
    >>> groups_by_pattern(["hop/s1_a.mp4", "run/s2_b.mp4"], r"/(s\d)").values
    ['s1', 's2']
    """
    is_template = "{group}" in pattern
    try:
        form = re.compile(_template(pattern) if is_template else pattern)
    except re.error as error:
        raise ManifestError(
            f"{pattern!r} is no pattern: {error}", r"write {group}_*, or as '(s\d+)_'"
        ) from error
    if form.groups != 1 and "group" not in form.groupindex:
        raise ManifestError(
            f"{pattern!r} has {form.groups} groups in brackets, expected one",
            "put what clips of a group have in common in brackets, or write {group} for it",
        )
    if is_template and (pattern.count("{group}") > 1 or re.search(r"\*{group}|{group}\*", pattern)):
        raise ManifestError(
            f"{pattern!r} does not say where the group ends",
            "write {group} once, and what stands between it and *, as {group}_*",
        )
    texts = [without_suffix(path.replace("\\", "/").rstrip("/")) for path in paths]
    if is_template and "/" not in pattern:
        texts = [text.rpartition("/")[2] for text in texts]
    matches = [form.fullmatch(text) if is_template else form.search(text) for text in texts]
    key = "group" if "group" in form.groupindex else 1
    found = [(match[key] or "") if match else "" for match in matches]
    if wrong := [path for path, group in zip(paths, found, strict=True) if not group]:
        raise ManifestError(
            f"{pattern!r} fits {len(paths) - len(wrong):,} of {counted(len(paths), 'path')}, not"
            f" {clip_text(wrong[0])}",
            "write one that fits all, as '(?:^|/)([^/_]+)'",
        )
    if len(set(found)) == 1 < len(found):
        raise ManifestError(
            f"{pattern!r} takes {found[0]!r} from all {len(found):,} paths, one group",
            "write one that tells them apart; without --group-by names are looked at",
        )
    return Groups(f"--group-by {pattern}", found)


def _template(text: str) -> str:
    """The regular expression of a template.

    >>> _template("{group}_*")
    '(?P<group>.+?)_.*?'
    """
    before, _, after = text.partition("{group}")
    parts = ("".join(".*?" if c == "*" else re.escape(c) for c in part) for part in (before, after))
    return "(?P<group>.+?)".join(parts)


def _beside_classes(paths: Sequence[str], labels: Sequence[str]) -> list[str] | None:
    """What stands before or after the class in every name, a number aside; None if there is none.

    >>> _beside_classes(["anna_run_1.mp4", "hop-anna.mp4"], ["run", "hop"])
    ['anna', 'anna']
    """
    groups = []
    for name, label in zip(_keys(paths, ""), labels, strict=True):
        word = re.escape(label)
        form = rf"(?:.*/)?(?:(.+)[_-]{word}|{word}[_-](.+?))(?:[_-]?\d+)?"
        match = re.fullmatch(form, name, re.IGNORECASE)
        group = (match[1] or match[2]) if match else ""
        if not re.search(r"[^\W\d]{2}", group):  # 01, a3: clips are counted
            return None
        groups.append(group)
    return groups


def _note(shape: str, said: str, paths: Sequence[str], groups: Sequence[str]) -> str:
    sizes = Counter(groups)
    several = sum(size > 1 for size in sizes.values())
    first = next(row for row, group in enumerate(groups) if sizes[group] > 1)
    return (
        f"names like {shape}, such as {paths[first]}: {several:,} {said}, which stay together;"
        " --group none divides them"
    )


def _keys(paths: Sequence[str], shape: str) -> list[str]:
    """What a pattern is compared with: names, with their folders if names alone are no names."""
    whole = [without_suffix(path.replace("\\", "/").rstrip("/")) for path in paths]
    names = [video_name(path) for path in paths]
    return whole if "/" in shape or len(set(names)) < len(set(whole)) else names


def _matched(
    pattern: re.Pattern[str], names: Sequence[str], labels: Sequence[str]
) -> list[str] | None:
    """The group of every name, itself where the pattern fails; None if it fails for many."""
    first = names[:SAMPLE]
    if 2 * sum(_match(pattern, name) is not None for name in first) < len(first):
        return None  # the rest of a million names is not looked at
    matches = [
        None if match and match["group"].rpartition("/")[2] == label else match  # a class folder
        for match, label in zip((_match(pattern, name) for name in names), labels, strict=True)
    ]
    if sum(match is not None for match in matches) < _SHARE * len(names):
        return None
    return [
        name if match is None else _without_label(match["group"], label)
        for name, match, label in zip(names, matches, labels, strict=True)
    ]


def _match(pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    match = pattern.fullmatch(name)
    spans = "start" in pattern.groupindex
    if match and spans and not float(match["start"]) < float(match["end"]):
        return None  # a date and a time, a subject and a take
    return match


def _without_label(group: str, label: str) -> str:
    """A movie without the class of its clip, so that its clips of other classes are found."""
    ending = f"_{label}"
    return group[: -len(ending)] if group.lower().endswith(ending.lower()) else group


def _are_groups(groups: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether some groups have several clips, and most classes several groups."""
    groups_of = defaultdict(set)
    for group, label in zip(groups, labels, strict=True):
        groups_of[label].add(group)
    counts = Counter(labels)
    large = [label for label, count in counts.items() if count > 1]
    divided = sum(len(groups_of[label]) > 1 for label in large)
    return 1 < len(set(groups)) < len(groups) and 2 * divided >= len(large)
