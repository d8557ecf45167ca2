"""Lets mkdocstrings show the examples in docstrings as code: lines from ``>>>`` on, in a fence."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
OPTION = re.compile(r" *# doctest: .*")


class ExamplesFenced(griffe.Extension):
    """See the module; mkdocs.yml names it."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put the examples of a docstring in fences."""
        if obj.docstring:
            text = EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
            obj.docstring.value = OPTION.sub("", text)
