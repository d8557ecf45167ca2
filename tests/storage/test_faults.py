"""A file at fault is told from a disk, share or store at fault."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from marey.errors import DecodeError, StorageError
from marey.storage.faults import read_error
from marey.storage.url import Url
from marey.video.reading.reader import open_video
from tests.video.media import numbered, write_folder, write_video


def _kind(place: object, code: int) -> type[DecodeError]:
    error = read_error(place, OSError(code, os.strerror(code)))
    assert error.message == f"{place}: {os.strerror(code)}"
    return type(error)


@pytest.mark.parametrize(
    "code",
    [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ECONNRESET,
     errno.ENODEV, errno.EMFILE, errno.ENOMEDIUM],
)  # fmt: skip
def test_a_disk_or_network_that_fails_blames_no_file(tmp_path: Path, code: int) -> None:
    (tmp_path / "b.mp4").touch()
    assert _kind(tmp_path / "a.mp4", code) is StorageError
    assert _kind(Url("s3://bucket/a.mp4"), code) is StorageError


@pytest.mark.parametrize("code", [errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EFBIG])
def test_a_name_or_a_size_that_cannot_be_is_the_files_own_fault(code: int) -> None:
    assert _kind(Path("/no/a.mp4"), code) is DecodeError
    assert _kind(Url("s3://bucket/a.mp4"), code) is DecodeError


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM])
def test_one_file_that_is_missing_or_closed_is_at_fault_and_a_folder_without_files_is_not(
    tmp_path: Path, code: int
) -> None:
    path = tmp_path / "clips" / "a.mp4"
    assert _kind(path, code) is StorageError  # no folder
    path.parent.mkdir()
    assert _kind(path, code) is StorageError  # nothing is mounted there
    (path.parent / "b.mp4").touch()
    assert _kind(path, code) is DecodeError
    missing = code in (errno.ENOENT, errno.ENOTDIR)
    assert _kind(Url("s3://b/a.mp4"), code) is (DecodeError if missing else StorageError)


def test_a_fault_of_the_storage_is_one_of_decoding_and_comes_back_from_a_worker() -> None:
    error = read_error(Path("/no/a.mp4"), OSError(errno.EIO, "x"), "wait")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(error, DecodeError)
    assert type(again) is StorageError
    assert str(again) == str(error) == "/no/a.mp4: x. hint: wait"


@pytest.mark.parametrize("name", ["a.mp4", "frames", "p.tar/a.mp4", "x/y/a.mp4"])
def test_a_share_that_is_gone_is_told_by_whatever_is_opened_there(
    tmp_path: Path, name: str
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    write_video(share / "a.mp4", numbered(2))
    write_folder(share / "frames", numbered(2))
    share.rename(tmp_path / "away")
    with pytest.raises(StorageError, match="no such file or folder"):
        open_video(share / name)
    share.mkdir()  # what is left of a mount
    with pytest.raises(StorageError, match="no such file or folder"):
        open_video(share / name)
    (tmp_path / "away").rename(share)
    with pytest.raises(DecodeError, match="no such file or folder") as found:
        open_video(share / "b.mp4")
    assert type(found.value) is DecodeError


def test_a_frame_that_the_disk_does_not_give_is_the_disks_fault(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "frames", numbered(2))
    with open_video(folder) as video:
        monkeypatch.setattr(os, "open", _fail)
        with pytest.raises(StorageError, match=r"Input/output error"):
            video.read([1])


def _fail(path: Path, flags: int) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO), path)
