"""Lists for other toolboxes, read by the rules of their loaders, and by our own readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.datasets.catalog import find_dataset
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.init import init_dataset
from marey.data.packs.forms import FrameFolders, Mp4Files
from marey.data.packs.listed_clips import ListedClip, ListedClips
from marey.data.packs.pack_clips import pack_clips
from marey.data.packs.toolbox_lists import ListWish, refuse_unlistable, write_toolbox_lists
from marey.data.packs.toolboxes import TOOLBOXES
from marey.data.prepare.find_forms import read_annotations
from marey.errors import ManifestError
from marey.jobs.executors import Here
from marey.video.reading.pixels import ShortSide
from tests.video.media import numbered, write_folder, write_video

TEMPLATE = "{:05d}.jpg"
CLASSES = ("hop", "run")
ROWS = [("run/1", 1, "train", 4), ("hop/2", 0, "train", 3), ("hop/3", 0, "val", 5)]
ROWS += [("run/4", 1, "test", 6)]
"""Path, label, split, frames."""


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a packing, with the lists for all toolboxes."""
    root, out = tmp_path_factory.mktemp("videos"), tmp_path_factory.mktemp("out") / "x"
    lines = ["path,label,split", *(f"{path},{label},{split}" for path, label, split, _ in ROWS)]
    for path, _, _, frames in ROWS:
        write_folder(root / path, numbered(frames))
    (root / "manifest.csv").write_text("\n".join(lines))
    (root / "labels.txt").write_text("hop\nrun\n")
    made = pack_clips(
        read_manifest(root / "manifest.csv"),
        out,
        FrameFolders(TEMPLATE, ShortSide(32)),
        executor=Here(),
    )
    assert made is not None
    wish = ListWish(toolboxes=[*TOOLBOXES], template=TEMPLATE)
    write_toolbox_lists(made.manifest, wish, labelled=True)
    return out


def expected(split: str) -> list[tuple[str, int, int]]:
    """Name, frames and label of the clips of a split."""
    return [(path, frames, label) for path, label, part, frames in ROWS if part == split]


def lines(path: Path) -> list[str]:
    assert path.read_bytes().endswith(b"\n")
    return path.read_text(encoding="utf-8").splitlines()


def check_frames(folder: Path, count: int) -> None:
    """Whether a loader that opens the frames 1 to `count` finds them, and there is none after."""
    assert [(folder / f"{n:05d}.jpg").is_file() for n in range(1, count + 2)] == [True] * count + [
        False
    ]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_tsm_finds_folder_count_and_label_at_spaces(extracted: Path, split: str) -> None:
    rows = [line.strip().split(" ") for line in lines(extracted / f"{split}_videofolder.txt")]
    assert [(row[0], int(row[1]), int(row[2])) for row in rows] == [
        (f"frames/{path}", frames, label) for path, frames, label in expected(split)
    ]
    for path, count, _ in rows:
        check_frames(extracted / path, int(count))
    assert lines(extracted / "category.txt") == [*CLASSES]


@pytest.mark.parametrize(
    ("split", "name"), [("train", "training"), ("val", "validation"), ("test", "testing")]
)
def test_blvnet_opens_frames_1_to_the_last_without_a_root(
    extracted: Path, split: str, name: str
) -> None:
    rows = [line.strip().split(" ") for line in lines(extracted / f"{name}_256.txt")]
    found = [(row[0], int(row[2]) - int(row[1]) + 1, float(row[3])) for row in rows]
    assert found == [
        (f"{extracted}/frames/{p}", n, float(label)) for p, n, label in expected(split)
    ]
    for path, first, last, _ in rows:
        assert first == "1"
        check_frames(Path(path), int(last))


def test_mmaction2_finds_its_lists_of_frames(extracted: Path) -> None:
    rows = [line.strip().split() for line in lines(extracted / "train_list_rawframes.txt")]
    assert rows == [["frames/run/1", "4", "1"], ["frames/hop/2", "3", "0"]]
    assert lines(extracted / "label_map.txt") == [*CLASSES]


def load_image_lists(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Video -> path and labels of its frames, as PySlowFast's loader splits the lines."""
    head, *rows = lines(path)
    assert head.startswith("original_vido_id")
    videos: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        name, _, _, frame, labels = row.split()
        videos.setdefault(name, []).append((frame, labels.replace('"', "")))
    return videos


def test_slowfast_finds_each_frame_and_the_json_of_something_something(extracted: Path) -> None:
    for split, named in (("train", "train"), ("val", "validation")):
        videos = load_image_lists(extracted / f"{split}.csv")
        entries = json.loads((extracted / f"something-something-v2-{named}.json").read_bytes())
        classes = json.loads((extracted / "something-something-v2-labels.json").read_bytes())
        labels = [int(classes[e["template"].replace("[", "").replace("]", "")]) for e in entries]
        assert [entry["id"] for entry in entries] == [*videos]  # as its loader asserts of lengths
        assert [
            (name, len(frames), label)
            for (name, frames), label in zip(videos.items(), labels, strict=True)
        ] == expected(split)
        for frames, label in zip(videos.values(), labels, strict=True):
            assert all((extracted / frame).is_file() for frame, _ in frames)
            assert {text for _, text in frames} == {str(label)}
    assert not (extracted / "something-something-v2-test.json").exists()


@pytest.mark.parametrize(
    "name", ["train_videofolder.txt", "training_256.txt", "train_list_rawframes.txt", "train.csv"]
)
def test_our_own_reader_finds_the_same_clips(extracted: Path, tmp_path: Path, name: str) -> None:
    made = init_dataset(extracted / name, tmp_path / "m", probe=False).manifest
    again = [
        (Path(path).parts[-2:], made.labels["label"][n]) for n, path in enumerate(made.texts())
    ]
    assert again == [(tuple(path.split("/")), label) for path, _, label in expected("train")]
    assert made.classes["label"] == CLASSES
    counts = made.frame_counts if made.ends is None else made.ends
    assert counts is not None
    assert counts.tolist() == [4, 3]


def test_prepare_reads_lists_of_clips_that_are_called_by_numbers(tmp_path: Path) -> None:
    names = [f"Doing {number:03d} things" for number in range(174)]
    clips = ListedClips(
        folder=tmp_path,
        splits={"train": [ListedClip(path="frames/78", num_frames=9, labels=(5,))]},
        classes=tuple(names),
        template=TEMPLATE,
    )
    for toolbox in ("tsm", "slowfast"):
        folder = tmp_path / toolbox
        folder.mkdir()
        for name, text in TOOLBOXES[toolbox](clips).files.items():
            (folder / name).write_text("".join(f"{line}\n" for line in text))
        index, files, _ = read_annotations(find_dataset("ssv2"), folder)
        assert [(clip.name, dict(clip.labels)) for clip in index.clips] == [("78", {"label": 5})]
        assert not files.rejects


# --- what a toolbox cannot read ------------------------------------------------------------------


def clips_of(
    *paths: str, labels: Sequence[tuple[int, ...]] = ((0,), (1,)), template: str = TEMPLATE
) -> ListedClips:
    listed = [
        ListedClip(path=path, num_frames=2, labels=label)
        for path, label in zip(paths, labels, strict=True)
    ]
    classes = CLASSES if any(labels) else ()
    split = "train" if classes else "test"
    return ListedClips(
        folder=Path("/d"), splits={split: listed}, classes=classes, template=template
    )


def text(toolbox: str, clips: ListedClips) -> dict[str, list[str]]:
    return {name: [*rows] for name, rows in TOOLBOXES[toolbox](clips).files.items()}


@pytest.mark.parametrize("toolbox", ["tsm", "mmaction2", "slowfast"])
@pytest.mark.parametrize("space", [" ", "\u00a0", "\u3000"])
def test_spaces_are_refused_where_lines_are_split_at_them(toolbox: str, space: str) -> None:
    with pytest.raises(ManifestError, match=f"{toolbox} splits lines at spaces, and ") as refused:
        TOOLBOXES[toolbox](clips_of("frames/a", f"frames/a{space}b"))
    assert "--no-spaces" in str(refused.value.hint)


def test_blvnet_splits_at_semicolons_where_paths_have_spaces() -> None:
    lists = text("blvnet", clips_of("frames/a b", "frames/c"))
    assert lists == {"train_400_331.txt": ["/d/frames/a b;1;2;0", "/d/frames/c;1;2;1"]}
    with pytest.raises(ManifestError, match="splits lines at spaces or at `;`, and paths"):
        text("blvnet", clips_of("frames/a b", "frames/c;d"))
    with pytest.raises(ManifestError, match=r"opens frames named \{:05d\}.jpg alone"):
        text("blvnet", clips_of("frames/a", "frames/b", template="img_{:05d}.jpg"))


def test_clips_of_several_labels_are_listed_where_they_can_be_read() -> None:
    clips = clips_of("frames/a", "frames/b", labels=[(1,), (0, 1)])
    assert text("blvnet", clips) == {  # its loader looks at the first line
        "training_256.txt": ["/d/frames/b 1 2 0 1", "/d/frames/a 1 2 1"]
    }
    rows = text("mmaction2", clips)["train_list_rawframes.txt"]
    assert rows == ["frames/a 2 1", "frames/b 2 0 1"]
    assert "multi_class is True" in TOOLBOXES["mmaction2"](clips).settings
    assert [*text("slowfast", clips)] == ["train.csv"]
    assert text("slowfast", clips)["train.csv"][3] == 'b 1 0 frames/b/00001.jpg "0,1"'
    with pytest.raises(ManifestError, match="tsm reads one label a clip, and clips have several"):
        text("tsm", clips)


def test_clips_without_published_labels_have_none_where_that_can_be_read() -> None:
    clips = clips_of("frames/a", "frames/b", labels=[(), ()])
    assert text("blvnet", clips) == {"testing_256.txt": ["/d/frames/a 1 2", "/d/frames/b 1 2"]}
    assert text("tsm", clips) == {"test_videofolder.txt": ["frames/a 2 0", "frames/b 2 0"]}
    assert "0 stands in their place" in TOOLBOXES["tsm"](clips).settings
    assert text("slowfast", clips)["test.csv"][1] == 'a 0 0 frames/a/00001.jpg ""'


def test_videos_have_lists_of_their_own(tmp_path: Path) -> None:
    clips = clips_of("clips/a.mp4", "clips/b.mp4", template="")
    assert text("mmaction2", clips) == {
        "train_list_videos.txt": ["clips/a.mp4 0", "clips/b.mp4 1"],
        "label_map.txt": [*CLASSES],
    }
    assert text("slowfast", clips) == {"train.csv": ["clips/a.mp4 0", "clips/b.mp4 1"]}
    spaced = clips_of("clips/a b.mp4", "clips/c.mp4", template="")
    assert text("slowfast", spaced) == {"train.csv": ["clips/a b.mp4,0", "clips/c.mp4,1"]}
    assert TOOLBOXES["slowfast"](spaced).settings.endswith("DATA.PATH_LABEL_SEPARATOR ,")
    with pytest.raises(ManifestError, match="tsm reads folders of frames"):
        text("tsm", clips)
    with pytest.raises(ManifestError, match="slowfast splits lines at one sign, and 'clips/c,d"):
        text("slowfast", clips_of("clips/a b.mp4", "clips/c,d.mp4", template=""))


def test_class_names_that_are_one_without_brackets_are_refused() -> None:
    listed = [ListedClip(path="frames/a", num_frames=1, labels=(0,))]
    clips = ListedClips(
        folder=Path("/d"), splits={"train": listed}, classes=("a [b]", "a b"), template=TEMPLATE
    )
    with pytest.raises(ManifestError, match="leaves the brackets of class names away, and two"):
        text("slowfast", clips)


def test_what_lists_cannot_say_is_refused_before_a_frame_is_written(tmp_path: Path) -> None:
    def refuse(table: str, **options: object) -> None:
        path = tmp_path / "manifest.csv"
        path.write_text(table)
        heads = {} if "label" not in table and "verb" not in table else None
        manifest = read_manifest(path, heads=heads)
        wish = ListWish(toolboxes=["tsm"], template=TEMPLATE, **options)  # type: ignore[arg-type]
        refuse_unlistable(manifest, tmp_path / "out", wish, spaces=True)

    with pytest.raises(ManifestError, match="has no column `split`, by which lists are named"):
        refuse("path,label\na,0\n")
    with pytest.raises(ManifestError, match="has no labels, and clips of split val"):
        refuse("path,split\na,val\n")
    refuse("path,split\na,test\n")
    for head in ("verb", "noun"):
        (tmp_path / f"labels.{head}.txt").write_text("x\ny\n")
    table = "path,split,verb,noun\na,val,0,0\n"
    with pytest.raises(ManifestError, match="has the heads verb, noun; lists have labels of one"):
        refuse(table)
    with pytest.raises(ManifestError, match="has no head 'action'"):
        refuse(table, head="action")
    refuse(table, head="noun")
    with pytest.raises(ManifestError, match="lists for 'tsn' are not known"):
        ListWish(toolboxes=["tsn"])


def test_the_command_writes_lists_for_the_toolboxes_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marey.jobs.executors.Processes", lambda _: Here())
    for name in ("a b/1", "c/2"):
        write_folder(tmp_path / name, numbered(2))
    (tmp_path / "manifest.csv").write_text("path,label,split\na b/1,0,train\nc/2,0,train\n")
    out = tmp_path / "out"

    def extract(*words: str) -> str:
        command = ["data", "extract", str(tmp_path / "manifest.csv"), str(out)]
        ran = CliRunner().invoke(app, [*command, "--workers", "1", "--size", "32", *words])
        return ran.output if not ran.exception else f"{ran.exception}"

    assert "splits lines at spaces" in extract("--lists", "blvnet,tsm")
    assert not out.exists()
    said = extract("--lists", "blvnet, mmaction2", "--lists", "tsm", "--no-spaces")
    assert "lists for tsm: train_videofolder.txt" in said
    assert (out / "frames/a_b/1/00001.jpg").is_file()
    assert (out / "train_videofolder.txt").read_text() == "frames/a_b/1 2 0\nframes/c/2 2 0\n"
    packed = CliRunner().invoke(
        app, ["data", "pack", str(tmp_path / "manifest.csv"), str(out), "--lists", "tsm"]
    )
    assert "packs of JPEG are read by marey alone" in str(packed.exception)


def test_videos_are_listed_as_they_are_packed(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(3))
    (tmp_path / "manifest.csv").write_text("path,label,split\na.mp4,0,train\n")
    manifest = read_manifest(tmp_path / "manifest.csv")
    made = pack_clips(manifest, tmp_path / "out", Mp4Files(ShortSide(32)), executor=Here())
    assert made is not None
    write_toolbox_lists(made.manifest, ListWish(toolboxes=["mmaction2"]), labelled=True)
    assert lines(tmp_path / "out/train_list_videos.txt") == ["clips/a.mp4 0"]
