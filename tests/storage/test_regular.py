"""Only files are opened as files: what waits for ever, or never ends, is named."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from marey.errors import DecodeError
from marey.storage.faults import read_error
from marey.storage.regular import open_regular, read_regular


def test_a_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "b", most=3) == b"abc"
    with open_regular(tmp_path / "a") as file:
        assert file.read(2) == b"ab"
    with pytest.raises(OSError, match="the file has 3 bytes, more than 2"):
        read_regular(tmp_path / "a", most=2)


@pytest.mark.parametrize(
    ("target", "kind"),
    [("fifo", "a named pipe"), ("socket", "a socket"), ("/dev/zero", "a device"),
     ("/dev/urandom", "a device"), ("/dev/null", "a device"), (".", "a folder")],
)  # fmt: skip
def test_what_is_no_file_is_named_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        Path("link").symlink_to(target)
        monkeypatch.setattr(os, "open", None)
        with pytest.raises(OSError, match=f"{kind}, not a file") as found:
            open_regular(Path("link"))
    assert type(read_error(Path("link"), found.value)) is DecodeError


def test_what_takes_the_place_of_a_file_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "a")
    file = Path(__file__).stat()
    monkeypatch.setattr(Path, "stat", lambda self: file)
    with pytest.raises(OSError, match="a named pipe, not a file"):
        open_regular(tmp_path / "a")
