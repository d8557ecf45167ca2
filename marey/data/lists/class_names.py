"""Class names in the official order, and the class that a word in an annotation file means.

The same class is written `Holding [something]`, `Holding something`, `petting_animal_(not_cat)` and
`petting animal (not cat)`. Names are therefore compared by their letters and digits alone, which
tells the classes of every data set here apart; where it would not, they are compared as written.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from marey.data.lists.rejects import Misfit
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError, counted


class ClassNames:
    """The names of a head; position is class index."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        plain = [plain_name(name) for name in names]
        self._by_plain = len(set(plain)) == len(plain)
        keys = plain if self._by_plain else self.names
        self._indices = {key: index for index, key in enumerate(keys)}
        self._seen: dict[str, int | None] = {}

    def __len__(self) -> int:
        return len(self.names)

    def index(self, text: str) -> int | None:
        """The class that `text` means, None if there is none."""
        if text not in self._seen:
            key = plain_name(text) if self._by_plain else text.strip()
            self._seen[text] = self._indices.get(key)
        return self._seen[text]

    def find(self, text: str) -> int:
        """The class that `text` means; `Misfit` if there is none."""
        index = self.index(text)
        if index is None:
            near = difflib.get_close_matches(text, self.names, n=1)
            hint = f"did you mean {clip_text(near[0])}?" if near else ""
            raise Misfit(f"none of the {counted(len(self), 'class')}", hint, value=text)
        return index


def are_numbers(names: Iterable[str]) -> bool:
    """Whether classes have no names, only numbers."""
    return all(name.isascii() and name.isdigit() for name in names)


def unbracketed(name: str) -> str:
    """A template of Something-Something as a class name.

    >>> unbracketed("Holding [something] next to [something]")
    'Holding something next to something'
    """
    return name.replace("[", "").replace("]", "")


def plain_name(name: str) -> str:
    """What a name is compared by: its letters and digits, in lower case.

    >>> plain_name("Petting_animal (not [cat])")
    'pettinganimalnotcat'
    """
    return "".join(filter(str.isalnum, name.casefold()))


def nearly_equal(names: Iterable[str]) -> Iterator[str]:
    """The names that differ by letter case, accents, blanks or what is not seen, in words.

    >>> list(nearly_equal(["Jump", "jump", "run"]))
    ["'Jump' and 'jump' are 2 classes, though nearly one name"]
    """
    alike = defaultdict(list)
    for name in sorted(set(names)):
        seen = "".join(char for char in name if unicodedata.category(char) != "Cf")
        plain = unicodedata.normalize("NFC", seen).casefold()
        alike[" ".join(re.split(r"[\s_-]+", plain)).strip()].append(name)
    for several in alike.values():
        if len(several) > 1:
            shown = " and ".join(map(clip_text, several))
            if len({unicodedata.normalize("NFC", name) for name in several}) < len(several):
                shown = shown.encode("ascii", "backslashreplace").decode()
            yield f"{shown} are {len(several)} classes, though nearly one name"


def expect_count(path: Path, names: Sequence[str], *num_classes: int) -> None:
    """ManifestError unless names differ and are as many as one of `num_classes`, if given."""
    seen: set[str] = set()
    for name in names:
        if plain_name(name) in seen:
            raise ManifestError(
                f"{path}: the class {clip_text(name)} is there twice", "keep one line a class"
            )
        seen.add(plain_name(name))
    if num_classes and len(names) not in num_classes:
        wanted = " or ".join(map(str, num_classes))
        raise ManifestError(
            f"{path}: {counted(len(names), 'class')}, expected {wanted}",
            "is it the file of this data set?",
        )
