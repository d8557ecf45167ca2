"""Which tool wrote a file, and the frames that its clips come to."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from marey.data.lists.exports.tools import TOOLS, tool_of
from marey.data.lists.lists import read_listing
from marey.data.lists.rejects import Faults
from marey.data.lists.text_file import read_text
from marey.data.own_videos.init import init_dataset
from marey.data.packs.clips import open_clip
from marey.errors import MareyError
from tests.video.media import numbered, write_video

TIMELINE = {"ranges": [{"start": 6, "end": 10}], "timelinelabels": ["jump"]}
EXPORTS = {
    "ls.json": json.dumps(
        [
            {
                "id": 1,
                "data": {"video": "/data/upload/1/1a2b3c4d-p1.mp4"},
                "annotations": [
                    {"result": [{"type": "timelinelabels", "from_name": "t", "value": TIMELINE}]}
                ],
            }
        ]
    ),
    "ls.csv": "video,id,choice,annotation_id,lead_time\n"
    "/data/upload/1/1a2b3c4d-p1.mp4,1,jump,5,1\n",
    "cvat.xml": "<annotations><meta><task><id>1</id><source>p1.mp4</source></task></meta>"
    '<track label="jump"><box frame="5" outside="0"/><box frame="10" outside="1"/></track>'
    "</annotations>",
    "via.csv": "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"
    'spatial_coordinates,metadata\na,"[""p1.mp4""]",0,"[0.5,1]",[],"{""A"":""jump""}"\n',
    "via.json": json.dumps(
        {
            "project": {"vid_list": ["1"]},
            "attribute": {},
            "file": {"1": {"fname": "p1.mp4"}},
            "metadata": {"1_a": {"vid": "1", "z": [0.5, 1], "xy": [], "av": {"A": "jump"}}},
            "view": {"1": {"fid_list": ["1"]}},
        }
    ),
    "boris.tsv": "Media file\tBehavior\tStart (s)\tStop (s)\np1.mp4\tjump\t0.5\t1\n",
    "elan.eaf": '<ANNOTATION_DOCUMENT><HEADER><MEDIA_DESCRIPTOR MEDIA_URL="p1.mp4"/></HEADER>'
    '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="2"'
    ' TIME_VALUE="1000"/></TIME_ORDER><TIER TIER_ID="T"><ANNOTATION><ALIGNABLE_ANNOTATION'
    ' TIME_SLOT_REF1="1" TIME_SLOT_REF2="2"><ANNOTATION_VALUE>jump</ANNOTATION_VALUE>'
    "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>",
    "p1.txt": "Begin Time - ss.msec\tEnd Time - ss.msec\tT\n0.5\t1\tjump\n",
    "lines.jsonl": '{"video": "p1.mp4", "label": "jump", "start": 0.5, "end": "00:01"}\n',
    "ml.json": '[{"video": "p1.mp4", "label": "jump", "start": 0.5, "end": "00:01"}]',
}
"""Of each kind one, of frames 5 to 9 of ten a second; a choice is of all twelve."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    write_video(folder / "p1.mp4", numbered(12))
    for name, text in EXPORTS.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", EXPORTS)
def test_clips_have_the_frames_that_were_labelled(folder: Path, name: str, tmp_path: Path) -> None:
    clips = init_dataset(folder / name, tmp_path / "out", probe=False).manifest
    with open_clip(clips.clip(0)) as shots:
        wanted = range(12) if name == "ls.csv" else range(5, 10)
        assert shots.indices.tolist() == [*wanted]
    assert clips.classes == {"label": ("jump",)}


def test_every_tool_is_told_by_its_file_and_by_no_other(folder: Path) -> None:
    order = [*("Label Studio",) * 2, "CVAT", *("VGG Video Annotator",) * 2, "BORIS", "ELAN", "ELAN"]
    assert [tool.name for tool in TOOLS] == [*order, "Create ML", "JSON lines"]
    for name in EXPORTS:
        file = read_text(folder / name, Faults())
        fitting = [
            tool for tool in TOOLS if file.path.suffix in tool.suffixes and tool.recognises(file)
        ]
        assert len(fitting) == 1
        assert tool_of(file) == fitting[0]


@pytest.mark.parametrize("name", EXPORTS)
def test_no_damage_is_more_than_an_error_of_ours(tmp_path: Path, name: str) -> None:
    rng, text, path = random.Random(0), EXPORTS[name], tmp_path / name
    words = ['"', "'", "{", "}", "[", "]", ",", "<", ">", "\t", "null", "1e999", "-1", "&x;", "|"]
    for _ in range(60):
        start = rng.randrange(len(text))
        stop = start + rng.choice([0, 1, 5, len(text)])
        damaged = text[:start] + rng.choice(words) + text[stop:]
        path.write_bytes(damaged.encode() if rng.random() < 0.9 else damaged.encode("utf-16"))
        with suppress(MareyError):
            assert len(read_listing(path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "jump/1.mp4 0\nrun/2.mp4 1\n"),
        ("table.csv", "video,label,start,end\na.mp4,jump,0,1\n"),
        ("ss.json", '[{"id": "1", "template": "Holding [something]"}]'),
        ("coco.json", '{"annotations": [], "images": []}'),
        ("empty.json", ""),
        ("deep.json", "[" * 100_000),
        ("empty.csv", ""),
        ("tabs.tsv", "path\tlabel\na.mp4\tjump\n"),
        ("paths.txt", "a b\tc d\t0\n"),
    ],
)
def test_other_lists_are_no_exports(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert tool_of(read_text(tmp_path / name, Faults())) is None
