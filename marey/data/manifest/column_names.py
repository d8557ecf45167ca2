"""What columns go by in the files of others: one table of names, for lists and for manifests.

Letter case, blanks and signs do not count: "Video Name" is `videoname`, "#path" is `path`. Of
several columns of a kind the one whose name stands first here is the surest. The names of times are
in `marey.data.manifest.time_names`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

Kind = Literal["path", "label", "split", "group", "fold", "id"]


def _names(stems: str, endings: str) -> tuple[str, ...]:
    """Every stem with each of the endings, of which `-` is none."""
    return tuple(stem + ending.strip("-") for ending in endings.split() for stem in stems.split())


_CLASSES = "label class category action activity target klasse"
PEOPLE = (
    "speaker subject person participant actor performer signer user patient player athlete child"
    " student driver volunteer individual identity animal family household proband teilnehmer sujet"
    " sujeto"
)
"""Words for those who are in a clip."""
_NUMBERS = "id name no number num idx index code"

NAMES: Mapping[Kind, tuple[str, ...]] = {
    "path": (
        *("path", "file", "filename", "filepath", "fullpath", "relativepath", "relpath", "fname"),
        *_names("video vid clip media", "- path name file filename filepath"),
        *("uri", "url", "name", "id", "videoid", "fileid", "clipid", "youtubeid", "ytid", "datei"),
    ),
    "label": (
        *_names(_CLASSES, "- name label class text title"),
        *("labels", "classes", "categories", "actions", "activities", "targets"),
        *_names(_CLASSES, "id idx index no number num code"),
    ),
    "split": (
        *("split", "subset", "partition", "set", "datasplit", "splitname", "phase", "usage"),
        *("fold", "istrain", "istraining", "isval", "isvalidation", "istest"),
    ),
    "group": (
        *("group", "groupid", "groupname"),
        *_names(PEOPLE, f"- {_NUMBERS}"),
        *_names("source scene sequence session recording originalvideo sourcevideo", "- id name"),
        *_names("camera cam location site room", f"- {_NUMBERS}"),
    ),
    "fold": ("fold", "foldid", "foldnumber", "foldno", "cvfold", "kfold"),
    "id": (
        *("id", "narrationid", "uid", "uuid", "clipid", "segmentid", "annotationid", "sampleid"),
        *("instanceid", "videoid", "fileid", "youtubeid", "ytid", "vid"),
    ),
}


def squashed(name: str) -> str:
    """A name without what does not count.

    >>> squashed('"Video Name"'), squashed("#path"), squashed("startFrame")
    ('videoname', 'path', 'startframe')
    """
    return re.sub(r"[\W_]+", "", name).lower()


def of_kind(kind: Kind, names: Sequence[str]) -> list[str]:
    """Those of the names that may be of the kind, the surest first.

    >>> of_kind("label", ["Class ID", "file", "Class Label"])
    ['Class Label', 'Class ID']
    """
    known = NAMES[kind]
    found = [name for name in names if squashed(name) in known]
    return sorted(found, key=lambda name: known.index(squashed(name)))
