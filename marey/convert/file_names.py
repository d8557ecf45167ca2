"""What the published names of checkpoints say, because their tensors do not.

Most names follow a convention of their code base (`marey.convert.naming`), whatever stands before
and behind: "Copy of TSM_something_..._e45 (1).pth.tar". A training script calls the file
ckpt.best.pth.tar or model_best.pth.tar and its folder by the convention: then the folder's name is
read. Of any other name single words are taken, such as segment8.

A name is a hint: what was taken from it is shown, and `--set` says otherwise. What it says of
things that tensors tell is compared with them (`marey.convert.evidence`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from marey.convert.naming import CONVENTIONS, DATA, data_named, place_named
from marey.convert.repository import Settings, Told
from marey.recipes.published import CLASSES


def told_by_path(path: Path) -> tuple[Told, str]:
    """What the name of the file at `path` says, or that of its folder; and which one was read."""
    folder = path.absolute().parent.name
    told = told_by_name(path.name)
    if not told.settings and (of_folder := _by_convention(folder)):
        return of_folder, f"'{folder}' (its folder; its own name says nothing)"
    data = data_named(folder)
    if not data or not told.settings or "data" in told.settings:
        return told, f"'{path.name}'"
    settings = {**told.settings, "data": data}
    tensors = {**told.by_tensors, "classes": CLASSES[data]}
    return replace(told, settings=settings, by_tensors=tensors), f"'{folder}/{path.name}'"


def told_by_name(name: str) -> Told:
    """What a file of weights that is called `name` says of its model."""
    return _by_convention(name) or _by_words(name)


def settings_in_name(name: str) -> Settings:
    """Of this, what tensors do not tell."""
    return Settings(**told_by_name(name).settings)


def _by_convention(name: str) -> Told | None:
    return next(filter(None, (convention(name) for convention in CONVENTIONS)), None)


def _by_words(name: str) -> Told:
    """What single words of a name say that follows no convention."""
    values: dict[str, Any] = {}
    for pattern in (r"segment(\d+)", r"-f(\d+)(?:x2)?(?=[-_.]|$)", r"(?<!\d)1x\d+x(\d+)(?!\d)"):
        if match := re.search(pattern, name, re.IGNORECASE):
            values["num_segments"] = int(match[1])
            break
    match = re.search(r"shift(\d+)_([a-z]+)", name, re.IGNORECASE)
    if match and (place := place_named(match[2])):
        values |= {"shift_div": int(match[1]), "place": place}
    elif name.upper().startswith("TSN_"):
        values["shift_div"] = 0
    tensors = _of_tensors(name)
    named = {data: word for words, data in DATA.items() if (word := _found(words, name))}
    if len(named) > 1:  # something_v2 is no something
        named = {data: word for data, word in named.items() if word != "something"}
    if len(named) == 1:  # of two, one may be what it started from
        ((data, word),) = named.items()
        tensors["classes"] = CLASSES[data]
        values |= {} if word == "something" else {"data": data}  # of which version?
    return Told(values, tensors)


def _of_tensors(name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if match := re.search(r"(?:resnet|_r)[-_]?(18|34|50|101|152)(?=\D|$)", name, re.IGNORECASE):
        values["depth"] = int(match[1])
    if match := re.search(r"[-_](rgb|flow)(?=[-_.])", name, re.IGNORECASE):
        values["modality"] = match[1].lower()
    return values


def _found(words: str, name: str) -> str | None:
    """The whole word of `name` that is one of `words`, in small letters."""
    match = re.search(rf"(?<![a-z0-9])(?:{words})(?![a-z0-9])", name, re.IGNORECASE)
    return match[0].lower() if match else None
