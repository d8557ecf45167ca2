"""All tools whose exports are read, by what each is recognised by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from marey.data.lists.exports import boris, cvat, elan, elan_text, label_studio, objects, via
from marey.data.lists.exports.places import with_files_below
from marey.data.lists.exports.xml_text import root_name
from marey.data.lists.listing import Listing
from marey.data.lists.text_file import TextFile
from marey.data.lists.wanted_columns import AS_NAMED, WantedColumns
from marey.errors import ManifestError


class Tool(NamedTuple):
    """One kind of export."""

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[TextFile], bool]
    read: Callable[[TextFile, Mapping[str, str]], Listing]
    """Given what a person named, role -> name."""


_TABLES = (".csv", ".tsv", ".txt")
TOOLS = (
    Tool("Label Studio", (".json",), label_studio.is_json, label_studio.read_json),
    Tool("Label Studio", _TABLES, label_studio.is_table, label_studio.read_table),
    Tool("CVAT", (".xml",), cvat.is_xml, cvat.read_file),
    Tool("VGG Video Annotator", (".json",), via.is_json, via.read_json),
    Tool("VGG Video Annotator", _TABLES, via.is_table, via.read_table),
    Tool("BORIS", _TABLES, boris.is_table, boris.read_table),
    Tool("ELAN", (".eaf", ".xml"), elan.is_xml, elan.read_file),
    Tool("ELAN", _TABLES, elan_text.is_text, elan_text.read_text_export),
    Tool("Create ML", (".json",), objects.is_create_ml, objects.read_create_ml),
    Tool("JSON lines", (".jsonl",), objects.is_lines, objects.read_lines),
)
XML = (".xml", ".eaf")


def tool_of(file: TextFile) -> Tool | None:
    """The tool that wrote a file, None if it is of none."""
    suffix = file.path.suffix.lower()
    return next((x for x in TOOLS if suffix in x.suffixes and x.recognises(file)), None)


def read_export(file: TextFile, wanted: WantedColumns = AS_NAMED, *, root: Path) -> Listing | None:
    """The clips of an export of a labelling tool, None if the file is none.

    ManifestError names what does not fit, with its line, and what only a person can decide.

    Args:
        wanted: the label, and maybe the path, if the export has several that could be.
        root: below which the files are looked for.
    """
    tool = tool_of(file)
    suffix = file.path.suffix.lower()
    if tool is not None:
        return with_files_below(tool.read(file, wanted.roles), root)
    if suffix == ".jsonl":
        return with_files_below(objects.read_any_lines(file, wanted), root)
    if suffix in XML:
        raise ManifestError(
            f"{file.path}: {root_name(file) or 'no XML'}, which is no export that is known",
            "XML is read of CVAT (annotations) and ELAN (ANNOTATION_DOCUMENT)",
        )
    return None
