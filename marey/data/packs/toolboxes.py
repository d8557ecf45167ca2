"""The lists of clips that other toolboxes train from, of extracted frames or mp4 files.

| toolbox     | files                                   | lines                                 |
|-------------|-----------------------------------------|---------------------------------------|
| `tsm`       | train_videofolder.txt, category.txt     | `path num_frames label`               |
| `blvnet`    | training_256.txt, or train_400_331.txt  | `path 1 num_frames label [label ...]` |
| `mmaction2` | train_list_rawframes.txt, label_map.txt | `path num_frames label [label ...]`   |
|             | of mp4: train_list_videos.txt           | `path label [label ...]`              |
| `slowfast`  | train.csv, and SSv2's three json files  | a frame each, five columns            |
|             | of mp4: train.csv                       | `path label`                          |

Paths start at the folder of the lists; blvnet's are absolute, as its programs have no root.

* TSM (temporal-shift-module; TSN, TDN, GST and GC take the same lists) splits lines at spaces.
* bLVNet-TAM splits lines at spaces for Something-Something and at `;` for Kinetics, and looks for
  lists of other names then, whatever the size of frames. It opens ``{:05d}.jpg`` alone, and whether
  clips have several labels is decided by the first line.
* mmaction2's RawframeDataset and VideoDataset split lines at spaces.
* PySlowFast's Kinetics splits at DATA.PATH_LABEL_SEPARATOR. Its Charades takes frame lists with
  labels, its Ssv2 those without and json files; so does Motionformer. All split at spaces.

Test clips whose labels are not published have none where a toolbox can read that, else 0, as TSM's
own programs write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from marey.data.manifest.faults import clip_text
from marey.data.packs.listed_clips import ListedClip, ListedClips
from marey.errors import ManifestError

BLVNET_TEMPLATE = "{:05d}.jpg"
SPACE = r"\s"
"""What lines are split at: of any kind, as Python's `split()` has it."""
TO_UNDERSCORES = "--no-spaces names folders with _ in their place"


@dataclass(frozen=True)
class ToolboxLists:
    """What is written for a toolbox."""

    files: Mapping[str, Iterable[str]]
    """Name -> its lines."""
    settings: str
    """What the toolbox must be told, in its own words."""


def _tsm(clips: ListedClips) -> ToolboxLists:
    _refuse_videos(clips, "tsm")
    _refuse_spaces(clips, "tsm")
    _refuse_several(clips, "tsm")
    lists = _lists(clips, "{}_videofolder.txt", lambda c: f"{c.path} {c.num_frames} {_first(c)}")
    settings = f"root_data is {clips.folder}, prefix is {clips.template}"
    return ToolboxLists(lists | _names("category.txt", clips), settings + _no_labels(clips))


def _blvnet(clips: ListedClips) -> ToolboxLists:
    _refuse_videos(clips, "blvnet")
    if clips.template != BLVNET_TEMPLATE:
        raise ManifestError(
            f"blvnet opens frames named {BLVNET_TEMPLATE} alone, these are {clips.template}",
            "extract them with --template blvnet",
        )
    separator = _blvnet_separator(clips)
    like = "st2stv2" if separator == " " else "kinetics400"
    names = {split: _BLVNET_NAMES[like].get(split, split) for split in clips.splits}
    return ToolboxLists(
        {f"{name}.txt": _blvnet_lines(clips, split, separator) for split, name in names.items()},
        f"--datadir {clips.folder} --dataset {like}, and its num_classes",
    )


_BLVNET_NAMES = {
    "st2stv2": {"train": "training_256", "val": "validation_256", "test": "testing_256"},
    "kinetics400": {"train": "train_400_331", "val": "val_400_331", "test": "test_400_331"},
}
"""Data set -> split -> the list that its programs look for."""


def _blvnet_separator(clips: ListedClips) -> str:
    """A space as its lists of Something-Something have, or `;` as those of Kinetics."""
    if not (re.search(SPACE, str(clips.folder)) or clips.having(SPACE)):
        return " "
    if ";" in str(clips.folder) or clips.having(";"):
        raise ManifestError(
            f"blvnet splits lines at spaces or at `;`, and paths below {clips.folder} have both",
            f"{TO_UNDERSCORES}, below a folder without either",
        )
    return ";"


def _blvnet_lines(clips: ListedClips, split: str, separator: str) -> Iterator[str]:
    listed = clips.splits[split]
    if clips.several:  # whether labels may be several, its loader decides by the first line
        listed = sorted(listed, key=lambda clip: -len(clip.labels))
    for clip in listed:
        path, labels = f"{clips.folder}/{clip.path}", map(str, clip.labels)
        yield separator.join([path, "1", str(clip.num_frames), *labels])


def _mmaction2(clips: ListedClips) -> ToolboxLists:
    _refuse_spaces(clips, "mmaction2")
    classes = _names("label_map.txt", clips)
    more = (", multi_class is True" if clips.several else "") + _no_labels(clips)
    if not clips.template:
        lists = _lists(clips, "{}_list_videos.txt", lambda c: f"{c.path} {_all(c)}")
        return ToolboxLists(
            lists | classes, f"VideoDataset, data_prefix is dict(video='{clips.folder}'){more}"
        )
    lists = _lists(clips, "{}_list_rawframes.txt", lambda c: f"{c.path} {c.num_frames} {_all(c)}")
    return ToolboxLists(
        lists | classes,
        f"RawframeDataset, data_prefix is dict(img='{clips.folder}'),"
        f" filename_tmpl is '{clips.template}'{more}",
    )


def _slowfast(clips: ListedClips) -> ToolboxLists:
    where = f"DATA.PATH_TO_DATA_DIR {clips.folder} DATA.PATH_PREFIX {clips.folder}"
    if not clips.template:
        return _slowfast_videos(clips, where)
    _refuse_spaces(clips, "slowfast")
    files: dict[str, Iterable[str]] = {
        f"{split}.csv": _frame_list(listed, clips.template)
        for split, listed in clips.splits.items()
    }
    if clips.several or clips.unlabelled:
        return ToolboxLists(files, f"TRAIN.DATASET charades {where}")
    return ToolboxLists(files | _ssv2_files(clips), f"TRAIN.DATASET ssv2 {where}")


def _ssv2_files(clips: ListedClips) -> dict[str, Iterable[str]]:
    """The json files from which its loader of Something-Something has the labels."""
    names = [_unbracketed(name) for name in clips.classes]
    ids = {name: str(number) for number, name in enumerate(names)}
    if len(ids) < len(names):
        raise ManifestError(
            "slowfast leaves the brackets of class names away, and two are the same without",
            "name them otherwise in labels.txt",
        )
    roles = {"train": "train", "val": "validation"}
    files: dict[str, Iterable[str]] = {"labels": [json.dumps(ids, ensure_ascii=False, indent=0)]}
    for split, role in roles.items():
        if split in clips.splits:
            files[role] = _objects(clips.splits[split], names)
    return {f"something-something-v2-{role}.json": lines for role, lines in files.items()}


def _slowfast_videos(clips: ListedClips, where: str) -> ToolboxLists:
    """`path label`, which Kinetics' loader splits where it is told to."""
    _refuse_several(clips, "slowfast, of videos,")
    separator = "," if clips.having(SPACE) else " "
    if separator == "," and (path := clips.having(",")):
        raise ManifestError(
            f"slowfast splits lines at one sign, and {clip_text(path)} has commas, others spaces",
            TO_UNDERSCORES,
        )
    lists = _lists(clips, "{}.csv", lambda c: separator.join([c.path, *map(str, c.labels)]))
    more = f" DATA.PATH_LABEL_SEPARATOR {separator}" if separator == "," else ""
    return ToolboxLists(lists, f"TRAIN.DATASET kinetics {where}{more}")


TOOLBOXES: Mapping[str, Callable[[ListedClips], ToolboxLists]] = {
    "tsm": _tsm,
    "blvnet": _blvnet,
    "mmaction2": _mmaction2,
    "slowfast": _slowfast,
}


# --- lines ---------------------------------------------------------------------------------------


def _lists(
    clips: ListedClips, name: str, line: Callable[[ListedClip], str]
) -> dict[str, Iterable[str]]:
    return {name.format(split): map(line, listed) for split, listed in clips.splits.items()}


def _names(file: str, clips: ListedClips) -> dict[str, Iterable[str]]:
    """The file of class names, if there are some."""
    return {file: clips.classes} if clips.classes else {}


def _no_labels(clips: ListedClips) -> str:
    """What is said where a number has to stand in place of labels."""
    return "; labels are not known: 0 stands in their place" if clips.unlabelled else ""


def _first(clip: ListedClip) -> int:
    return clip.labels[0] if clip.labels else 0


def _all(clip: ListedClip) -> str:
    return " ".join(map(str, clip.labels or (0,)))


def _frame_list(clips: list[ListedClip], template: str) -> Iterator[str]:
    yield "original_vido_id video_id frame_id path labels"  # spelled so where it is read
    for number, clip in enumerate(clips):
        labels = ",".join(map(str, clip.labels))
        for frame in range(clip.num_frames):
            path = f"{clip.path}/{template.format(frame + 1)}"
            yield f'{_video_id(clip)} {number} {frame} {path} "{labels}"'


def _objects(clips: list[ListedClip], names: list[str]) -> Iterator[str]:
    """A JSON list of id and template, an object a line."""
    for number, clip in enumerate(clips):
        entry = {"id": _video_id(clip), "template": names[clip.labels[0]]}
        start, end = "[" if not number else "", "]" if number == len(clips) - 1 else ","
        yield start + json.dumps(entry, ensure_ascii=False) + end


def _video_id(clip: ListedClip) -> str:
    return clip.path.partition("/")[2]  # below frames/


def _unbracketed(name: str) -> str:
    return name.replace("[", "").replace("]", "")


# --- what a toolbox cannot read ------------------------------------------------------------------


def _refuse_videos(clips: ListedClips, toolbox: str) -> None:
    if not clips.template:
        raise ManifestError(f"{toolbox} reads folders of frames", "marey data extract writes them")


def _refuse_spaces(clips: ListedClips, toolbox: str) -> None:
    if path := clips.having(SPACE):
        raise ManifestError(
            f"{toolbox} splits lines at spaces, and {clip_text(path)} has some", TO_UNDERSCORES
        )


def _refuse_several(clips: ListedClips, toolbox: str) -> None:
    if clips.several:
        raise ManifestError(
            f"{toolbox} reads one label a clip, and clips have several",
            "blvnet, mmaction2 and slowfast, of frames, read several",
        )
