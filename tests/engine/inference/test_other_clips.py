"""Results of other clips than the run's own have a place and a name of their own everywhere."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import marey
from marey.cli.app import app
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.results_place import clips_name
from marey.engine.report.compare import read_comparison
from marey.engine.report.numbers import report_numbers
from marey.engine.report.report import write_report
from marey.engine.report.run_files import read_run
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.errors import RunError
from tests.engine.report.test_report import words
from tests.tiny import CLASSES, tiny_recipe, write_set


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    return train(tiny_recipe(write_set(folder / "clips", 2, 1), epochs=1), folder / "run")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run that was not evaluated yet; its clips lie beside the one that was trained."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def new(trained: Path, tmp_path: Path) -> Path:
    """The manifest of a few of the clips, in a folder called new."""
    return a_list(trained, tmp_path / "new", "red", "blue")


def a_list(trained: Path, folder: Path, *names: str, split: str = "val") -> Path:
    folder.mkdir(parents=True)
    clips = trained.parent / "clips"
    rows = [f"{clips}/{name}_2.mp4,{CLASSES.index(name)},{split}" for name in names]
    (folder / "manifest.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    shutil.copy(clips / "labels.txt", folder)
    return folder / "manifest.csv"


def evaluated(run: Path, *words: object) -> Result:
    said = CliRunner().invoke(app, ["eval", str(run), *map(str, words), "-j", "0"])
    assert said.exit_code == 0, said.output + str(said.exception)
    return said


def places(run: Path) -> list[str]:
    return sorted(file.parent.name for file in run.glob("results/*/results.json"))


def test_results_of_other_clips_lie_beside_those_of_the_validation(run: Path, new: Path) -> None:
    evaluated(run)
    own = (run / "results" / "val" / "results.json").read_bytes()
    said = evaluated(run, "--manifest", new)
    assert (run / "results" / "val" / "results.json").read_bytes() == own
    assert places(run) == ["new-val", "val"]
    assert "clips of new, split val" in said.output
    found = read_results(run / "results" / "new-val" / "results.json")
    assert (found.other_clips, found.split, found.num_clips) == ("new", "val", 2)
    assert read_results(run / "results" / "val" / "results.json").other_clips == ""
    evaluated(run, "--manifest", new)
    assert places(run) == ["new-val", "val"]


def test_the_list_of_the_run_is_its_own_however_it_is_given(
    run: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = trained.parent / "clips" / "manifest.csv"
    monkeypatch.chdir(own.parent)
    for given in (own, "manifest.csv"):
        evaluated(run, "--manifest", given)
    evaluated(run, f"data.val={own.parent.parent / 'clips' / '.' / 'manifest.csv'}")
    evaluated(run, "--manifest", own, "--split", "train")
    assert places(run) == ["train", "val"]


def test_other_clips_are_named_however_they_are_given(
    run: Path, trained: Path, new: Path, tmp_path: Path
) -> None:
    clips = trained.parent / "clips"
    folders = tmp_path / "my clips"
    for name in ("dark", "blue"):
        (folders / name).mkdir(parents=True)
        (folders / name / "a.mp4").symlink_to(clips / f"{name}_2.mp4")
    (tmp_path / "some.txt").write_text("my clips/blue/a.mp4;blue\nmy clips/dark/a.mp4;dark\n")
    other = a_list(trained, tmp_path / "x" / "other", "green")
    given = {
        "my clips": [folders],
        "some": [tmp_path / "some.txt"],
        "new+other-val": [new, other],
        "new-train": [a_list(trained, tmp_path / "t" / "new", "dark", split="train")],
    }
    for name, sources in given.items():
        options = [word for each in sources for word in ("--manifest", each)]
        evaluated(run, *options, *(["--split", "train"] if name == "new-train" else []))
    evaluated(run, "--manifest", *folders.glob("*/*.mp4"))
    evaluated(run, "--manifest", f"{folders}/*/*.mp4")
    evaluated(run, f"data.val={new}")
    marey.evaluate(run / "checkpoints" / "last.pt", new, workers=0)
    assert places(run) == sorted([*given, "my clips-2", "my clips-3", "new-val", "last-new-val"]), (
        "files and a pattern of a folder are other lists than the folder"
    )


def test_clips_that_are_given_as_a_model_are_said_to_be_clips(run: Path, trained: Path) -> None:
    clips = trained.parent / "clips"
    for given in ([run, clips], [clips], [run, clips / "red_0.mp4"]):
        said = CliRunner().invoke(app, ["eval", *map(str, given)])
        assert said.exit_code == 2
        assert "no model: those to test on are given by --manifest" in " ".join(
            said.output.replace("│", " ").split()
        )
    shutil.copy(clips / "red_0.mp4", run)  # a run beside videos is a run
    evaluated(run)
    said = CliRunner().invoke(app, ["eval", str(run), str(clips / "manifest.csv")])
    assert "clips to test on is no model, but a manifest" in str(said.exception)


def test_python_takes_several_lists_and_refuses_what_cannot_be(
    run: Path, trained: Path, new: Path, tmp_path: Path
) -> None:
    other = a_list(trained, tmp_path / "x" / "other", "green")
    found = marey.evaluate(run, [new, other], workers=0)
    assert len(found.manifest) == 3
    assert repr(found).endswith("other/manifest.csv, 0 missing)")
    assert places(run) == ["new+other-val"]
    assert len(marey.evaluate(run, [new], workers=0).manifest) == 2
    with pytest.raises(ValueError, match="calibrate measures on these clips.*expected one of them"):
        marey.evaluate(run, calibrate=True, calibrated=True)
    with pytest.raises(ValueError, match="workers is -1, expected at least 0"):
        marey.evaluate(run, workers=-1)
    with pytest.raises(ValueError, match="batch_size is 0, expected at least 1"):
        marey.evaluate(run, batch_size=0)


def test_a_file_named_as_a_split_is_called_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "v1.2").mkdir()
    names = {
        "kinetics/val.csv": "kinetics-val",
        "ucf/val/manifest.csv": "ucf-val",
        "s3://store/falls/manifest.parquet": "falls",
        str(tmp_path / "v1.2"): "v1.2",
        "clips/*/*.mp4": "clips",
    }
    assert {given: clips_name([given]) for given in names} == names
    assert clips_name([f"{i}.csv" for i in range(5)]) == "0+1+2+2-more"


def test_other_lists_of_one_name_get_a_number_and_replace_nothing(
    run: Path, trained: Path, new: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    same_name = a_list(trained, tmp_path / "elsewhere" / "new", "green")
    for manifest in (new, same_name, new, same_name):
        evaluated(run, "--manifest", manifest)
    assert places(run) == ["new-val", "new-val-2"]
    of = {name: read_results(run / "results" / name / "results.json") for name in places(run)}
    assert [of[name].num_clips for name in places(run)] == [2, 1]
    assert "are replaced" not in caplog.text
    new.write_text("\n".join(new.read_text().splitlines()[:2]) + "\n")  # the list has changed since
    with caplog.at_level(logging.WARNING):
        evaluated(run, "--manifest", new)
    assert f"held the results of 2 clips of {new}, split val: they are replaced" in caplog.text
    assert places(run) == ["new-val", "new-val-2"]


def test_a_place_that_is_asked_for_is_not_taken_from_other_clips(
    run: Path, new: Path, tmp_path: Path
) -> None:
    test = EvalOptions(folder=run, workers=0, device="cpu")
    evaluate_folder(test, tmp_path / "out")
    evaluate_folder(test, tmp_path / "out")
    with pytest.raises(
        RunError, match=r"out holds the results of 4 clips of .*manifest.csv, split"
    ):
        evaluate_folder(replace(test, manifest=new), tmp_path / "out")
    with pytest.raises(RunError, match="would be written over them.*another name or folder"):
        marey.evaluate(run, split="train", workers=0, out=tmp_path / "out")
    evaluated(run, "--name", "mine")
    said = CliRunner().invoke(app, ["eval", str(run), "--manifest", str(new), "--name", "mine"])
    assert isinstance(said.exception, RunError)


def test_clips_that_moved_are_known_as_those_that_chose_the_weights(
    trained: Path, tmp_path: Path
) -> None:
    clips = shutil.copytree(trained.parent / "clips", tmp_path / "before" / "clips")
    recipe = replace(tiny_recipe(clips / "manifest.csv", epochs=1), save_best="loss")
    run = train(recipe, tmp_path / "run", quiet=True)
    clips.rename(tmp_path / "after")
    evaluated(run, "--manifest", tmp_path / "after" / "manifest.csv")
    assert places(run) == ["val"]


def test_pages_say_which_clips_and_are_of_the_own_unless_asked(run: Path, new: Path) -> None:
    evaluated(run, "--manifest", new)
    assert "results new-val split val clips 2 of new tested" in words(write_report(run))
    evaluated(run)
    page = write_report(run)
    assert page == run / "report.html"
    assert "results val split val clips 4 tested" in words(page)
    for asked in (write_report(run, results="new-val"), write_report(run / "results" / "new-val")):
        assert asked == run / "results" / "new-val" / "report.html"
        assert "results new-val split val clips 2 of new tested" in words(asked)
    assert report_numbers(run, "new-val")["other_clips"] == "new"
    assert read_run(run, "val").result.name == "val"
    both = read_comparison([run, run / "results" / "new-val"])
    assert [row[1] for row in both.table.rows] == ["val (4 clips)", "new-val (2 clips)"]
    assert [each["other_clips"] for each in both.as_json["runs"]] == ["", "new"]
    assert any("2 of 4 clips of" in each and "only gains" in each for each in both.warnings)


def test_the_same_clips_called_otherwise_are_compared_without_a_warning(
    run: Path, trained: Path, tmp_path: Path
) -> None:
    lines = (trained.parent / "clips" / "manifest.csv").read_text().splitlines()
    rows = [line.split(",")[:2] for line in lines if ",val," in line]
    copied = tmp_path / "same.csv"
    text = [f"{trained.parent}/clips/{path},{label}" for path, label in rows]
    copied.write_text("\n".join(["path,label", *text]) + "\n")
    evaluated(run)
    evaluated(run, "--manifest", copied)
    assert places(run) == ["same", "val"]
    found = read_comparison([run, run / "results" / "same"])
    assert not [each for each in found.warnings if "split" in each or "not in" in each]


def test_an_ensemble_has_its_results_of_other_clips_apart(
    run: Path, trained: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    second = shutil.copytree(run, tmp_path / "second")
    evaluated(run, second)
    evaluated(run, second, "--manifest", new)
    evaluated(run, second, "--manifest", a_list(trained, tmp_path / "x" / "new", "dark"))
    together = tmp_path / "runs" / "run+second"
    assert places(together) == ["new-val", "new-val-2", "val"]
    assert read_results(together / "results" / "new-val" / "results.json").other_clips == "new"
    evaluated(run, "--split", "train")
    evaluated(second, "--split", "train")
    evaluated(run / "results" / "train", second / "results" / "train", "--weights-of", "1,1")
    assert "train" in places(together)
    alike = [shutil.copytree(each, tmp_path / "y" / each.name) for each in (run, second)]
    evaluated(*alike)  # other models of the same names
    assert places(together.with_name("run+second-2")) == ["val"]
    out = together / "results" / "val"
    words = ["eval", str(run), str(second), "--manifest", str(new), "--out", str(out), "-j", "0"]
    assert "holds the results of" in str(CliRunner().invoke(app, words).exception)


def test_a_comparison_names_the_command_that_evaluates(run: Path, trained: Path) -> None:
    first, second = read_comparison([run, trained]).warnings
    assert first.endswith(f"has not been evaluated: marey eval {run} does it.")
    assert second.endswith(f"has not been evaluated: marey eval {trained} does it.")
    evaluated(run, "--split", "train")
    (said,) = read_comparison([run]).warnings
    assert "was evaluated on its training clips alone (results/train)" in said
    shutil.rmtree(run / "results")
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    (said,) = read_comparison([run]).warnings
    assert said == f"run is not trained yet: marey train --resume --work-dir {run} goes on."


def test_a_comparison_writes_a_page_where_it_is_asked_for_alone(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["compare", "run"])
    assert done.exit_code == 0, done.output
    assert "run has not been evaluated: marey eval run does it." in done.output
    assert not [*tmp_path.glob("*.html")]
    done = CliRunner().invoke(app, ["compare", "run", "--out", "both.html"])
    assert "written: both.html" in done.output
    assert (tmp_path / "both.html").is_file()
