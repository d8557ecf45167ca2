"""Which of the forms of a data set's annotations lies in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from marey.data.datasets.dataset import AnnotationForm, DataSet, Index
from marey.data.lists.annotations import Annotations
from marey.errors import ManifestError

SUBFOLDERS = ("", "annotations", "labels", "splits")
"""Where annotation files may lie in the folder that is searched."""


def read_annotations(
    dataset: DataSet, folder: Path, *, root: Path | None = None
) -> tuple[Index, Annotations, AnnotationForm]:
    """What the annotations in `folder` say, of the first form of which enough is there.

    root: that of the media, where files of classes may lie if they are not in `folder`.

    ManifestError names all files that were looked for and where a person gets them.
    """
    if not folder.is_dir():
        raise ManifestError(f"{folder} is not a folder", "give --annotations DIR")
    forms = [(form, _files(form, folder, root or folder)) for form in dataset.forms]
    readable = [(form, files) for form, files in forms if _enough(form, files)]
    if not readable:
        raise _none_readable(dataset, folder, forms)
    form, files = readable[0]
    annotations = Annotations(files)
    for other, others in readable[1:]:
        if set(others.values()) - set(files.values()):
            annotations.notes.append(f"also there, not read: {other.title}")
    absent = [role for role in form.files if role not in files and role not in form.optional]
    if absent:
        names = ", ".join(form.files[role].split()[0] for role in absent)
        annotations.notes.append(f"not there: {names}")
    return form.read(annotations), annotations, form


def _files(form: AnnotationForm, folder: Path, root: Path) -> dict[str, Path]:
    """Role -> path of the files that are there."""
    files = {}
    for role, names in form.files.items():
        of_classes = role in form.class_roles
        mark = "" if of_classes else form.mark
        candidates = [*_candidates(folder, names.split())]
        candidates += _candidates(root, names.split()) if of_classes else []
        path = next((path for path in candidates if _is_marked(path, mark)), None)
        if path is not None:
            files[role] = path
    return files


def _candidates(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """The files that have one of the names, the surest first; those that fit a `*` by name."""
    for name in names:
        for sub in SUBFOLDERS:
            path = folder / sub / name
            if "*" in path.name:
                beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
                yield from (file for file in beside if fnmatchcase(file.name, path.name))
            elif path.is_file():
                yield path


def _is_marked(path: Path, mark: str) -> bool:
    """Whether the first line of a file holds what tells its form from others."""
    if not mark:
        return True
    try:
        with path.open("rb") as file:
            return mark.encode() in file.readline(1 << 16)
    except OSError:  # reading it will say why
        return True


def _enough(form: AnnotationForm, files: dict[str, Path]) -> bool:
    others = form.files.keys() - {*form.needs, *form.class_roles, *form.optional}
    return all(role in files for role in form.needs) and (not others or bool(others & files.keys()))


def _none_readable(
    dataset: DataSet, folder: Path, forms: list[tuple[AnnotationForm, dict[str, Path]]]
) -> ManifestError:
    """The error that says which names were looked for, and which of them are there."""
    lines = [f"no annotations of {dataset.title} in {folder}; looked for"]
    for form, files in forms:
        lines.append(f"  {form.title}:")
        for role, names in form.files.items():
            others = " or ".join(names.split())
            state = f"found {files[role]}" if role in files else f"not found: {others}"
            needed = " (needed)" if role in form.needs else ""
            lines.append(f"    {role}{needed}: {state}")
    return ManifestError(
        "\n".join(lines), f"get them from {dataset.source}; --annotations DIR says where they lie"
    )
