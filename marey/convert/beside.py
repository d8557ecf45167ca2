"""What lies beside the weights in their file and is of use: class names, averaged weights.

mmcv writes ``meta: {CLASSES}``, mmengine ``meta: {dataset_meta: {classes}}``. Averages of weights
are saved under a name of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from marey.errors import counted
from marey.models.video_model import Head


@dataclass(frozen=True)
class ClassNames:
    """The names of classes in a file, and the entries, one in the other, in which they stand."""

    names: tuple[str, ...]
    where: str


def class_names(beside: Mapping[str, Any]) -> ClassNames | None:
    """The names of the classes that a file says; None if it says none."""
    for where, entry in _entries(beside):
        for key in ("CLASSES", "classes", "class_names"):
            names = entry.get(key)
            if not isinstance(names, list | tuple) or not names:
                continue
            if all(isinstance(name, str) and name.strip() for name in names):
                stripped = tuple(name.strip() for name in names)
                return ClassNames(stripped, ".".join((*where, key)))
    return None


def usable(found: ClassNames, heads: tuple[Head, ...]) -> bool:
    """Whether each class of the one head has a name of its own."""
    lines = all(len(name.splitlines()) == 1 for name in found.names)
    return lines and [len(set(found.names))] == [head.num_classes for head in heads]


def in_words(found: ClassNames, heads: tuple[Head, ...]) -> str:
    """What is done with the names."""
    if usable(found, heads):
        return f"{found.where} of the file: {found.names[0]}, {found.names[-1]} and between"
    counts = " and ".join(str(head.num_classes) for head in heads)
    names = counted(len(set(found.names)), "name")
    return (
        f"{found.where} of the file has {names}, the checkpoint {counts} "
        "classes: not used, classes are numbers"
    )


def averages(beside: Mapping[str, Any], inside: tuple[str, ...]) -> str:
    """What stands beside the weights and may be their average, and is not taken; empty if none."""
    names = [
        name
        for name, value in beside.items()
        if ("ema" in name.lower() or "averag" in name.lower())
        and isinstance(value, Mapping)
        and any(isinstance(tensor, Tensor) for tensor in value.values())
    ]
    if not names:
        return ""
    taken = f"'{'.'.join(inside)}'"
    return (
        f"'{', '.join(names)}' is not taken, the weights are those of {taken}; to take it, save it "
        f"alone: torch.save(torch.load(FILE)['{names[0]}'], NEW)"
    )


def _entries(beside: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The entries that may hold class names, with the names of those in which they lie."""
    left: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), beside)]
    for where, entry in left:  # which grows on the way
        yield where, entry
        inner = ("meta", "dataset_meta", "hyper_parameters")
        left += [
            ((*where, name), value)
            for name in inner
            if len(where) < len(inner) and isinstance(value := entry.get(name), Mapping)
        ]
