"""Data sets that are some classes of another: a file of class names, one a line, says which."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from marey.data.datasets.dataset import AnnotationForm, Index
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_names import ClassNames, expect_count, unbracketed
from marey.data.manifest.faults import clip_text
from marey.errors import counted

ROLE = "mini"
"""That of the file of class names."""


def subset_form(form: AnnotationForm, name: str, num_classes: int) -> AnnotationForm:
    """A form of the whole data set, with the file `name` that says which classes to keep."""
    return replace(
        form,
        files={**form.files, ROLE: name},
        read=partial(_read, form, num_classes=num_classes),
        needs=(*form.needs, ROLE),
        class_roles=(*form.class_roles, ROLE),
    )


def _read(form: AnnotationForm, files: Annotations, num_classes: int) -> Index:
    """The clips whose class is named in the file; classes are numbered as it has them.

    How a name is written in the whole data set counts; one that is written otherwise is noted.
    """
    index = form.read(files)
    known, numbers = ClassNames(index.classes["label"]), dict[int, int]()
    lines = files.open(ROLE).lines()
    for line, text, number in files.faults.fitting(lines, lambda n, t: (n, t, known.find(t))):
        numbers.setdefault(number, len(numbers))
        if unbracketed(text) != known.names[number]:
            files.notes.append(f"{line}: {clip_text(text)} is read as {known.names[number]!r}")
    names = tuple(known.names[number] for number in numbers)
    expect_count(files[ROLE], names, num_classes)
    labels = [(clip, clip.labels.get("label")) for clip in index.clips]
    clips = [
        clip._replace(labels={"label": numbers[label]})
        for clip, label in labels
        if isinstance(label, int) and label in numbers
    ]
    if len(clips) < len(index.clips):
        files.notes.append(
            f"{counted(len(index.clips) - len(clips), 'clip')} of other classes, or without one, "
            "left out"
        )
    return Index({"label": names}, clips, index.unit)
