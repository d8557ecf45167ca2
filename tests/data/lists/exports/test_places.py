"""The files that exports mean, found by the longest end of their paths that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.errors import ManifestError
from tests.data.lists.exports.exported import clips, read


@pytest.mark.parametrize(
    ("text", "there", "found"),
    [
        ("/data/upload/1/1a2b3c4d-p1.mp4", ["p1.mp4"], "p1.mp4"),
        ("/data/upload/1/1a2b3c4d-p1.mp4", ["1a2b3c4d-p1.mp4", "p1.mp4"], "1a2b3c4d-p1.mp4"),
        (
            "/data/upload/1/1a2b3c4d-p1.mp4",
            ["upload/1/1a2b3c4d-p1.mp4"],
            "upload/1/1a2b3c4d-p1.mp4",
        ),
        ("/data/local-files/?d=day%201/p1.mp4", ["day 1/p1.mp4", "p1.mp4"], "day 1/p1.mp4"),
        ("s3://bucket/day1/p1.mp4", ["day1/p1.mp4"], "day1/p1.mp4"),
        ("https://x.org/a/p1.mp4?token=abc", ["p1.mp4"], "p1.mp4"),
        ("file:///C:/study/day%201/p1.mp4", ["day 1/p1.mp4"], "day 1/p1.mp4"),
        ("C:\\study\\p1.mp4", ["p1.mp4"], "p1.mp4"),
        ("../media/p1.mp4", ["media/p1.mp4"], "media/p1.mp4"),
        ("p1.mp4", ["p1.mp4"], "p1.mp4"),
        ("http://[bad/p1.mp4", [], "p1.mp4"),
        ("C:\\study\\p1.mp4", [], "study/p1.mp4"),
    ],
)
def test_a_file_is_found_by_the_end_of_its_path(
    tmp_path: Path, text: str, there: list[str], found: str
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listing = read(tmp_path / "e.json", [{"video": text, "label": "jump"}])
    assert clips(listing)[0][0] == found
    said = [note for note in listing.notes if "found by the end of the path" in note]
    assert bool(said) == bool(there and found != text)
    assert not any("token" in note for note in said)


def test_two_files_are_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "p1.mp4").touch()
    rows = [
        {"video": f"/data/upload/1/{digits}-p1.mp4", "label": "a"}
        for digits in ("1a2b3c4d", "5e6f7a8b")
    ]
    with pytest.raises(ManifestError, match="1a2b3c4d-p1.mp4' and .* both come to p1.mp4"):
        read(tmp_path / "e.json", rows)
