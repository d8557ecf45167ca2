"""VGG Video Annotator: seconds of segments, attributes by id with their options."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.errors import ManifestError
from tests.data.lists.exports.exported import clips, read

HEAD = """# Exported using VGG Video Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)
# - spatial_coordinates of [2,10,20,50,80] denotes a rectangle
{}# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata
"""
ATTRIBUTE = (
    '{"1":{"aname":"Action","anchor_id":"FILE1_Z2_XY0","type":4,"options":{"0":"jump","1":"run"}},'
    '"2":{"aname":"Mood","type":1,"options":{}}, "3":{"aname":"Parts","type":2,"options":'
    '{"0":"arm","1":"leg"}}}'
)


def row(times: str, values: str, files: str = '["p1.mp4"]', place: str = "[]") -> str:
    cells = [files, "0", times, place, values]
    return ",".join(['"1_AbC"', *('"' + cell.replace('"', '""') + '"' for cell in cells)]) + "\n"


def table(*rows: str, attribute: str = ATTRIBUTE) -> str:
    return HEAD.format(f"# ATTRIBUTE = {attribute}\n" if attribute else "") + "".join(rows)


def test_segments_are_seconds_and_values_the_options_of_their_attribute(tmp_path: Path) -> None:
    text = table(row("[0.5,2.25]", '{"1":"0"}'), row("[3,4]", '{"1":"1"}'), row("[]", '{"1":"1"}'))
    listing = read(tmp_path / "via.csv", text)
    assert clips(listing) == [
        ("p1.mp4", "jump", 0.5, 2.25),
        ("p1.mp4", "run", 3, 4),
        ("p1.mp4", "run", None, None),
    ]
    assert listing.unit == "seconds"
    assert listing.used == {"label": "Action"}


def test_without_attributes_in_the_head_names_and_values_are_as_they_stand(tmp_path: Path) -> None:
    text = table(row("[0.5,2]", '{"TEMPORAL-SEGMENTS":"jump"}'), attribute="")
    assert clips(read(tmp_path / "via.csv", text)) == [("p1.mp4", "jump", 0.5, 2)]


def test_several_attributes_are_asked_and_several_options_are_several_classes(
    tmp_path: Path,
) -> None:
    text = table(row("[1,2]", '{"1":"0","3":"0,1","2":""}'), row("[2,3]", '{"1":"1"}'))
    with pytest.raises(ManifestError, match=r"`Action` \(2\), `Parts` \(1\)"):
        read(tmp_path / "via.csv", text)
    listing = read(tmp_path / "via.csv", text, "label=Parts")
    assert clips(listing) == [("p1.mp4", "arm|leg", 1, 2)]
    assert listing.notes == ["passed over 1 segments without Parts"]


def test_stills_and_regions_are_passed_over_and_counted(tmp_path: Path) -> None:
    others = row("[4.6]", '{"1":"0"}') + row("[1]", '{"1":"1"}', place="[2,1,1,9,9]")
    listing = read(tmp_path / "via.csv", table(row("[1,2]", '{"1":"0"}'), others))
    assert sorted(listing.notes) == [
        "passed over 1 regions of the picture",
        "passed over 1 still frames",
    ]


def test_a_project_says_the_same(tmp_path: Path) -> None:
    project = {
        "project": {"pid": "__VIA__", "data_format_version": "3.1.1", "vid_list": ["7"]},
        "attribute": {"1": {"aname": "Action", "type": 4, "options": {"0": "jump"}}},
        "file": {"3": {"fid": "3", "fname": "p1.mp4", "type": 4, "src": ""}},
        "metadata": {
            "7_a": {"vid": "7", "flg": 0, "z": [0.5, 2.25], "xy": [], "av": {"1": "0"}},
            "7_b": {"vid": "7", "flg": 0, "z": [1], "xy": [2, 1, 1, 5, 5], "av": {"1": "0"}},
        },
        "view": {"7": {"fid_list": ["3"]}},
    }
    listing = read(tmp_path / "via.json", project)
    assert clips(listing) == [("p1.mp4", "jump", 0.5, 2.25)]
    assert "VGG Video Annotator project 3.1.1, spans in seconds" in listing.format
    del project["view"]
    with pytest.raises(ManifestError, match=r"via.json: a project .* is damaged \('view'\)"):
        read(tmp_path / "via.json", project)


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (row("[2,1]", '{"1":"0"}'), r"via.csv:5: a segment that ends before it starts: '\[2, 1\]'"),
        (row("[2,", '{"1":"0"}'), r"via.csv:5: not JSON of a list"),
        (row("[1,2]", '{"1":"0"}', files='["a.mp4","b.mp4"]'), "a view of several files"),
        (row("[1,2]", '{"1":"0"}').replace(',"0",', ",", 1), "fields, the header has 6"),
        ("", "no attributes that could be the labels"),
    ],
)
def test_damage_is_named(tmp_path: Path, one: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read(tmp_path / "via.csv", table(one))
