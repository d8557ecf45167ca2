"""Objects of JSON as the rows of a table, their names as its columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from marey.data.lists.rejects import SourceLine
from marey.data.lists.text_file import TextFile
from marey.data.manifest.classes import SEPARATOR


@dataclass(frozen=True)
class ObjectTable(TextFile):
    """Objects of JSON as a table: a column for every name, in the order they are met."""

    objects_of: Sequence[tuple[SourceLine, Mapping[str, object]]] = ()

    def records(self, separator: str = ",") -> Iterator[tuple[SourceLine, list[str]]]:  # noqa: ARG002
        """The names, then a row an object; cells of what an object lacks are empty."""
        names = list(dict.fromkeys(name for _, entry in self.objects_of for name in entry))
        yield SourceLine(self.path, 1), names
        for line, entry in self.objects_of:
            yield line, [_cell(entry.get(name)) for name in names]


def object_table(
    file: TextFile, objects: Sequence[tuple[SourceLine, Mapping[str, object]]]
) -> ObjectTable:
    """The table of objects that stand in `file`."""
    return ObjectTable(file.path, file.text, file.digest, file.faults, file.notes, objects)


def _cell(value: object) -> str:
    """A value as it stands in a table: ["a", "b"] is a|b, as of several labels."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return SEPARATOR.join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
