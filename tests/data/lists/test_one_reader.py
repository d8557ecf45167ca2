"""`marey data init` and `marey data prepare` read a line the same way, and stop or go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.data.datasets.catalog import find_dataset
from marey.data.lists.listing import ListRow
from marey.data.lists.lists import read_listing
from marey.data.lists.plain_lists import RULSTM, ListFormat, read_plain
from marey.data.lists.rejects import FatalFaults, Faults, SourceLine
from marey.data.lists.text_file import read_text
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.init import init_dataset
from marey.data.prepare.prepare import MediaFolder, prepare
from marey.errors import ManifestError

CLASSES = [f"act {number:03}." for number in range(400)]
NUMBERS = {
    "path label": st.just([]),
    "path num_frames label": st.integers(400, 900).map(lambda n: [n]),  # else maybe a span
    "path start end label": st.tuples(st.integers(1, 50), st.integers(0, 50)).map(
        lambda span: [span[0], sum(span)]
    ),
}
NAMES = st.sampled_from(["a", "b/c", "take 2x", "my  clips/x", "2", "d/30"])


@st.composite
def lists(draw: st.DrawFn) -> list[list[object]]:
    """Lines of one format, cell by cell, each of a clip of its own."""
    numbers = NUMBERS[draw(st.sampled_from(list(NUMBERS)))]
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    return [[name, *draw(numbers), draw(st.integers(0, 399))] for name in names]


def columns(manifest: Manifest) -> list[tuple[object, ...]]:
    """What a manifest says of every clip."""
    return [
        (
            manifest.path(row).name,
            manifest.classes["label"][manifest.labels["label"][row]],
            manifest.span(row),
            manifest.num_frames(row),
        )
        for row in range(len(manifest))
    ]


@settings(deadline=None, max_examples=60)
@given(cells=lists(), separator=st.sampled_from([" ", ",", ";", "\t"]))
def test_both_commands_make_the_same_manifest_of_a_list(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[object]], separator: str
) -> None:
    root = tmp_path_factory.mktemp("lists")
    for name, *_ in cells:
        (root / f"{name}.mp4").parent.mkdir(exist_ok=True)
        (root / f"{name}.mp4").touch()
    lines = [separator.join(map(str, line)) for line in cells]
    (root / "train.txt").write_text("\n".join(lines) + "\n")
    (root / "label_map_k400.txt").write_text("\n".join(CLASSES))
    media = MediaFolder(root, probe=False)
    prepared = prepare(find_dataset("kinetics400"), media, root / "prepared").manifest
    assert prepared is not None
    inited = init_dataset(root / "train.txt", root / "inited", probe=False)
    rows = columns(read_manifest(prepared))
    assert rows == columns(inited.manifest)
    assert len(rows) == len(cells)


LINES = {
    "vid/a 1 100 3": ("path start end label", "vid/a", 0, 100, None),
    "vid/a 11 100 3": ("path start end label", "vid/a", 10, 100, None),
    "vid/a 100 3": ("path num_frames label", "vid/a", None, None, 100),
    "vid/a 3": ("path label", "vid/a", None, None, None),
}


@pytest.mark.parametrize("text", LINES)
def test_a_line_means_what_the_tools_that_write_it_mean(text: str, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(f"{text}\n")
    plain = read_plain(read_text(tmp_path / "train.txt", Faults()))
    (row,) = plain
    assert (plain.format.title, row.path, row.start, row.end, row.num_frames) == LINES[text]
    assert row.labels == {"label": "3"}
    assert str(plain.format) == f"`{plain.format.title}`, space-separated"
    assert read_listing(tmp_path / "train.txt").rows == [row]


DIRTY = st.lists(st.sampled_from(["", "Err:522,", "x", "a 1 b", "a 9 8 7 6", "\x00;"]), max_size=9)


def error_of(read: Callable[[], object]) -> str:
    """The message of the ManifestError that reading ends in, "" if it does not."""
    try:
        read()
    except ManifestError as error:
        return error.message
    return ""


@given(cells=lists(), separator=st.sampled_from([" ", ",", ";", "\t"]), dirty=DIRTY)
def test_what_one_policy_lists_the_other_stops_at(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[list[object]],
    separator: str,
    dirty: list[str],
) -> None:
    path = tmp_path_factory.getbasetemp() / "dirty.txt"
    path.write_text("\n".join([separator.join(map(str, line)) for line in cells] + dirty))
    faults, rows = Faults(), list[ListRow]()
    unreadable = error_of(lambda: rows.extend(read_plain(read_text(path, faults))))
    fatal = error_of(lambda: read_listing(path))
    if unreadable or not faults.rejects:
        assert fatal == unreadable
        assert fatal or read_listing(path).rows == rows
    else:
        first = [str(row.line) for row in faults.rejects[:5]]
        assert [line.split(": ")[0] for line in fatal.split("\n")[:5]][: len(first)] == first


def test_faults_are_listed_or_fatal_and_name_file_line_value_and_remedy(tmp_path: Path) -> None:
    line = SourceLine(tmp_path / "a.txt", 3)
    for faults in (Faults(), FatalFaults()):
        faults.settle()
        faults.add(line, "x y", "no label", "write `path label`")
        assert faults.rejects == [(line, "x y", "no label", "write `path label`")]
    Faults().settle()
    with pytest.raises(ManifestError, match=r"a\.txt:3: no label: 'x y'. hint: write `path label`"):
        faults.settle()


@pytest.mark.parametrize("dirty", [1, 2])
def test_a_few_dirty_lines_do_not_change_what_the_others_are_read_as(
    dirty: int, tmp_path: Path
) -> None:
    lines = [f"riding a bike/v {n} 3" for n in range(300)] + ["riding a bike/v 3"] * dirty
    (tmp_path / "train.txt").write_text("\n".join(lines))
    faults = Faults()
    plain = read_plain(read_text(tmp_path / "train.txt", faults))
    assert len(list(plain)) == 300
    assert plain.format == ListFormat("path num_frames label", " ", 2, plain_paths=False)
    assert [row.line.number for row in faults.rejects] == [301, 302][:dirty]


def test_a_cell_in_quotes_may_span_lines_and_a_quote_left_open_costs_its_own_line(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text('path,label,note\na,x,"two\nlines"\nb,y,"open\nc,z,-\n')
    faults = Faults()
    records = list(read_text(tmp_path / "a.csv", faults).records())
    assert [(line.number, cells) for line, cells in records[1:]] == [
        (2, ["a", "x", "two\nlines"]),
        (5, ["c", "z", "-"]),
    ]
    assert [row.line.number for row in faults.rejects] == [4]


def test_columns_without_a_name_and_empty_cells_at_the_ends_are_cells(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("\tpath\tlabel\tnote\n0\ta\tx\t\n1\tb\ty\t-\n")
    listing = read_listing(tmp_path / "a.tsv")
    assert [(row.path, row.labels["label"]) for row in listing.rows] == [("a", "x"), ("b", "y")]
    assert listing.columns == {"": ["0", "1"], "note": ["", "-"]}


def test_a_first_line_that_is_not_utf8_is_one_fault(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff 1\nb 2\n")
    with pytest.raises(ManifestError, match=r"a\.txt:1: bytes that are not UTF-8: .*1'\. hint"):
        read_listing(tmp_path / "a.txt")


def test_parts_of_rulstm_are_told_by_their_seven_cells(tmp_path: Path) -> None:
    good = "P01_01_0,P01_01,4,101,3,3,2413\n"
    (tmp_path / "train.csv").write_text(
        good * 3 + "b,P01_01,4,101,3,3,7|8\nc,P01_01,4,101,-3,3,7\n"
    )
    faults = Faults()
    plain = read_plain(read_text(tmp_path / "train.csv", faults))
    assert plain.format is RULSTM
    assert [row.path for row in plain] == ["P01_01"] * 3
    assert [(row.line.number, row.remedy) for row in faults.rejects] == [
        (4, "numbers are whole"),
        (5, "numbers are whole"),
    ]
    assert str(RULSTM) == "`uid,video,start,stop,verb,noun,action`, comma-separated"


def test_a_line_is_at_fault_once_however_many_readers_looked_at_it(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xe4\xe4\xf0\n\x00\xff\xf7\n")
    with pytest.raises(ManifestError) as caught:
        read_listing(path)
    assert [str(caught.value).count(f"list.csv:{line}:") for line in (1, 2)] == [1, 1]
