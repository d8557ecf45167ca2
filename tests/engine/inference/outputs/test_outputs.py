"""Files of predictions: each is what its readers take, and nothing that is not right is written."""

from __future__ import annotations

import csv
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.inference.outputs.epic100 import Levels
from marey.engine.inference.outputs.forms import (
    OutputOptions,
    check_classes,
    form_of,
    refuse_own_input,
)
from marey.engine.inference.outputs.scored_clips import Said, joined, read_scored_clips
from marey.engine.inference.outputs.submit import submit_predictions
from marey.engine.results_file import MissingClip, Results
from marey.errors import RunError

LETTERS = {"label": ("c", "a", "b")}
EPIC = {
    "verb": ("take", "put", *(f"v{n}" for n in range(95))),
    "noun": ("tap", "spoon", *(f"n{n}" for n in range(298))),
}
SOMETHING = (
    "Pouring something into something",
    "Holding something",
    *(f"x{n}" for n in range(172)),
)
JESTER = ("Thumb Up", "No gesture", "Swiping Left", *(f"x{n}" for n in range(24)))


def write(path: Path, classes, scores, *, average="logits", lost=(), ids=None, names=None, **more):
    """A file as `marey predict` writes it; `scores` [n k] a head, null for the rows in `lost`."""
    count = len(next(iter(scores.values())))
    names = names or [f"{row}.mp4" for row in range(count)]
    unread = np.isin(np.arange(count), list(lost))
    columns = {"id": range(count), "path": [f"/in/{name}" for name in names]}
    columns |= {"start": [None] * count, "end": [None] * count}
    columns |= {} if ids is None else {"clip_id": ids}
    for head, values in scores.items():
        flat = pa.array(np.asarray(values, np.float32).ravel())
        lists = pa.FixedSizeListArray.from_arrays(flat, len(classes[head]), mask=pa.array(unread))
        columns["scores" if head == "label" else f"scores.{head}"] = lists
    columns |= more
    columns["error"] = pa.array(["no such file" if x else None for x in unread], pa.string())
    about = asdict(Said(classes=classes, average=average, root="/in"))
    table = pa.table(columns).replace_schema_metadata({"marey": json.dumps(about)})
    pq.write_table(table, path)
    return path


def submit(source: Path, name: str, form: str | None = None, **options) -> str:
    out = source.with_name(name)
    output = OutputOptions(form=form_of(out, form), **options)
    submit_predictions(source, out, output, overwrite=True)
    return out.read_text()


def softmax(scores):
    powers = np.exp(np.asarray(scores, np.float64))
    return powers / powers.sum()


# --- tables -------------------------------------------------------------------------------------


def test_csv_has_a_row_a_clip_with_the_best_classes(tmp_path):
    scores = {"label": [[0, 1, 2], [3, 0, 0], [0, 0, 0]]}
    source = write(tmp_path / "p.parquet", LETTERS, scores, lost=[2], label=[2, 0, 1])
    first, second, lost = csv.DictReader(submit(source, "p.csv", top=2).splitlines())
    assert (first["top1"], first["top2"], first["label"]) == ("b", "a", "b")
    assert float(first["score1"]) == pytest.approx(softmax([0, 1, 2])[2])
    assert second["top1"] == "c"
    assert (lost["top1"], lost["score1"], lost["error"]) == ("", "", "no such file")
    (row, *_) = csv.DictReader(submit(source, "all.csv", top=1, all_scores=True).splitlines())
    assert "top2" not in row
    shares = [float(row[f"score of {name}"]) for name in "cab"]
    assert shares == pytest.approx(softmax([0, 1, 2]))


def test_json_lines_say_the_same(tmp_path):
    scores = {"verb": [[0, 1]], "noun": [[1, 0]]}
    classes = {"verb": ("take", "put"), "noun": ("tap", "pan")}
    source = write(tmp_path / "p.parquet", classes, scores, ids=["P01_1_0"])
    line = json.loads(submit(source, "p.jsonl", top=1, all_scores=True))
    assert line["clip_id"] == "P01_1_0"
    assert [(each["head"], each["label"]) for each in line["answers"]] == [
        ("verb", "put"),
        ("noun", "tap"),
    ]
    assert line["scores.verb"]["put"] == pytest.approx(softmax([0, 1])[1])


def test_averaged_probabilities_are_written_as_they_are(tmp_path):
    scores = {"label": [[0.2, 0.5, 0.3]]}
    source = write(tmp_path / "p.parquet", LETTERS, scores, average="probs")
    (row,) = csv.DictReader(submit(source, "p.csv").splitlines())
    assert [float(row[f"score{n}"]) for n in (1, 2, 3)] == pytest.approx([0.5, 0.3, 0.2])


# --- answers a line -----------------------------------------------------------------------------


def test_tsm_writes_paths_with_a_class_or_five_numbers(tmp_path):
    classes = {"label": tuple("abcdef")}
    scores = {"label": [[0, 5, 1, 4, 2, 3], [9, 0, 0, 0, 0, 0]]}
    names = ["hug/1.mp4", "hug/2"]
    source = write(tmp_path / "p.parquet", classes, scores, names=names)
    assert submit(source, "p.txt", "tsm") == "hug/1;b\nhug/2;a\n"
    assert submit(source, "p.txt", "tsm-top5") == "hug/1;1;3;5;4;2\nhug/2;0;1;2;3;4\n"


def test_ssv2_counts_classes_in_alphabetical_order(tmp_path):
    scores = np.zeros((1, 174))
    scores[0, [0, 1, 2, 3, 4]] = 5, 4, 3, 2, 1
    source = write(
        tmp_path / "p.parquet", {"label": SOMETHING}, {"label": scores}, names=["7.webm"]
    )
    rising = sorted(SOMETHING)
    numbers = [rising.index(name) for name in SOMETHING[:5]]
    assert numbers[:2] == [1, 0]
    assert submit(source, "p.csv", "ssv2") == f"7;{';'.join(map(str, numbers))}\n"
    assert submit(source, "p.csv", "ssv1") == f"7;{SOMETHING[0]}\n"


def test_jester_is_an_id_and_a_name(tmp_path):
    source = write(tmp_path / "p.parquet", {"label": JESTER}, {"label": np.eye(27)[:2]})
    assert submit(source, "p.csv", "jester") == "0;Thumb Up\n1;No gesture\n"


# --- EPIC-KITCHENS ------------------------------------------------------------------------------


def epic(path: Path, rng, *, ids=("P01_101_0", "P02_12_31"), **options) -> tuple[Path, dict]:
    scores = {"verb": rng.normal(0, 3, (len(ids), 97)), "noun": rng.normal(0, 3, (len(ids), 300))}
    return write(path, EPIC, scores, ids=list(ids), **options), scores


def test_epic_kitchens_takes_verbs_nouns_and_the_hundred_best_products(tmp_path):
    source, scores = epic(tmp_path / "p.parquet", np.random.default_rng(0))
    made = json.loads(submit(source, "test.json", "epic100", sls="1,3,4"))
    assert {name: made[name] for name in made if name != "results"} == {
        "version": "0.2",
        "challenge": "action_recognition",
        "sls_pt": 1,
        "sls_tl": 3,
        "sls_td": 4,
    }
    assert [*made["results"]] == ["P01_101_0", "P02_12_31"]
    for row, entry in enumerate(made["results"].values()):
        assert [*entry["verb"]] == [str(n) for n in range(97)]
        assert [*entry["noun"]] == [str(n) for n in range(300)]
        verb, noun = softmax(scores["verb"][row]), softmax(scores["noun"][row])
        assert softmax([*entry["verb"].values()]) == pytest.approx(verb, abs=1e-5)
        products = np.outer(verb, noun)
        best = np.sort(products.ravel())[::-1][:100]
        assert [*entry["action"].values()] == pytest.approx(best, rel=1e-4)
        for pair, score in entry["action"].items():
            assert products[tuple(map(int, pair.split(",")))] == pytest.approx(score, rel=1e-4)


def test_a_head_of_actions_is_asked_before_the_product(tmp_path):
    classes = EPIC | {"action": ("3,7", "0_2")}
    rng = np.random.default_rng(0)
    scores = {"verb": rng.normal(size=(1, 97)), "noun": rng.normal(size=(1, 300))}
    scores["action"] = [[0, 1]]
    source = write(tmp_path / "p.parquet", classes, scores, ids=["P01_101_0"])
    (entry,) = json.loads(submit(source, "t.json", "epic100", sls="1,3,4"))["results"].values()
    assert entry["action"] == pytest.approx({"0,2": softmax([0, 1])[1], "3,7": softmax([0, 1])[0]})
    wanted = OutputOptions(form="epic100", sls="1,3,4")
    with pytest.raises(RunError, match="the action 'wash cup' says no verb and noun"):
        check_classes(wanted, EPIC | {"action": ("wash cup",)})


def test_a_zip_holds_the_json_and_is_the_same_every_time(tmp_path):
    source, _ = epic(tmp_path / "p.parquet", np.random.default_rng(0))
    text = submit(source, "t.json", "epic100", sls="1,3,4")
    for name in ("a.zip", "b.zip"):
        options = OutputOptions(form="epic100", sls="1,3,4")
        submit_predictions(source, tmp_path / name, options)
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert archive.namelist() == ["test.json"]
            assert archive.read("test.json").decode() == text
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_probability_of_zero_has_a_score(tmp_path):
    scores = {"verb": np.eye(97)[:1], "noun": np.eye(300)[:1]}
    source = write(tmp_path / "p.parquet", EPIC, scores, ids=["P01_1_0"], average="probs")
    with pytest.raises(RunError, match=r"1 clip without an id of EPIC.*'P01_1_0'"):
        submit(source, "t.json", "epic100", sls="1,3,4")
    source = write(tmp_path / "p.parquet", EPIC, scores, ids=["P01_01_0"], average="probs")
    entry = json.loads(submit(source, "t.json", "epic100", sls="1,3,4"))["results"]["P01_01_0"]
    assert entry["verb"]["0"] == 0
    assert np.isfinite([*entry["verb"].values()]).all()


# --- what is refused ----------------------------------------------------------------------------


def test_missing_clips_are_refused_by_name_unless_they_are_allowed(tmp_path):
    source = write(tmp_path / "p.parquet", {"label": JESTER}, {"label": np.eye(27)[:3]}, lost=[1])
    with pytest.raises(RunError, match="1 of 3 clips could not be read: 1; no such file") as error:
        submit(source, "p.csv", "jester")
    assert "--allow-missing" in error.value.hint
    assert not (tmp_path / "p.csv").exists()
    said: list[str] = []
    options = OutputOptions(form="jester", allow_missing=True)
    submit_predictions(source, tmp_path / "p.csv", options, say=said.append)
    assert said == ["1 clip could not be read: every class has the same score"]
    assert (tmp_path / "p.csv").read_text() == "0;Thumb Up\n1;Thumb Up\n2;Swiping Left\n"


@pytest.mark.parametrize(
    ("names", "ids", "message"),
    [
        (["a.mp4", "2.mp4"], None, "1 clip without an id of Jester; the first is 'a'"),
        (["x/2.mp4", "y/2.mp4"], None, "1 id shared by several clips; the first is '2'"),
        (["1.mp4", "2.mp4"], ["5", "5"], "1 id shared by several clips; the first is '5'"),
    ],
)
def test_ids_are_those_of_the_data_set_and_differ(tmp_path, names, ids, message):
    scores = {"label": np.eye(27)[:2]}
    source = write(tmp_path / "p.parquet", {"label": JESTER}, scores, names=names, ids=ids)
    with pytest.raises(RunError, match=message):
        submit(source, "p.csv", "jester")


@pytest.mark.parametrize(
    ("form", "classes", "message"),
    [
        ("jester", LETTERS, "the model knows 3 of 'label', Jester has the classes 27 of 'label'"),
        ("jester", {"label": [str(n) for n in range(27)]}, "have no names, which --format jester"),
        ("jester", {"label": [f"x{n}" for n in range(27)]}, "'Thumb Up' is no class of 'label'"),
        ("ssv2", {"verb": SOMETHING}, "Something-Something V2 has the classes 174 of 'label'"),
        ("epic100", {"verb": EPIC["verb"]}, "97 of 'verb' and 300 of 'noun'"),
        ("epic100", EPIC | {"verb": EPIC["verb"][::-1]}, "'take' is not class 0 of 'verb'"),
        ("epic100", EPIC | {"hand": ("left",)}, "--format epic100 holds one answer"),
        ("tsm", EPIC, "--format tsm holds one answer"),
        ("epic100", EPIC, "EPIC-KITCHENS asks for the levels of supervision"),
    ],
)
def test_a_model_of_other_classes_is_refused_before_a_clip_is_scored(form, classes, message):
    with pytest.raises(RunError, match=message):
        check_classes(OutputOptions(form=form), classes)


def test_numbers_are_taken_for_the_classes_of_the_data_set():
    numbers = {head: [str(n) for n in range(len(names))] for head, names in EPIC.items()}
    check_classes(OutputOptions(form="epic100", sls="0,0,0"), numbers)
    check_classes(OutputOptions(form="ssv2"), {"label": [str(n) for n in range(174)]})


def test_clips_of_several_classes_have_no_line():
    with pytest.raises(RunError, match="clips of 'label' have several classes, a line has one"):
        check_classes(OutputOptions(form="tsm"), LETTERS, ["label"])


@pytest.mark.parametrize("text", ["", "1", "1,2", "1,2,6", "1,2,3,4", "a,b,c"])
def test_levels_are_three_from_0_to_5(text):
    with pytest.raises(RunError, match="is not three levels from 0 to 5"):
        Levels.parse(text)


def test_levels_are_of_epic_kitchens_alone():
    with pytest.raises(RunError, match="--sls is no part of csv"):
        check_classes(OutputOptions(form="csv", sls="1,2,3"), LETTERS)


def test_what_a_file_is_to_be_is_told_by_its_suffix_or_said():
    assert [form_of(Path(f"p.{end}"), None) for end in ("parquet", "CSV", "jsonl")] == [
        "parquet",
        "csv",
        "jsonl",
    ]
    assert form_of(Path("p.csv"), "ssv2") == "ssv2"
    with pytest.raises(RunError, match="p.json is no name of a file of predictions") as error:
        form_of(Path("p.json"), None)
    assert "epic100" in error.value.hint
    with pytest.raises(RunError, match="there is no format 'epic'"):
        form_of(Path("p.json"), "epic")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("p.parquet", "ssv2"),
        ("p.json", "ssv2"),
        ("p.csv", "epic100"),
        ("p.parquet", "csv"),
        ("p.zip", "tsm"),
    ],
)
def test_a_name_that_says_another_format_is_refused(name, form):
    with pytest.raises(RunError, match=f"--format {form} is no file called {name}"):
        form_of(Path(name), form)


def test_the_list_of_an_output_is_not_its_file(tmp_path):
    (tmp_path / "test.csv").write_text("a.mp4")
    refuse_own_input(tmp_path / "p.csv", str(tmp_path / "test.csv"))
    with pytest.raises(RunError, match="test.csv is what is read, and would be lost"):
        refuse_own_input(tmp_path / ".." / tmp_path.name / "test.csv", tmp_path / "test.csv")


# --- from files ---------------------------------------------------------------------------------


def test_an_evaluation_is_read_with_the_clips_it_could_not_read(tmp_path):
    source = write(tmp_path / "predictions.parquet", LETTERS, {"label": np.eye(3)[:2]})
    table = pq.read_table(source).drop_columns(["error"]).replace_schema_metadata()
    pq.write_table(table, source)
    with pytest.raises(RunError, match="does not say the classes of its scores"):
        read_scored_clips(source)
    lost = MissingClip(row=2, path="/in/2.mp4", reason="broken")
    Results(num_clips=3, num_missing=1, missing=(lost,), classes=LETTERS, root="/in").write(
        tmp_path
    )
    clips = read_scored_clips(source)
    assert (clips.names, clips.missing) == (["0", "1", "2"], [2])
    options = OutputOptions(form="tsm", allow_missing=True)
    submit_predictions(tmp_path, tmp_path / "p.csv", options)
    assert (tmp_path / "p.csv").read_text() == "0;c\n1;a\n2;c\n"
    Results(num_clips=9, classes=LETTERS).write(tmp_path)
    with pytest.raises(RunError, match=r"is not of the results\.json beside it"):
        read_scored_clips(source)


def test_other_files_are_no_predictions(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "p.parquet")
    with pytest.raises(RunError, match="does not say the classes"):
        read_scored_clips(tmp_path / "p.parquet")
    about = {"marey": json.dumps({"classes": {"label": ["a"]}, "average": "logits"})}
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(about), tmp_path / "p.parquet")
    with pytest.raises(RunError, match="is no file of predictions"):
        read_scored_clips(tmp_path / "p.parquet")
    with pytest.raises(RunError, match="holds no predictions"):
        submit_predictions(tmp_path, tmp_path / "p.csv", OutputOptions(form="csv"))


def test_parts_are_the_whole(tmp_path):
    source = write(tmp_path / "p.parquet", LETTERS, {"label": np.eye(3)}, label=[0, 1, 2])
    clips = read_scored_clips(source)
    twice = joined([clips, clips])
    assert (len(twice), twice.names, len(twice.labels["label"])) == (6, clips.names * 2, 6)


def test_the_command_compares_with_a_list(tmp_path):
    source = write(tmp_path / "p.parquet", {"label": JESTER}, {"label": np.eye(27)[:2]})
    words = ["submit", str(source), "--format", "jester", "--out", str(tmp_path / "o.csv")]
    words += ["--overwrite"]

    def run(*more: str) -> str:
        done = CliRunner().invoke(app, [*words, *more], terminal_width=200)
        return done.output if done.exit_code == 0 else str(done.exception)

    (tmp_path / "test.csv").write_text("0\n1\n7\n")
    assert "1 of 3 clips could not be read: 7; it is in the list" in run(
        "--list", str(tmp_path / "test.csv")
    )
    assert "written" in run("--list", str(tmp_path / "test.csv"), "--allow-missing")
    assert (tmp_path / "o.csv").read_text().endswith("\n7;Thumb Up\n")
    (tmp_path / "test.csv").write_text("0\n")
    assert "1 clip not in" in run("--list", str(tmp_path / "test.csv"))
    assert "written" in run()
