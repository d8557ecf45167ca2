"""ELAN's own files: milliseconds between slots, tiers that depend on others, offsets of media."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.errors import ManifestError
from tests.data.lists.exports.exported import clips, read

MEDIA = (
    '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/x/p1.mp4" MIME_TYPE="video/mp4"'
    ' RELATIVE_MEDIA_URL="./p1.mp4"{}/>'
)
SOUND = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/x/p1.wav" MIME_TYPE="audio/x-wav"/>'


def document(*tiers: str, media: str = MEDIA.format(""), units: str = "milliseconds") -> str:
    times = {"t1": "1000", "t2": "2500", "t3": "4000", "t4": ""}
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{slot}"' + (f' TIME_VALUE="{time}"/>' if time else "/>")
        for slot, time in times.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT FORMAT="3.0" VERSION="3.0">\n'
        f'<HEADER MEDIA_FILE="" TIME_UNITS="{units}">{media}{SOUND}</HEADER>\n'
        f"<TIME_ORDER>{slots}</TIME_ORDER>\n{''.join(tiers)}</ANNOTATION_DOCUMENT>"
    )


def tier(name: str, *annotations: str) -> str:
    inside = "".join(f"<ANNOTATION>{each}</ANNOTATION>\n" for each in annotations)
    return f'<TIER LINGUISTIC_TYPE_REF="l" TIER_ID="{name}">\n{inside}</TIER>\n'


def between(one: str, other: str, text: str, number: str = "a1") -> str:
    slots = f'TIME_SLOT_REF1="{one}" TIME_SLOT_REF2="{other}"'
    value = f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE>"
    return f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{number}" {slots}>{value}</ALIGNABLE_ANNOTATION>'


def of(parent: str, text: str, number: str) -> str:
    value = f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE>"
    ids = f'ANNOTATION_ID="{number}" ANNOTATION_REF="{parent}"'
    return f"<REF_ANNOTATION {ids}>{value}</REF_ANNOTATION>"


ACTION = tier("Action", between("t1", "t2", "jump"), between("t2", "t3", "run &amp; go", "a2"))


def test_annotations_are_seconds_of_the_video(tmp_path: Path) -> None:
    listing = read(tmp_path / "e.eaf", document(ACTION, tier("empty")))
    assert clips(listing) == [("p1.mp4", "jump", 1, 2.5), ("p1.mp4", "run & go", 2.5, 4)]
    assert listing.format == "ELAN 3.0, spans in seconds, 2 rows"
    assert listing.used == {"path": "p1.mp4", "label": "Action"}


def test_a_video_that_begins_earlier_is_that_much_further_on(tmp_path: Path) -> None:
    media = MEDIA.format(' TIME_ORIGIN="1200"')
    listing = read(tmp_path / "e.eaf", document(ACTION, media=media))
    assert clips(listing)[0] == ("p1.mp4", "jump", 2.2, 3.7)
    assert listing.notes == ["times are moved by 1.2 s, the offset of p1.mp4"]


def test_an_annotation_of_another_has_its_times(tmp_path: Path) -> None:
    kind = tier("Kind", of("a1", "high", "b1"), of("a2", "", "b2"))
    text = document(ACTION, kind, tier("Why", of("b1", "fun", "c1")))
    with pytest.raises(ManifestError, match=r"tiers .*: `Action` \(2\), `Kind` \(1\), `Why` \(1\)"):
        read(tmp_path / "e.eaf", text)
    listing = read(tmp_path / "e.eaf", text, "label=Kind")
    assert clips(listing) == [("p1.mp4", "high", 1, 2.5)]
    assert listing.notes == ["passed over 1 annotations without text"]
    assert clips(read(tmp_path / "e.eaf", text, "label=Why")) == [("p1.mp4", "fun", 1, 2.5)]


def test_of_several_videos_one_is_asked(tmp_path: Path) -> None:
    media = MEDIA.format("") + MEDIA.format("").replace("p1", "side")
    with pytest.raises(ManifestError, match=r"--columns path=p1.mp4 or path=side.mp4"):
        read(tmp_path / "e.eaf", document(ACTION, media=media))
    listing = read(tmp_path / "e.eaf", document(ACTION, media=media), "path=side.mp4")
    assert clips(listing)[0] == ("side.mp4", "jump", 1, 2.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document(tier("A", between("t1", "t4", "jump"))), r"e.eaf:6: no time: 'jump'"),
        (
            document(tier("A", between("t2", "t1", "jump"))),
            r"e.eaf:6: an annotation that ends before",
        ),
        (
            document(tier("A", of("x9", "jump", "b1"))),
            "annotation of another that is not there: 'x9'",
        ),
        (
            document(
                tier("A", of("a1", "x", "b1"), of("a1", "y", "b2")), ACTION.replace("Action", "B")
            ),
            r"one of several parts of another annotation",
        ),
        (document(tier("A", of("b1", "x", "b1"))), "annotation of another that is not there"),
        (document(ACTION, units="NTSC-frames"), "e.eaf:3: times in NTSC-frames"),
        (document(ACTION, media=""), "no videos that could be the paths"),
        (document(ACTION, media=MEDIA.format(' TIME_ORIGIN="x"')), "TIME_ORIGIN is 'x', no number"),
        (document(ACTION)[:700], "e.eaf:[0-9]+: not XML"),
        (document(tier("A", between("t1", "t2", " "))), "no tiers that could be the labels"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: str, message: str) -> None:
    wanted = "label=A" if "B" in text.partition('TIER_ID="')[2] else None
    with pytest.raises(ManifestError, match=message):
        read(tmp_path / "e.eaf", text, wanted)
