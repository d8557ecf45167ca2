"""CVAT: frames from 0 of tracks and tags, in XML that may define nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.errors import ManifestError
from tests.data.lists.exports.exported import clips, read

TASK = (
    "<task><id>{id}</id><name>t</name><mode>interpolation</mode><start_frame>0</start_frame>"
    "<frame_filter>{filter}</frame_filter><subset>{subset}</subset><source>{source}</source></task>"
)


def video(*elements: str, filter_: str = "", source: str = "p1.mp4", subset: str = "") -> str:
    task = TASK.format(id=3, filter=filter_, source=source, subset=subset)
    inside = "".join(elements)
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return f"{head}<annotations><version>1.1</version>\n<meta>{task}</meta>\n{inside}</annotations>"


def track(label: str, *frames: tuple[int, int], inside: str = "") -> str:
    box = '<box frame="{}" outside="{}" keyframe="1" xtl="1" ytl="1" xbr="2" ybr="2">{}</box>'
    boxes = "".join(box.format(frame, outside, inside) for frame, outside in frames)
    return f'<track id="0" label="{label}" source="manual">{boxes}</track>\n'


def tag(label: str, frame: int) -> str:
    return f'<tag label="{label}" frame="{frame}" source="manual"/>\n'


def test_a_track_is_a_clip_while_its_object_is_in_the_picture(tmp_path: Path) -> None:
    text = video(
        track("jump", (0, 0), (20, 0), (38, 1)),  # frames 0 to 37
        track("run", (60, 0), (61, 0), (70, 1), (100, 0), (149, 0)),  # twice, then to the end
    )
    listing = read(tmp_path / "c.xml", text)
    assert clips(listing) == [
        ("p1.mp4", "jump", 0, 38),
        ("p1.mp4", "run", 60, 70),
        ("p1.mp4", "run", 100, 150),
    ]
    assert listing.format == "CVAT for video 1.1, spans in frames (from 0), 3 rows"


def test_tags_of_frames_in_a_row_are_one_clip(tmp_path: Path) -> None:
    text = video(tag("jump", 5), tag("jump", 6), tag("run", 6), tag("jump", 7), tag("jump", 9))
    assert sorted(clips(read(tmp_path / "c.xml", text))) == [
        ("p1.mp4", "jump", 5, 8),
        ("p1.mp4", "jump", 9, 10),
        ("p1.mp4", "run", 6, 7),
    ]


def test_of_every_fifth_frame_each_stands_for_five(tmp_path: Path) -> None:
    text = video(tag("jump", 10), tag("jump", 15), track("x"), filter_="step=5", subset="Train")
    listing = read(tmp_path / "c.xml", text, "label=tag")
    assert clips(listing) == [("p1.mp4", "jump", 10, 20)]
    assert listing.columns == {"subset": ["Train"]}


def test_the_class_may_be_an_attribute_which_is_asked(tmp_path: Path) -> None:
    walk = '<attribute name="action">{}</attribute>'
    text = video(
        track("man", (0, 0), (5, 0), inside=walk.format("walk")).replace("</track>\n", "")
        + track("man", (6, 0), (9, 1), inside=walk.format("run")).partition('manual">')[2]
    )
    with pytest.raises(ManifestError, match=r"`track` \(3\), `action` \(3\)"):
        read(tmp_path / "c.xml", text)
    assert clips(read(tmp_path / "c.xml", text, "label=action")) == [
        ("p1.mp4", "walk", 0, 6),
        ("p1.mp4", "run", 6, 9),
    ]
    assert clips(read(tmp_path / "c.xml", text, "label=track")) == [("p1.mp4", "man", 0, 9)]


def image(name: str, *tags: str, number: int = 0, more: str = "") -> str:
    inside = "".join(f'<tag label="{label}" source="manual"></tag>' for label in tags)
    return f'<image id="{number}" name="{name}" width="9" height="9"{more}>{inside}</image>\n'


def test_images_of_a_video_are_its_frames_and_others_those_of_their_folder(tmp_path: Path) -> None:
    frames = [image(f"frame_{n:06d}", *(["jump"] if 30 <= n < 33 else [])) for n in range(29, 35)]
    listing = read(tmp_path / "c.xml", video(*frames))
    assert clips(listing) == [("p1.mp4", "jump", 30, 33)]
    assert "CVAT for images 1.1" in listing.format
    names = ["b/001.jpg", "a/005.jpg", "a/007.jpg", "a/006.jpg"]
    text = video(*(image(name, "run") for name in names), source="")
    assert clips(read(tmp_path / "c.xml", text)) == [("a", "run", 0, 3), ("b", "run", 0, 1)]


def test_tasks_of_a_project_are_told_apart(tmp_path: Path) -> None:
    tasks = "".join(TASK.format(id=n, filter="", source=f"p{n}.mp4", subset="") for n in (1, 2))
    meta = f"<meta><project><id>9</id><tasks>{tasks}</tasks></project></meta>"
    track_ = track("jump", (0, 0), (3, 1))
    of_second = track_.replace("<track", "<track task_id='2'")
    text = f"<annotations>{meta}{of_second}</annotations>"
    assert clips(read(tmp_path / "c.xml", text)) == [("p2.mp4", "jump", 0, 3)]
    with pytest.raises(ManifestError, match="c.xml:1: of 2 tasks, which one this is of"):
        read(tmp_path / "c.xml", f"<annotations>{meta}{track_}</annotations>")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (video(track("jump", (0, 0)), source=""), "c.xml:4: the file does not say which video"),
        (
            video(track("jump", (0, 0)).replace('"0"', '"x"')),
            "a box without the number of its frame",
        ),
        (video('<track label="a"><box'), "c.xml:4: not XML: not well-formed"),
        (video(), "no tracks, tags and attributes that could be the labels"),
        ("<VOC/>", "c.xml: VOC, which is no export that is known"),
        ("{}", "c.xml: no XML, which is no export that is known"),
        ("<annotations>" + "<a>" * 200, "100 elements inside each other"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read(tmp_path / "c.xml", text)


def test_entities_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    for entity in (f'<!ENTITY l0 "ha">{laughs}', f'<!ENTITY l9 SYSTEM "{tmp_path}/secret.txt">'):
        text = (
            f"<!DOCTYPE annotations [{entity}]><annotations><version>&l9;</version></annotations>"
        )
        with pytest.raises(ManifestError, match=r"c.xml:1: a document type"):
            read(tmp_path / "c.xml", text)
