"""The built-in set: what its files hold, and that nothing but order tells a class from its pair."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import numpy as np
import pytest

from marey.data.manifest.manifest import Manifest
from marey.data.synthetic.dataset import (
    ACTIONS,
    CLASSES,
    REVERSALS,
    appearance_ceiling,
    render_dataset,
)
from marey.data.synthetic.render import write_video
from marey.data.synthetic.scenes import SCENES, draw_scene
from marey.errors import ManifestError
from marey.video.sampling.segments import Segments
from tests.manifests import read_complete

TRAIN, VAL = 3, 1


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        file.streams.video[0].thread_count = 1
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def pixel_hash(manifest: Manifest) -> str:
    total = hashlib.sha256()
    for row in range(len(manifest)):
        total.update(decode(manifest.path(row)).tobytes())
    return total.hexdigest()


def render(out: Path, **options: object) -> Manifest:
    options = {"clips_per_class": (TRAIN, VAL), "size": 32, "workers": 1} | options
    return read_complete(render_dataset(out, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return render(tmp_path_factory.mktemp("set"))


def test_the_manifest_has_the_columns_a_run_reads(rendered: Manifest):
    lines = rendered.source.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "path,label,split,num_frames"
    assert lines[1].startswith("videos/moving_right/train_0000.mp4,0,train,")


def test_the_class_names_stand_beside_the_manifest(rendered: Manifest):
    text = (rendered.root / "labels.txt").read_text(encoding="utf-8")
    assert tuple(text.splitlines()) == CLASSES == rendered.classes["label"]


def test_every_class_has_the_clips_asked_for_in_each_split(rendered: Manifest):
    for split, count in (("train", TRAIN), ("val", VAL)):
        assert rendered.select(split).class_counts().tolist() == [count] * len(CLASSES)


def test_every_file_is_h264_and_decodes_to_the_frames_the_manifest_counts(rendered: Manifest):
    for row in range(len(rendered)):
        with av.open(str(rendered.path(row))) as file:
            assert file.streams.video[0].codec_context.name == "h264"
        assert decode(rendered.path(row)).shape == (rendered.num_frames(row), 32, 32, 3)


def test_a_file_decodes_to_exactly_the_reversed_pixels_of_its_partner(rendered: Manifest):
    for one, other in ACTIONS.values():
        folders = [rendered.root / "videos" / name.replace(" ", "_") for name in (one, other)]
        names = sorted(path.name for path in folders[0].iterdir())
        assert len(names) == TRAIN + VAL
        for name in names:
            forwards, backwards = (decode(folder / name) for folder in folders)
            np.testing.assert_array_equal(forwards, backwards[::-1])


def test_eight_segments_of_partners_are_the_same_frames(rendered: Manifest):
    assert rendered.frame_counts is not None
    for num_frames in {*rendered.frame_counts.tolist(), 14, 15, 17, 20, 24}:
        taken = Segments(8).indices(num_frames)[0]
        assert (num_frames - 1 - taken)[::-1].tolist() == taken.tolist()


def test_the_first_frame_is_coded_like_every_other(tmp_path: Path):
    picture = draw_scene("turn", np.random.default_rng(0), num_frames=1, size=32)
    write_video(tmp_path / "still.mp4", np.repeat(picture, 9, axis=0), fps=12)
    frames = decode(tmp_path / "still.mp4")
    assert (frames == frames[0]).all()


def test_a_seed_gives_the_same_pixels_again_with_any_number_of_processes(tmp_path: Path):
    counts = (11, 0)  # more than 50 scenes: enough for a second process
    one = render(tmp_path / "one", clips_per_class=counts, size=16, frames=(2, 4))
    two = render(tmp_path / "two", clips_per_class=counts, size=16, frames=(2, 4), workers=2)
    assert pixel_hash(one) == pixel_hash(two)
    assert one.digest() == two.digest()


def test_another_seed_gives_other_pixels(rendered: Manifest, tmp_path: Path):
    assert pixel_hash(render(tmp_path, seed=1)) != pixel_hash(rendered)


def test_no_two_scenes_of_the_set_are_alike(rendered: Manifest):
    first = [decode(rendered.path(row)).tobytes() for row in range(len(rendered))]
    assert len(set(first)) == len(rendered)


def test_validation_is_no_part_of_training_whatever_the_counts(rendered: Manifest, tmp_path: Path):
    more = render(tmp_path, clips_per_class=(1, 2))
    old, new = (m.root / "videos" / "closing" / "val_0000.mp4" for m in (rendered, more))
    np.testing.assert_array_equal(decode(old), decode(new))


@pytest.mark.parametrize("name", SCENES)
def test_something_moves_in_every_scene(name: str):
    frames = draw_scene(name, np.random.default_rng(3), num_frames=9, size=32).astype(float)
    ends = np.abs(frames[0] - frames[-1]).mean()
    steps = np.abs(frames[1:] - frames[:-1]).mean()
    assert ends > steps > 0


def bright_path(name: str, seed: int) -> np.ndarray:
    """Where the actor, which is lighter than the rest, is in each frame: (x, y) [t 2]."""
    frames = draw_scene(name, np.random.default_rng(seed), num_frames=12, size=48)
    bright = (frames.astype(float).mean(3) > 150) * 1.0
    area = bright.sum((1, 2))
    return np.stack([bright.sum(axis) @ np.arange(48) / area for axis in (1, 2)], axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_names_say_what_happens_on_the_screen(seed: int):
    right, up, turn = (bright_path(name, seed) for name in ("move", "rise", "turn"))
    assert right[-1, 0] - right[0, 0] > 5
    assert up[-1, 1] - up[0, 1] < -5  # y points down
    x, y = (turn - turn.mean(0)).T
    assert (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0  # clockwise, because y points down


def test_the_ceiling_of_the_set_is_half():
    assert appearance_ceiling(REVERSALS, CLASSES) == 50.0


def test_a_class_without_a_reverse_can_be_known_by_its_look():
    assert appearance_ceiling([], CLASSES) == 100.0
    assert appearance_ceiling([(0, 1)], ["a", "b", "c", "d"]) == 75.0


def test_classes_that_look_alike_by_way_of_a_third_count_once():
    assert appearance_ceiling([(0, 1), (1, 2)], ["a", "b", "c", "d"]) == 50.0


def test_progress_is_told_to_the_end(tmp_path: Path):
    told: list[tuple[int, int]] = []
    render(tmp_path, clips_per_class=(1, 1), progress=lambda *at: told.append(at))
    assert told == [(done, 20) for done in range(2, 21, 2)]


def test_lengths_of_which_none_is_usable_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"frames is \(16, 16\), expected"):
        render_dataset(tmp_path, frames=(16, 16))


def test_an_odd_size_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="size is 33, expected an even number"):
        render_dataset(tmp_path, size=33)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match=r"cannot write videos below .*file.* free space"):
        render_dataset(tmp_path / "file", clips_per_class=(1, 1))
