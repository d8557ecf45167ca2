"""The TorchCodec backend gives the frames that PyAV gives, or refuses the file."""

from __future__ import annotations

import builtins
import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from marey.errors import DecodeError
from marey.video.reading.reader import Span, open_video
from tests.video.media import numbered, numbers_of, remux, write_folder, write_video


def can_load() -> bool:
    if importlib.util.find_spec("torchcodec") is None:
        return False
    try:
        import torchcodec  # noqa: F401
    except RuntimeError:  # no FFmpeg to load
        return False
    return True


needs_torchcodec = pytest.mark.skipif(
    not can_load(), reason="torchcodec, or the FFmpeg libraries it needs, is not installed"
)


@needs_torchcodec
@pytest.mark.parametrize("promised", [None, 30])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b.mp4", {"b_frames": 2}),
        ("late.mkv", {"times": np.arange(30) / 10 + 8.25}),
        ("turned.mp4", {"rotation": 90}),
        ("wide.mp4", {"aspect": Fraction(4, 3)}),
        ("wide-turned.mp4", {"aspect": Fraction(4, 3), "rotation": 270}),
        ("vp9.webm", {"codec": "libvpx-vp9"}),
        ("deep.mkv", {"pix_fmt": "yuv420p10le"}),
    ],
)
def test_the_same_indices_give_the_same_frames(
    tmp_path: Path, name: str, options: dict[str, object], promised: int | None
) -> None:
    path = write_video(tmp_path / name, numbered(30), **options)  # type: ignore[arg-type]
    indices = [29, 3, 17, 3]
    with (
        open_video(path) as ours,
        open_video(path, backend="torchcodec", num_frames=promised) as theirs,
    ):
        assert len(ours) == len(theirs)
        assert ours.fps == theirs.fps
        assert np.allclose(ours.timestamps(), theirs.timestamps())
        expected, frames = ours.read(indices), theirs.read(indices)
    assert frames.shape == expected.shape
    assert frames.dtype == expected.dtype
    assert frames.is_contiguous()
    assert (frames.float() - expected.float()).abs().mean() < 2


@needs_torchcodec
def test_spans_work_on_it_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(30))
    with open_video(path, backend="torchcodec", span=Span(1.0, 1.5)) as reader:
        assert numbers_of(reader.read(range(len(reader)))) == [10, 11, 12, 13, 14]


@needs_torchcodec
def test_a_file_whose_packets_are_not_frames_is_refused(tmp_path: Path) -> None:
    sound = write_video(tmp_path / "a.mp4", numbered(30))
    path = remux(sound, tmp_path / "b.mkv", spoil=[12])
    with (
        open_video(path, backend="torchcodec") as reader,
        pytest.raises(DecodeError, match=r"TorchCodec counts 30 frames, \d+ decode.*'pyav'"),
    ):
        reader.read([0])


@needs_torchcodec
def test_a_closed_reader_says_so(tmp_path: Path) -> None:
    reader = open_video(write_video(tmp_path / "a.mp4", numbered(5)), backend="torchcodec")
    reader.close()
    with pytest.raises(ValueError, match="the reader is closed"):
        reader.read([0])


def test_a_missing_install_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("torchcodec"):
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    path = write_video(tmp_path / "a.mp4", numbered(5))
    with pytest.raises(ValueError, match=r"pip install marey\[torchcodec\]"):
        open_video(path, backend="torchcodec")


def test_frame_folders_need_no_backend(tmp_path: Path) -> None:
    with open_video(write_folder(tmp_path, numbered(3)), backend="torchcodec") as reader:
        assert numbers_of(reader.read([2])) == [2]
