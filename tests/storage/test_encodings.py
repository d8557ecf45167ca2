from __future__ import annotations

import codecs

import pytest

from marey.storage.encodings import NotText, decode_text, is_plain

TEXT = "path;label\r\nvideos/j\u00e4.mp4;jump\r\n"


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_text_of_wide_letters_is_read_by_its_mark_and_it_is_said(name):
    mark = {
        "utf-16-le": codecs.BOM_UTF16_LE,
        "utf-16-be": codecs.BOM_UTF16_BE,
        "utf-32-le": codecs.BOM_UTF32_LE,
        "utf-32-be": codecs.BOM_UTF32_BE,
    }[name]
    text, notes = decode_text(mark + TEXT.encode(name))
    assert text == TEXT
    assert notes == (f"read as {name.upper()[:6]}",)
    assert not is_plain(mark + TEXT.encode(name))


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_told_by_its_zeros(name):
    assert decode_text(TEXT.encode(name)).text == TEXT
    assert not is_plain(TEXT.encode(name))


def test_utf_8_with_and_without_a_mark_is_plain_and_nothing_is_said():
    for data in (TEXT.encode(), codecs.BOM_UTF8 + TEXT.encode(), b"", b"a"):
        assert decode_text(data).notes == ()
        assert is_plain(data)
    assert decode_text(codecs.BOM_UTF8 + TEXT.encode()).text == TEXT
    assert decode_text(b"\xff").text == "\udcff"


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "sep=,", "sep=\t", "\ufeffsep=;"])
def test_the_line_that_tells_excel_the_separator_is_left_empty_and_it_is_said(line):
    text, notes = decode_text(f"{line}\r\n{TEXT}".encode())
    assert text == f"\r\n{TEXT}"
    assert "left out the line of Excel" in notes[0]
    assert not is_plain(f"{line}\r\n{TEXT}".encode())


def test_a_path_that_begins_with_sep_is_a_path():
    assert decode_text(b"sep=a/1.mp4 0\n") == ("sep=a/1.mp4 0\n", ())
    assert is_plain(b"sep=a/1.mp4 0\n")


WRONG = {
    "an archive": (b"PK\x03\x04xl/workbook.xml", "a workbook or an archive"),
    "gzip": (b"\x1f\x8b\x08", "an archive"),
    "old excel": (b"\xd0\xcf\x11\xe0", "a workbook of Excel"),
    "a page": (b"\n<!DOCTYPE html><html>", "a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
    "numbers": (b"abc" + bytes(3000), "zero bytes"),
    "half a letter": (codecs.BOM_UTF16_LE + b"a\0b", "not whole as UTF-16"),
    "a separator of its own": (b"sep=|\npath|label\n", r"separated by '\|'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_text_is_told_by_what_it_is(kind):
    data, message = WRONG[kind]
    with pytest.raises(NotText, match=message) as error:
        decode_text(data)
    assert error.value.remedy
