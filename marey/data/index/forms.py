"""Which of the forms of a data set's annotations lies in a folder."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from marey.data.index.annotations import Annotations
from marey.data.index.dataset import DataSet, Form, Index
from marey.errors import ManifestError

SUBFOLDERS = ("", "annotations", "labels", "splits")
"""Where annotation files may lie in the folder that is searched."""


def read_annotations(dataset: DataSet, folder: Path) -> tuple[Index, Annotations, Form]:
    """What the annotations in `folder` say, of the first form of which enough is there.

    ManifestError names all files that were looked for and where a person gets them.
    """
    if not folder.is_dir():
        raise ManifestError(f"{folder} is not a folder", "give --annotations DIR")
    found = [(form, _files(form, folder)) for form in dataset.forms]
    there = [(form, files) for form, files in found if _enough(form, files)]
    if not there:
        raise _none_found(dataset, folder, found)
    form, files = there[0]
    annotations = Annotations(files)
    for other, _ in there[1:]:
        annotations.notes.append(f"also there, not read: {other.title}")
    absent = [role for role in form.files if role not in files]
    if absent:
        names = ", ".join(form.files[role][0] for role in absent)
        annotations.notes.append(f"not there: {names}")
    return form.read(annotations), annotations, form


def _files(form: Form, folder: Path) -> dict[str, Path]:
    found = {role: _first(folder, names) for role, names in form.files.items()}
    return {role: path for role, path in found.items() if path is not None}


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The file of the first name that there is; of several that fit a `*`, the first by name."""
    for name in names:
        for sub in SUBFOLDERS:
            path = folder / sub / name
            if "*" in path.name:
                listed = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
                fitting = [file for file in listed if fnmatchcase(file.name, path.name)]
                if fitting:
                    return fitting[0]
            elif path.is_file():
                return path
    return None


def _enough(form: Form, files: dict[str, Path]) -> bool:
    others = form.files.keys() - set(form.needs)
    return all(role in files for role in form.needs) and (not others or bool(others & files.keys()))


def _none_found(
    dataset: DataSet, folder: Path, found: list[tuple[Form, dict[str, Path]]]
) -> ManifestError:
    """The error that says which names were looked for, and which of them are there."""
    lines = [f"no annotations of {dataset.title} in {folder}; looked for"]
    for form, files in found:
        lines.append(f"  {form.title}:")
        for role, names in form.files.items():
            state = f"found {files[role]}" if role in files else f"not found: {' or '.join(names)}"
            needed = " (needed)" if role in form.needs else ""
            lines.append(f"    {role}{needed}: {state}")
    return ManifestError(
        "\n".join(lines), f"get them from {dataset.source}; --annotations DIR says where they lie"
    )
