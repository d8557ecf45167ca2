"""The text of a file as others save it: UTF-8, UTF-16, with marks and lines of spreadsheets.

What is no text is told by what it is instead, as an archive or a web page.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # begins as the next one does
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_OTHER = {
    rb"PK\x03\x04": ("a workbook or an archive", "save the sheet as CSV, or unpack it"),
    rb"\xd0\xcf\x11\xe0": ("a workbook of Excel", "save the sheet as CSV"),
    rb"\x1f\x8b|BZh\d|\xfd7zXZ|7z\xbc\xaf|Rar!": ("an archive", "unpack it"),
    rb"%PDF": ("a PDF", "save its table as CSV"),
    rb"PAR1": ("a Parquet file", "save it as CSV"),
    rb"version https://git-lfs": ("a git-lfs pointer, not the file", "fetch it: git lfs pull"),
    rb"(?i:\s*<(?:!doctype html|html))": ("a web page, not the file", "download the file itself"),
}
"""How files begin that are taken for lists."""
_SAMPLE = 4096
_SEP = re.compile(r'[ \t]*"?sep=(.?)"?[ \t]*(?=[\r\n]|\Z)', re.IGNORECASE)
SEPARATORS = "\t;, "


class NotText(ValueError):
    """A file is no text, with what it is instead; `remedy` says what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class Text(NamedTuple):
    """The text of a file, its lines as they end there."""

    text: str
    """Bytes that are not UTF-8 are lone surrogates."""
    notes: tuple[str, ...]
    """What was odd, and read all the same."""


def decode_text(data: bytes) -> Text:
    """The text in the bytes of a file; `NotText` if they are none.

    A line `sep=;`, by which Excel is told the separator, is left empty.
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    encoding = _MARKS[mark] if mark else _encoding_by_zeros(data)
    _refuse_other(data, encoding)
    try:
        errors = "surrogateescape" if encoding == "utf-8" else "strict"
        text = data[len(mark) :].decode(encoding, errors)
    except UnicodeDecodeError as error:
        reason = f"not whole as {encoding.upper()[:6]}: {error.reason} at byte {error.start}"
        raise NotText(reason, "save it as UTF-8") from error
    notes = () if encoding == "utf-8" else (f"read as {encoding.upper()[:6]}",)
    return _without_sep(text, notes)


def is_plain(start: bytes) -> bool:
    """Whether a file that begins so is UTF-8 as it stands, but for a mark at its beginning."""
    others = [mark for mark in _MARKS if mark != codecs.BOM_UTF8]
    return not (
        start.startswith(tuple(others))
        or _encoding_by_zeros(start) != "utf-8"
        or _SEP.match(start.removeprefix(codecs.BOM_UTF8)[:64].decode("latin-1"))
        or any(re.match(pattern, start) for pattern in _OTHER)
    )


def _encoding_by_zeros(data: bytes) -> str:
    """UTF-16 and its order of bytes where every other byte is zero, as with letters of ASCII."""
    sample = data[: _SAMPLE // 2 * 2]
    zeros = [sample[start::2].count(0) for start in (0, 1)]
    half = len(sample) // 4  # half of the letters
    if zeros[1] > half >= zeros[0]:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] > half >= zeros[1] else "utf-8"


def _refuse_other(data: bytes, encoding: str) -> None:
    for pattern, (kind, remedy) in _OTHER.items():
        if re.match(pattern, data):
            raise NotText(kind, remedy)
    if encoding == "utf-8" and data[:_SAMPLE].count(0) > _SAMPLE // 50:
        raise NotText("not text: it holds zero bytes", "save it as UTF-8")


def _without_sep(text: str, notes: tuple[str, ...]) -> Text:
    match = _SEP.match(text)
    if match is None:
        return Text(text, notes)
    if match[1] and match[1] not in SEPARATORS:
        reason = f"separated by {match[1]!r}, as the line of Excel {match[0].strip()!r} says"
        raise NotText(reason, "save it with tab, semicolon or comma, without that line")
    return Text(text[match.end() :], (*notes, f"left out the line of Excel {match[0].strip()!r}"))
