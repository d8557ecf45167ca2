"""Names from files are shown as they are written: no escape sequence, no markup, no crash."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from marey.terminal import Terminal, TerminalHandler, visible, visible_json, write_any_text

STEERING = [chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))]
DIRECTIONS = list("\u061c\u200e\u200f\u2028\u202a\u202e\u2066\u2069")


def shown(text: str, *, colours: bool = False) -> str:
    file = io.StringIO()
    Terminal(file=file, force_terminal=colours, color_system="standard").print(text)
    return file.getvalue()


@pytest.mark.parametrize("char", [*STEERING, *DIRECTIONS, "\udce9"])
def test_what_steers_a_terminal_is_written_out(char: str) -> None:
    assert visible(f"a{char}b") == f"a{ascii(char)[1:-1]}b"
    assert char not in shown(f"a{char}b")
    assert json.loads(visible_json(json.dumps(f"a{char}b", ensure_ascii=False))) == f"a{char}b"
    assert char not in visible_json(json.dumps(f"a{char}b", ensure_ascii=False))


@given(
    st.text(
        st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="\\")
    )
)
def test_any_other_text_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert shown(text).removesuffix("\n") == text


@pytest.mark.parametrize(
    "name",
    ["[red]x", "a[/]b", "[/nothing]", "[link=http://x]y", "run[1]", ":bomb:", "[bold"],
)
def test_brackets_in_a_name_are_no_markup(name: str) -> None:
    assert shown(f"written: {name}") == f"written: {name}\n"
    table = Table(name)
    table.add_row(name)
    file = io.StringIO()
    Terminal(file=file).print(table)
    assert file.getvalue().count(name) == 2


def test_the_words_that_begin_a_line_have_their_colours() -> None:
    assert shown("[red]error:[/] [x]", colours=True) == "\x1b[31merror:\x1b[0m [x]\n"


def test_a_warning_of_the_log_is_shown_as_other_lines(caplog: pytest.LogCaptureFixture) -> None:
    file, log = io.StringIO(), logging.getLogger("marey")
    handler = TerminalHandler(Terminal(file=file))
    log.addHandler(handler)
    try:
        log.warning("%s is odd", "a\x1b[2J[b]")
    finally:
        log.removeHandler(handler)
    assert file.getvalue() == "warning: a\\x1b[2J[b] is odd\n"


def test_a_stream_takes_what_its_encoding_lacks() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    write_any_text([stream])
    stream.write("é\udce9")
    stream.flush()
    assert stream.buffer.getvalue() == b"\\xe9\\udce9"


def test_errors_are_said_on_any_terminal(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m")
    done = subprocess.run(
        [sys.executable, "-m", "marey", "eval", name, "--device", "cpu"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: caf\\udce9\\x1b[31m does not exist")
