"""GMDCSA24 (Alam et al. 2024, doi:10.5281/zenodo.12921216): falls and daily life, 160 videos.

Four people at home, before a camera that stands still. A list a person of falls and one of other
activities, ``S1/Fall.csv`` and ``S1/ADL.csv``, say in the cell ``Classes`` what happens when, in
seconds: ``Falling (SW)[1.8 to 5]; Walking[0 to 1.8]``. What happens at once, as eating while
sitting, is said of both. A row here is one such span, so that a video has several; people are
groups. There are no splits: all are train, and `marey data init --folds 4` of the manifest leaves
out a person at a time.

**Deviates**: the ways of falling (forward, backward, sideways: FW, BW, SW, also written ``Fall
(FW)`` and ``Falling (BW``) are one class here, Falling.
"""

from __future__ import annotations

import re

from marey.data.datasets.dataset import AnnotatedClip, AnnotationForm, DataSet, Index, in_folders
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_names import ClassNames
from marey.data.lists.labelled_times import labelled_times
from marey.data.lists.rejects import Misfit, SourceLine

CLASSES = (
    "Drinking",
    "Eating",
    "Exercising",
    "Falling",
    "Reading",
    "Sitting",
    "Sleeping",
    "Standing",
    "Walking",
    "Writing",
)
COLUMNS = ("File Name", "Classes")
PEOPLE = ("S1", "S2", "S3", "S4")
KINDS = ("ADL", "Fall")
_FALLING = re.compile(r"Fall(ing)?\s*\((FW|BW|SW)\)?")


def read_lists(files: Annotations) -> Index:
    """The spans of the lists of falls and of daily life."""
    names, clips = ClassNames(CLASSES), list[AnnotatedClip]()
    for role in (role for role in _roles() if role in files):
        for line, row in files.open(role).table(COLUMNS):
            clips += _clips(files, names, role, line, row)
    return Index({"label": CLASSES}, clips)


def _clips(
    files: Annotations, names: ClassNames, role: str, line: SourceLine, row: dict[str, str]
) -> list[AnnotatedClip]:
    """The spans of one video; those that do not fit are left out, each by itself."""
    person, kind = role.split("/")
    video = row["File Name"].strip().removesuffix(".mp4")
    name = f"{person}/{kind}/{video}"
    clips = []
    for number, found in enumerate(labelled_times(row["Classes"])):
        label = None if isinstance(found, Misfit) else names.index(_class(found.label))
        if isinstance(found, Misfit):
            files.reject(line, found.value, str(found), found.remedy)
        elif label is None:
            files.reject(line, found.label, f"none of the {len(CLASSES)} classes")
        else:
            clips.append(
                AnnotatedClip(
                    line,
                    name,
                    "train",
                    {"label": label},
                    found.start,
                    found.end,
                    group=person,
                    id=f"{name}#{number}",
                )
            )
    return clips


def _class(text: str) -> str:
    return "Falling" if _FALLING.fullmatch(text) else text


def _roles() -> list[str]:
    return [f"{person}/{kind}" for person in PEOPLE for kind in KINDS]


GMDCSA24 = DataSet(
    name="gmdcsa24",
    title="GMDCSA24, falls at home",
    licence="MIT",
    source="zenodo.org/records/12921216",
    forms=(
        AnnotationForm(
            title="ADL.csv and Fall.csv of each person",
            files={role: f"{role}.csv" for role in _roles()},
            read=read_lists,
            needs=(),
            class_roles=(),
        ),
    ),
    layouts=in_folders(""),
    notes=("a span is one clip, and videos have several; the ways of falling are one class",),
)
