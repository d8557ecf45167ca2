"""Videos, folders of frames and packs in stores: files, memory and http, told apart by the url."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.errors import DecodeError, MareyError
from marey.storage import asking, blocks
from marey.storage import url as urls
from marey.storage.url import Url, any_path
from marey.video.reading.pack_writer import pack_writer
from marey.video.reading.reader import Span, open_video
from tests.store import Store, serving
from tests.video.media import (
    encode_image,
    number_of,
    numbered,
    numbers_of,
    write_folder,
    write_video,
)

FRAMES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, a folder of frames and a pack, each of twelve numbered frames."""
    folder = tmp_path_factory.mktemp("store")
    write_video(folder / "a b#1.mp4", numbered(FRAMES))
    write_folder(folder / "frames", numbered(FRAMES))
    with pack_writer(folder / "p.tar") as pack:
        jpegs = (encode_image(picture) for picture in numbered(FRAMES))
        pack.add("wave/a.mp4", jpegs, size=(64, 48), fps=10.0, seconds=np.arange(FRAMES) / 10)
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[Store]:
    with serving(folder) as store:
        yield store


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setattr(asking, "WAIT_SECONDS", 0.0)
    store.failures, store.ranges = 0, True
    store.asked.clear()


@pytest.fixture(params=["file", "memory", "http"])
def root(request: pytest.FixtureRequest, folder: Path, store: Store) -> Url:
    if request.param == "memory":
        fsspec.filesystem("memory").put(str(folder) + "/", "/clips/", recursive=True)
        return Url("memory://clips")
    return Url(folder.as_uri() if request.param == "file" else store.url)


@pytest.mark.parametrize("text", ["http://host/a/../b", "s3://a/%2e%2e/b", "zip::s3://a"])
def test_a_url_that_is_refused_is_told_without_a_traceback(text: str) -> None:
    with pytest.raises(MareyError, match="expected") as found:
        Url(text)
    assert isinstance(found.value, ValueError)


@pytest.mark.parametrize("name", ["a b#1.mp4", "frames", "p.tar/wave/a.mp4"])
def test_what_lies_in_a_store_is_read_as_if_it_lay_here(root, folder, name):
    with open_video(root / name) as video, open_video(folder / name) as here:
        assert len(video) == FRAMES
        assert numbers_of(video.read([7, 0, 7, 11])) == [7, 0, 7, 11]
        assert (video.read([3]) == here.read([3])).all()
        assert video.fps == here.fps
    with open_video(str(root / name) if "#" not in name else root / name, num_frames=12) as video:
        assert numbers_of(video.read([11])) == [11]


@pytest.mark.parametrize("block", [1 << 12, 1 << 16])
def test_a_large_file_is_read_in_blocks_and_never_wholly(folder, store, monkeypatch, block):
    path = write_video(folder / "long.mp4", numbered(150, width=320, height=240))
    monkeypatch.setattr(urls, "WHOLE", 100)
    monkeypatch.setattr(blocks, "BLOCK", block)
    url = f"{store.url}/long.mp4"
    with open_video(url, num_frames=150) as video:
        assert numbers_of(video.read([140, 3])) == [140, 3]
    with open_video(url, span=Span(2.0, 4.0)) as video, open_video(path) as here:
        assert (video.read([5]) == here.read([25])).all()


def test_a_store_that_gives_no_parts_gives_small_files_whole_and_large_ones_not(store, monkeypatch):
    store.ranges = False
    with open_video(f"{store.url}/a%20b%231.mp4") as video:
        assert numbers_of(video.read([2])) == [2]
    monkeypatch.setattr(urls, "WHOLE", 100)
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    with pytest.raises(
        DecodeError, match=r"a%20b%231\.mp4: the server gives no parts of files, but over"
    ):
        open_video(f"{store.url}/a%20b%231.mp4").read([2])


def test_packs_come_whole_from_a_store_that_gives_no_parts(folder, store, monkeypatch):
    store.ranges = False
    clip = "p.tar/wave/a.mp4"
    with open_video(f"{store.url}/{clip}?1") as video, open_video(folder / clip) as here:
        assert (video.read([7, 0]) == here.read([7, 0])).all()
    assert len(store.asked) <= 3
    monkeypatch.setattr(urls, "WHOLE", 100)
    with pytest.raises(DecodeError, match=r"p\.tar: the server gives no parts of files, but over"):
        open_video(f"{store.url}/{clip}?2")


# --- failures -----------------------------------------------------------------------------------


def test_a_store_that_fails_is_asked_again_and_not_for_ever(store):
    store.failures = 2
    with open_video(f"{store.url}/a%20b%231.mp4") as video:
        assert len(video) == FRAMES
    store.failures = 99
    store.asked.clear()
    with pytest.raises(DecodeError, match=r"127.*/b\.mp4: .*3 times.*hint: is the url right"):
        open_video(f"{store.url}/b.mp4")
    assert len(store.asked) <= 2 * asking.TRIES


def test_what_would_be_in_vain_is_asked_once(store):
    store.failures, store.status = 99, 403
    with pytest.raises(DecodeError, match=r"c\.mp4: status 403"):
        open_video(f"{store.url}/c.mp4")
    assert len(store.asked) <= 2  # fsspec asks by HEAD, then by GET
    store.failures, store.status = 0, 503
    with pytest.raises(DecodeError, match=r"no\.mp4: no such file or folder"):
        open_video(f"{store.url}/no.mp4")


def test_a_store_that_breaks_off_is_no_shorter_video(store, folder, monkeypatch):
    write_video(folder / "cut.mp4", numbered(150, width=320, height=240))
    monkeypatch.setattr(urls, "WHOLE", 100)
    monkeypatch.setattr(blocks, "BLOCK", 1 << 12)
    with open_video(f"{store.url}/cut.mp4", num_frames=150) as video:
        video.read([0])
        store.failures = 99
        with pytest.raises(DecodeError, match=r"cut\.mp4: .*3 times"):
            video.read([140])


def test_a_store_nobody_knows_and_one_that_is_not_there_are_errors_that_name_the_url():
    with pytest.raises(DecodeError, match=r"nostore://b/a\.mp4: no store is known as nostore://"):
        open_video("nostore://b/a.mp4")
    with pytest.raises(DecodeError, match=r"http://127\.0\.0\.1:9/a\.mp4: .*hint: is the url"):
        open_video("http://127.0.0.1:9/a.mp4")


def test_a_pipe_and_a_device_are_no_files_of_a_store_either(tmp_path):
    write_folder(tmp_path / "frames", numbered(3))
    frame = tmp_path / "frames" / "img_00002.jpg"
    frame.unlink()
    os.mkfifo(frame)
    os.mkfifo(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").symlink_to("/dev/zero")
    root = Url(tmp_path.as_uri())
    for name in ("a.mp4", "b.mp4"):
        with pytest.raises(DecodeError, match=rf"{name}: (the file is empty|.*, not a file)"):
            open_video(root / name)
    with pytest.raises(DecodeError, match=r"img_00002\.jpg: a named pipe, not a file"):
        open_video(root / "frames").read([1])


def test_an_empty_file_and_one_that_is_no_video_are_errors(folder, store):
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video\n" * 9)
    with pytest.raises(DecodeError, match=r"empty\.mp4: the file is empty"):
        open_video(f"{store.url}/empty.mp4")
    with pytest.raises(DecodeError, match=r"text\.mp4: moov atom .* is no mp4 at all"):
        open_video(f"{store.url}/text.mp4")


def test_a_playlist_in_a_store_does_not_open_files_of_this_machine(folder, store):
    (folder / "list.mp4").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{folder / 'a b#1.mp4'}\n"
    )
    with pytest.raises(DecodeError, match=r"list\.mp4"):
        open_video(f"{store.url}/list.mp4").read([0])


# --- secrets, and the way out -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "http://me:secret@127.0.0.1:9/a.mp4",
        "http://127.0.0.1:9/a.mp4?X-Signature=secret#secret",
        "ftp://me:secret@127.0.0.1:9/a.mp4",
        "nostore://key:sec/secret@bucket/a.mp4",
    ],
)
def test_no_message_tells_the_secrets_of_a_url(text):
    with pytest.raises(DecodeError) as failed:
        open_video(text)
    error: BaseException | None = failed.value
    while error is not None:
        assert "sec" not in str(error)
        error = None if error.__suppress_context__ else error.__cause__ or error.__context__
    assert "sec" not in f"{Url(text)} {Url(text)!r} {Url(text).as_posix()}"
    assert "secret" in pickle.loads(pickle.dumps(Url(text))).text


def test_a_signature_is_kept_where_a_name_is_added():
    assert (Url("https://h/d?s=1") / "a/b c.mp4").text == "https://h/d/a/b%20c.mp4?s=1"
    assert (Url("s3://h/d/") / "a/b c.mp4").text == "s3://h/d/a/b c.mp4"


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "a/..", "/etc/x", "\\x", "a\\..\\x", "%2e%2e/x", "a/%2E%2e/x", "..%2fx",
     "%252e%252e/x", "http://other/x", "file:///etc/x", "zip::http://other", "a::b", "c:x", "a\nb"],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "s3", "memory", "file"])
def test_no_name_leads_out_of_a_url(scheme, name):
    with pytest.raises(DecodeError, match="leads out of it"):
        Url(f"{scheme}://host/root") / name
    with pytest.raises(ValueError, match=r"upwards|no url"):
        Url("http://host/a/../b" if "::" not in name else f"{scheme}://host::{name}")


@given(st.text(min_size=1, max_size=30), st.sampled_from(["http", "s3", "memory"]))
def test_a_name_below_a_url_is_that_name_below_it(name, scheme):
    root = Url(f"{scheme}://host/root")
    try:
        below = root / name
    except DecodeError:
        return
    assert below.text.startswith(root.text + "/")
    assert ".." not in below.text.split("/")
    if "//" not in name and name.strip("/.") and not name.endswith("/"):
        assert below.name == name.rpartition("/")[2]


def test_what_begins_like_a_scheme_is_a_url_and_a_drive_is_none():
    assert any_path("c://a.mp4") == Path("c://a.mp4")
    assert any_path("a/b.mp4") == Path("a/b.mp4")
    assert any_path(Path("s3://b")) == Path("s3://b")
    assert isinstance(any_path("s3://bucket/a"), Url)


def _first_numbers(url: Url, give: Callable[[int], None]) -> None:
    with open_video(url) as video:
        give(number_of(video.read([5])[0]))


def test_a_forked_loader_worker_asks_the_store_by_itself(store):
    url = Url(store.url) / "a b#1.mp4"
    with open_video(url) as video:  # the parent has asked before
        assert len(video) == FRAMES
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_first_numbers, args=(url, theirs.send))
    process.start()
    assert ours.poll(60)
    assert ours.recv() == 5
    process.join()
