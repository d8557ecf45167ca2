"""Text on a terminal: names that other people chose can neither steer it nor stop it.

Labels, paths and names of recipes come from files. One with escape sequences could rewrite what
stands on the screen, one with a mark of writing direction could show another name than it is, and
one with square brackets would be read as markup. All three are shown as they are written.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and line feed
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # directions and other ends of lines
    "\ud800-\udfff]"  # bytes that are not UTF-8
)
_WORD = re.compile(r"\[(red|cyan|yellow)\](?=(error|hint|warning):\[/\])")
"""The one markup that is ours: how a line begins."""
_TAG = re.compile(r"(?<!\\)\[(?=[a-zA-Z#/@][^\[]*?\])")


def visible(text: str) -> str:
    r"""`text` with what steers a terminal, or no file in UTF-8 can hold, written out.

    >>> visible("a\x1b[31m\u202eb"), visible("caf\udce9\tx"), visible("é 漢 😀")
    ('a\\x1b[31m\\u202eb', 'caf\\udce9\tx', 'é 漢 😀')
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    """JSON of the same meaning that is `visible`."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def duration(seconds: float) -> str:
    """A time in the two largest units that it has.

    >>> duration(41.2), duration(754), duration(12_000), duration(200_000)
    ('41 s', '13 min', '3 h 20 min', '2 d 7 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


class Terminal(Console):
    """A console that shows every text as it is; see the module."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """`text` as rich shows it, without the markup of others."""
        text = visible(text)
        if options.get("markup") is not False:  # some callers have escaped names, some have not
            start = _WORD.match(text)
            own = start[0] + start[2] + ":[/]" if start else ""
            text = own + _TAG.sub(r"\\[", text.removeprefix(own))
        return super().render_str(text, **options)


class TerminalHandler(logging.Handler):
    """Shows what is logged as a warning."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        word = "[yellow]warning:[/] " if record.levelno >= logging.WARNING else ""
        self.terminal.print(word + record.getMessage())


def write_any_text(streams: Sequence[Any] = (sys.stdout, sys.stderr)) -> None:
    """Have the streams write out what their encoding lacks, where they would fail else."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
