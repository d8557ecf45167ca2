from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.data.own_videos.name_groups import groups_by_name

NAMES = {
    "UCF101": ["v_Run_g01_c01.avi", "v_Run_g01_c02.avi", "v_Run_g02_c01.avi", "v_Run_g02_c02.avi"],
    "Kinetics": ["a/-x_12_000010_000020.mp4", "a/-x_12_000030_000040.mp4", "a/-y_000000_000010"],
    "times": ["one_0.5_2.mp4", "one_2_7.5.mp4", "two_10_12.mp4", "two_12_13.mp4"],
    "parts": ["one-clip1.mp4", "one-clip2.mp4", "two-clip1.mp4", "three_clip_07.mp4"],
    "segments": ["one_seg001.mkv", "one_seg002.mkv", "two_seg001.mkv"],
    "HMDB51": [
        "movie_run_f_cm_np1_ba_med_0.avi",
        "movie_run_u_nm_np1_fr_goo_12.avi",
        "Other_run_h_nm_np2_le_bad_1.avi",
    ],
    "Moments": ["yt-9Z_8PqRsTuV_26.mp4", "yt-9Z_8PqRsTuV_31.mp4", "flickr-0-2_5.mp4"],
    "YouTube": ["9Z_8PqRsTuV_26.mp4", "9Z_8PqRsTuV_31.mp4", "-aB_8PqRsTu_5.mp4"],
    "NTU": ["S001C001P001R001A001_rgb.avi", "S002C003P001R002A002_rgb", "S001C001P002R001A001"],
    "KTH": ["person01_run_d1_uncomp.avi", "person01_hop_d2_uncomp", "person02_run_d1_uncomp"],
    "Toyota": ["Cook.Cut_p02_r00_v01_c03.mp4", "Cook.Cut_p02_r00_v02_c04", "Walk_p03_r00_v01_c03"],
    "MSR": ["a01_s01_e01_sdepth", "a02_s01_e02_sdepth", "a01_s02_e01_sdepth"],
    "own people": ["run_subject-3.mp4", "hop_subject-3.mp4", "run_subject-4.mp4"],
    "cameras": ["take1_front.mp4", "take1-side.mp4", "take2_front.mp4"],
    "numbered cameras": ["cam1_take7.mp4", "cam2_take7.mp4", "cam1_take8.mp4"],
    "mirrored": ["hop1.mp4", "hop1_flip.mp4", "hop2.mp4"],
    "flow beside": ["v1", "v1_flow", "v2"],
    "GoPro": ["GX010042.MP4", "GX020042.MP4", "GX010043.MP4"],
    "old GoPro": ["GOPR0042.MP4", "GP010042.MP4", "GOPR0043.MP4"],
    "folders": ["one/1.mp4", "one/2.mp4", "two/clip_1.mp4", "two/0002.mp4"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_clips_of_one_video_are_a_group(kind):
    groups = groups_by_name(NAMES[kind], ["run"] * len(NAMES[kind]))
    assert groups is not None
    assert groups.values[0] == groups.values[1] != groups.values[2]
    assert NAMES[kind][0] in groups.note
    assert "--group none" in groups.note


def test_a_movie_is_one_whatever_is_done_in_it():
    names = ["m_run_f_cm_np1_ba_med_0", "m_brush_hair_f_cm_np1_ba_med_1", "n_run_f_cm_np1_ba_med_0"]
    groups = groups_by_name(
        [*names, "o_run_f_nm_np1_ba_bad_3"], ["run", "brush_hair", "run", "run"]
    )
    assert groups is not None
    assert [*groups.values] == ["m", "m", "n", "o"]


def test_a_name_beside_the_class_is_a_group():
    pairs = [(f"{name}_{word}.avi", word) for word in ("run", "hop") for name in ("ed", "al", "bo")]
    groups = groups_by_name(*zip(*pairs, strict=True))
    assert groups is not None
    assert [*groups.values] == ["ed", "al", "bo"] * 2
    counted = [(f"{word}_{n}.avi", word) for word in ("run", "hop") for n in range(3)]
    assert groups_by_name(*zip(*counted, strict=True)) is None


NO_GROUPS = {
    "the class and a number": ["run_clip1", "run_clip2", "hop_clip1", "hop_clip2"],
    "the class and times": ["run_1_2", "run_3_4", "hop_1_2", "hop_3_4"],
    "the folder of the class": ["run/1", "run/2", "hop/1", "hop/2"],
    "dates": ["VID_20240101_101500", "VID_20240101_093000", "VID_20240102_08", "VID_20240102_09"],
    "subjects and takes": ["s_3_1", "s_3_2", "s_4_1", "s_4_9"],
    "parts": ["one_p1", "one_p2", "two_p1", "two_p2"],
    "a person a class": ["p01_1", "p01_2", "p02_1", "p02_2"],
    "phones": ["VID_20240101_101500", "PXL_20240101_101501", "DJI_0001", "IMG_0001"],
    "a clip a video": ["a_g01_c01", "b_g01_c01", "c_g01_c01", "d_g01_c01"],
    "numbers": ["IMG_0001", "IMG_0002", "IMG_0003", "IMG_0004"],
    "words": ["one", "two", "three", "four"],
    "a few that look so": ["one-clip1", "one-clip2", "two", "three"],
}


@pytest.mark.parametrize("kind", NO_GROUPS)
def test_names_that_only_look_so_are_no_groups(kind):
    assert groups_by_name(NO_GROUPS[kind], ["run", "run", "hop", "hop"]) is None


def test_a_folder_of_a_class_in_a_folder_of_a_split_is_no_video():
    splits, words, takes = ("train", "val"), ("run", "hop"), (1, 2)
    clips = [(f"{s}/{word}/{n}.mp4", word) for s in splits for word in words for n in takes]
    assert groups_by_name(*zip(*clips, strict=True)) is None


clips = st.tuples(st.integers(0, 5), st.integers(0, 40))


@given(
    st.lists(clips, min_size=1, max_size=40, unique=True), st.sampled_from(["c", "clip", "part"])
)
def test_clips_are_in_one_group_exactly_if_they_are_of_one_video(pairs, word):
    names = [f"video{video}x_{word}{part:02}.mp4" for video, part in pairs]
    groups = groups_by_name(names, ["run"] * len(names))
    num_videos = len({video for video, _ in pairs})
    if groups is None:
        assert num_videos in (1, len(pairs))
    else:
        assert (
            len(set(zip(groups.values, (video for video, _ in pairs), strict=True))) == num_videos
        )


def test_a_folder_of_a_split_is_no_video() -> None:
    paths = [f"{split}/{number}.mp4" for split in ("train", "validation") for number in range(4)]
    assert groups_by_name(paths, ["jump", "run"] * 4) is None
    paths = [f"in/{video}/{number}.mp4" for video in ("trainer", "b") for number in range(4)]
    assert groups_by_name(paths, ["jump", "run"] * 4) is not None
