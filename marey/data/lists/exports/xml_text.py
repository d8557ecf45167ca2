"""XML of tools, with the line of every element; what no export has is refused.

A document type can define entities that grow without end or name other files; no labelling tool
writes one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from xml.parsers import expat

from marey.data.lists.rejects import SourceLine
from marey.data.lists.text_file import TextFile
from marey.errors import ManifestError

MOST_DEEP = 100
"""Elements in elements."""


class Element:
    """An element: its name, attributes, text, and the elements in it."""

    __slots__ = ("attributes", "inside", "line", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str], line: SourceLine) -> None:
        self.name = name
        self.attributes = attributes
        self.line = line
        self.inside: list[Element] = []
        self.text = ""

    def get(self, name: str) -> str:
        """An attribute, "" if it is not there."""
        return self.attributes.get(name, "")

    def all(self, *names: str) -> Iterator[Element]:
        """The elements right inside that have one of the names."""
        return (one for one in self.inside if one.name in names)

    def below(self, *names: str) -> Iterator[Element]:
        """The elements at any depth that have one of the names."""
        for one in self.inside:
            if one.name in names:
                yield one
            yield from one.below(*names)

    def word(self, name: str) -> str:
        """The text of the first element right inside with that name, "" if there is none."""
        return next((one.text.strip() for one in self.all(name)), "")


def root_name(file: TextFile) -> str:
    """The name of the outermost element, "" if the text is no XML."""
    if not file.text.lstrip().startswith("<"):
        return ""
    names: list[str] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda name, _: names.append(name)
    with suppress(expat.ExpatError):  # who reads all of it says where
        parser.Parse(file.text[:100_000].lstrip().encode("utf-8", "surrogateescape"), False)
    return names[0] if names else ""


def read_xml(file: TextFile) -> Element:
    """The outermost element; ManifestError, with the line, if it is damaged or not plain XML."""
    top = Element("", {}, SourceLine(file.path))
    stack = [top]
    parser = expat.ParserCreate("utf-8")  # the text was decoded, whatever it says of itself
    parser.buffer_text = True

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > MOST_DEEP:
            raise _refused(
                file, parser.CurrentLineNumber, f"{MOST_DEEP} elements inside each other"
            )
        one = Element(name, attributes, SourceLine(file.path, parser.CurrentLineNumber))
        stack[-1].inside.append(one)
        stack.append(one)

    def doctype(*_: object) -> None:
        raise _refused(file, parser.CurrentLineNumber, "a document type, which may define entities")

    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: stack.pop() and None
    parser.CharacterDataHandler = lambda text: setattr(stack[-1], "text", stack[-1].text + text)
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(file.text.lstrip().encode("utf-8", "surrogateescape"), True)
    except expat.ExpatError as error:
        raise ManifestError(
            f"{file.path}:{error.lineno}: not XML: {expat.ErrorString(error.code)}",
            "is the file complete? export it anew",
        ) from error
    return top.inside[0]


def _refused(file: TextFile, line: int, what: str) -> ManifestError:
    return ManifestError(f"{file.path}:{line}: {what}: no export has that", "export it anew")
