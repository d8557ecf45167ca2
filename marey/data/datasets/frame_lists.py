"""Motionformer's lists of the frames of Something-Something V2, beside its json files.

    original_vido_id video_id frame_id path labels

Labels are empty. Its loader drops a clip of the json that no list has, without a word. What a list
counts is frames of folders, extracted at 30 a second, so no frames of a video.
"""

from __future__ import annotations

from marey.data.datasets.dataset import AnnotatedClip
from marey.data.lists.annotations import Annotations
from marey.data.lists.frame_lists import ListedVideo, is_frame_list, listed_videos
from marey.errors import counted

FRAME_LISTS = {"train frames": "train.csv", "val frames": "val.csv"}
"""Role -> name of the file."""


def in_frame_lists(files: Annotations, clips: list[AnnotatedClip]) -> list[AnnotatedClip]:
    """The clips, each with the folder of its frames where a list is there that has it."""
    videos: dict[str, ListedVideo] = {}
    for role in FRAME_LISTS:
        if role in files and is_frame_list(file := files.open(role)):
            videos |= listed_videos(file)
    if not videos:
        return clips
    files.notes.append(
        "folders of frame lists are found too; PySlowFast extracts 30 frames a second, the column"
        " fps says 12"
    )
    absent = sum(clip.name not in videos for clip in clips)
    if absent:
        files.notes.append(
            f"{counted(absent, 'clip')} in no frame list: left out by Motionformer, kept here"
        )
    return [
        clip._replace(fields={**clip.fields, "frames": videos[clip.name].folder})
        if clip.name in videos
        else clip
        for clip in clips
    ]
