from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner, Result

from marey.cli.app import app
from marey.engine.live.answer_table import AnswerTable
from marey.engine.live.captions import CaptionedVideo, captioned
from marey.engine.weights.trained import write_release
from marey.errors import DecodeError, MareyError, RunError
from marey.timelines.decisions import MeanOfLast
from tests.engine.live.test_recogniser import BOTH, LABELS, PAST, pictures, predictor
from tests.video.media import numbered, write_video


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Releases `past` and `both` of models without training, and videos a and b of 6 frames."""
    folder = tmp_path_factory.mktemp("stream")
    for name, ops in (("past", PAST), ("both", BOTH)):
        of = predictor(ops).trained
        recipe = replace(of.recipe, name=name, decision=MeanOfLast(3) if name == "past" else None)
        write_release(folder / name, recipe, of.model.state_dict(), {"label": LABELS}, "")
    for name in "ab":
        write_video(folder / f"{name}.mp4", numbered(6), fps=10)
    return folder


def run(made: Path, *words: str) -> Result:
    given = [str(made / word) if (made / word).exists() else word for word in words]
    return CliRunner().invoke(app, ["stream", *given], env={"COLUMNS": "200"})


def done(made: Path, *words: str) -> Result:
    result = run(made, *words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def test_answers_are_lines_of_json_and_a_summary_ends_them(made: Path) -> None:
    result = done(made, "past", "a.mp4", "b.mp4", "--as-fast-as-possible", "--json", "--top", "2")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    answers = [line for line in lines if "label" in line]
    assert sorted({line["source"] for line in answers}) == [
        str(made / "a.mp4"),
        str(made / "b.mp4"),
    ]
    assert [a["seconds"] for a in answers if a["source"].endswith("a.mp4")] == [
        *(0, 0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    assert all(len(line["top"]) == 2 and line["dropped"] == 0 for line in answers)
    of_a = [line for line in lines if line.get("source") == str(made / "a.mp4")]
    assert of_a[-1] == {"source": str(made / "a.mp4"), "said": "ended"}
    summary = lines[-1]["summary"]
    assert summary["by"] == "frame"
    assert [of["answered"] for of in summary["sources"]] == [6, 6]
    assert "sees each frame once, in 1 crop of 32 pixels" in result.stderr
    assert "decides by MeanOfLast(answers=3, " in result.stderr


def test_what_is_said_is_printed_when_it_changes_and_counted_at_the_end(made: Path) -> None:
    result = done(made, "past", "a.mp4", "--as-fast-as-possible", "--frames", "4")
    *said, last = result.stdout.splitlines()
    assert said
    assert all(" s  " in line and line.split("%  ")[1] in LABELS for line in said)
    assert "4 looked at, 4 answers, " in last
    assert "(half of them)" in last


def test_a_file_at_its_pace_drops_no_frame_unless_the_model_is_slow(made: Path) -> None:
    began = time.monotonic()
    result = done(made, "past", "a.mp4", "--json")
    assert time.monotonic() - began > 0.45
    [of] = json.loads(result.stdout.splitlines()[-1])["summary"]["sources"]
    assert of["looked_at"] + of["dropped"] == of["read"] == 6


def test_windows_are_those_that_are_asked_for(made: Path) -> None:
    words = ("both", "a.mp4", "--as-fast-as-possible", "--json")
    result = done(made, *words, "--window", "0.4", "--stride", "0.2")
    seconds = [line["seconds"] for line in map(json.loads, result.stdout.splitlines()[:2])]
    assert seconds == [0.2, 0.4]
    assert "sees the last 0.4 s every 0.2 s" in result.stderr
    assert "sees the last 2 s every 0.5 s" in done(made, *words).stderr


def test_frames_a_second_are_those_that_are_asked_for(made: Path) -> None:
    result = done(made, "past", "a.mp4", "--as-fast-as-possible", "--json", "--fps", "5")
    [of] = json.loads(result.stdout.splitlines()[-1])["summary"]["sources"]
    assert (of["looked_at"], of["passed_over"]) == (3, 3)


def test_a_table_has_a_row_for_each_answer(made: Path, tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    done(made, "past", "a.mp4", "--as-fast-as-possible", "--csv", str(table))
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [float(row["seconds"]) for row in rows] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert {row["label"] for row in rows} <= set(LABELS)
    again = run(made, "past", "a.mp4", "--csv", str(table))
    assert isinstance(again.exception, RunError)
    assert "answers.csv is there already" in str(again.exception)


def test_a_source_that_is_wrong_leaves_no_file(made: Path, tmp_path: Path) -> None:
    table, video = tmp_path / "answers.csv", tmp_path / "new" / "said.mp4"
    (tmp_path / "notes.mp4").write_text("no video")
    quick = ("--as-fast-as-possible", "--csv", str(table))
    for wrong in ("gone.mp4", str(tmp_path / "notes.mp4"), str(tmp_path / "away")):
        for words in ((wrong, "--out", str(video)), ("a.mp4", wrong)):
            error = run(made, "past", *words, *quick).exception
            assert isinstance(error, DecodeError), error
            assert [each.name for each in tmp_path.iterdir()] == ["notes.mp4"]
    done(made, "past", "a.mp4", "--out", str(video), *quick)
    assert len(table.read_text(encoding="utf-8").splitlines()) == 7
    with av.open(str(video)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 6


def test_a_video_has_what_is_said_burnt_in(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.mp4"
    done(made, "past", "a.mp4", "--as-fast-as-possible", "--out", str(out))
    with av.open(str(out)) as file:
        frames = list(file.decode(video=0))
        times = [float(frame.time or 0) for frame in frames]
        after = frames[0].to_ndarray(format="rgb24")
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5], abs=0.002)
    with av.open(str(made / "a.mp4")) as file:
        before = next(file.decode(video=0)).to_ndarray(format="rgb24")
    changed = abs(after.astype(int) - before).max(axis=(1, 2))
    assert changed[:20].max() < 60 < changed[-8:].max()
    result = run(made, "past", "a.mp4", "b.mp4", "--out", str(tmp_path / "two.mp4"))
    assert "--out is a video of one source, and there are 2" in result.output


def test_a_video_of_captions_is_whole_though_it_is_not_ended(tmp_path: Path) -> None:
    video = CaptionedVideo(tmp_path / "a.mkv")
    seconds = [0.0, 0.1, 50.0, 2.0, 2.1]  # it jumps back at the last but one
    sizes = [(48, 64), (48, 64), (49, 65), (30, 90), (48, 64)]
    for when, (height, width) in zip(seconds, sizes, strict=True):
        video.add(pictures(1, height, width)[0], when, ["100.0 %  up"])
    video.close()
    with av.open(str(tmp_path / "a.mkv")) as file:
        frames = list(file.decode(video=0))
    assert {(frame.width, frame.height) for frame in frames} == {(64, 48)}
    assert [float(frame.time or 0) for frame in frames] == pytest.approx(
        [0, 0.1, 50, 50.04, 50.14], abs=0.002
    )


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "full.mp4"
    path.symlink_to("/dev/full")
    video = CaptionedVideo(path, overwrite=True)
    with pytest.raises(RunError, match=r"full.mp4 could not be written: No space left"):  # noqa: PT012
        for i, frame in enumerate(pictures(30)):
            video.add(frame, i, [])
        video.close()
    table = AnswerTable(tmp_path / "a.csv")
    table._file = Path("/dev/full").open("w", encoding="utf-8", buffering=1)  # noqa: SIM115
    for write in (lambda: table._write("ab"), table.close):
        with pytest.raises(RunError, match=r"a.csv could not be written: No space left"):
            write()


def test_letters_grow_with_the_picture() -> None:
    for height in (40, 400):
        picture = pictures(1, height, 2 * height)[0] // 2
        changed = (captioned(picture, ["50.0%  down"]) != picture).any(axis=(1, 2)).sum()
        assert 0.05 * height < changed < 0.5 * height


def test_captions_need_pillow_and_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"a video of captions is a .mp4 or a .mkv"):
        CaptionedVideo(tmp_path / "a.txt")
    monkeypatch.setattr("marey.engine.live.captions.installed", lambda _: "")
    with pytest.raises(RunError, match=r"no pillow: pip install 'marey\[deploy\]'"):
        CaptionedVideo(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--answers", "4"), "MeanOfLast(answers=4, times=1.0, least_seconds=0.0)"),
        (
            ("--times", "2", "--least", "0.5"),
            "MeanOfLast(answers=3, times=2.0, least_seconds=0.5)",
        ),
    ],
)
def test_options_change_the_rule_of_the_recipe(
    words: tuple[str, ...], why: str, made: Path
) -> None:
    result = done(made, "past", "a.mp4", "--as-fast-as-possible", *words)
    assert f"decides by {why}" in result.stderr


def test_what_cannot_be_is_refused(made: Path) -> None:
    result = run(made, "past", "a.mp4", "--published-demo", "--least", "1")
    assert "--published-demo has numbers of its own" in result.output
    assert (
        "--times is 0.5, expected at least 1" in run(made, "past", "a.mp4", "--times", ".5").output
    )
    assert "a.mp4 is given twice" in run(made, "past", "a.mp4", "b.mp4", "a.mp4").output
    raw = run(made, "past", "-", "--raw", "640")
    assert "--raw is '640', expected WIDTHxHEIGHT" in raw.output
    for words, why in (
        (("a.mp4", "--published-demo"), "a rule for the 27 classes of Jester"),
        (("a.mp4", "--window", "1"), "a window of 1 s was asked for (--window, or window_seconds)"),
        (("gone.mp4",), "gone.mp4"),
        (("ftp://host/a",), "'ftp' is no protocol for streams"),
    ):
        error = run(made, "past", *words).exception
        assert isinstance(error, MareyError)
        assert why in str(error)


def start(made: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "marey", "stream", str(made / "past"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_ctrl_c_ends_it_with_the_summary_and_files_that_are_whole(
    made: Path, tmp_path: Path
) -> None:
    files = "--csv", str(tmp_path / "a.csv"), "--out", str(tmp_path / "a.mp4")
    process = start(made, "-", "--raw", "64x48", "--json", "--as-fast-as-possible", *files)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.buffer.write(b"".join(each.tobytes() for each in numbered(5)))
    process.stdin.flush()
    for _ in range(5):
        line = json.loads(process.stdout.readline())
        while "said" in line:
            line = json.loads(process.stdout.readline())
        assert line["label"] in LABELS
    process.send_signal(signal.SIGINT)
    last = json.loads(process.stdout.readlines()[-1])
    assert process.wait(60) == 0, process.stderr.read()
    assert "stopped" not in process.stderr.read()
    assert last["summary"]["sources"][0]["answered"] == 5
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert {len(row) for row in csv.reader(lines)} == {7}
    with av.open(str(tmp_path / "a.mp4")) as file:
        frames = sum(1 for _ in file.decode(video=0))
    # a line is printed first, so that the last one may have been stopped on its way to the files
    assert 4 <= frames <= len(lines) - 1 <= 5
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()
