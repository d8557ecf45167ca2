"""Several models together: whose clip is whose, what is averaged, and what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.ensemble import Combined, checked_weights, combine
from marey.engine.inference.ensemble_run import (
    EnsembleOptions,
    ensemble_name,
    evaluate_together,
    member_names,
)
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import TrainingCounts
from marey.engine.inference.members import Member
from marey.engine.inference.probabilities import Average
from marey.engine.inference.results import results_of_clips, view_counts, write_results
from marey.engine.inference.stored import dump_of, read_stored
from marey.engine.results_file import Results, ViewCounts, read_results
from marey.errors import RecipeError, RunError
from marey.recipes.describe import model_in_words
from marey.recipes.ensembles import find_ensemble
from marey.recipes.protocols import protocol_of

CLASSES = ("hop", "run", "sit")


def evaluation(
    labels: Sequence[int] = (0, 1, 2, 0),
    *,
    seed: int = 0,
    root: str = "/rgb",
    names: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    classes: Sequence[str] = CLASSES,
    missing: dict[int, str] | None = None,
    average: Average = "logits",
    head: str = "label",
) -> Evaluation:
    """What a model might say of clips a.mp4, b.mp4 ... that have these labels."""
    scores = np.random.default_rng(seed).normal(size=(len(labels), len(classes)))
    if average == "probs":
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    scores[list(missing or ())] = np.nan
    columns: dict[str, Any] = {
        "path": names or [f"{chr(97 + i)}.mp4" for i in range(len(labels))],
        "id": ids,
        head: np.array(labels),
    }
    clips = Manifest.from_columns(Path("m.csv"), Path(root), columns, {head: tuple(classes)})
    return Evaluation(clips, {head: scores.astype(np.float32)}, missing or {}, average)


def together(*evaluations: Evaluation, weights: Sequence[float] = (), **options: Any) -> Combined:
    sure = checked_weights(weights, len(evaluations))
    pairs = zip("ABCD", evaluations, sure, strict=False)
    members = [Member(name, each, weight) for name, each, weight in pairs]
    return combine(members, options.get("average", "logits"))


def dump(of: Evaluation, folder: Path, **facts: Any) -> Path:
    """The predictions of an evaluation, written with its results.json."""
    folder.mkdir(parents=True)
    write_results(of, folder, replace(results_of_clips(of), **facts))
    return folder / "predictions.parquet"


def of(evaluation: Evaluation, head: str = "label") -> np.ndarray:
    return evaluation.scores[head]


# --- what is averaged --------------------------------------------------------------------------


def test_scores_are_the_weighted_mean_of_logits() -> None:
    a, b = evaluation(seed=1), evaluation(seed=2)
    result = together(a, b, weights=(1, 1.5)).result
    assert np.allclose(of(result), (of(a) + 1.5 * of(b)) / 2.5, atol=1e-6)
    assert result.average == "logits"


def test_probabilities_of_a_member_with_logits_are_their_softmax() -> None:
    a, b = evaluation(seed=1, average="probs"), evaluation(seed=2)
    result = together(a, b, average="probs").result
    softmax = np.exp(of(b)) / np.exp(of(b)).sum(axis=1, keepdims=True)
    assert np.allclose(of(result), (of(a) + softmax) / 2, atol=1e-6)
    with pytest.raises(RunError, match="A has the mean of its views' probabilities, no logits"):
        together(a, b)


@settings(max_examples=20)
@given(order=st.permutations(range(4)), weights=st.lists(st.floats(0.1, 9), min_size=2, max_size=2))
def test_the_order_of_a_list_changes_nothing(order: list[int], weights: list[float]) -> None:
    a, b = evaluation(seed=1), evaluation(seed=2)
    moved = replace(
        b,
        manifest=b.manifest.take(np.array(order)),
        scores={"label": of(b)[order]},
    )
    whole, mixed = (together(a, each, weights=weights).result for each in (b, moved))
    assert np.array_equal(of(whole), of(mixed))


@given(order=st.permutations(range(3)))
def test_the_order_of_classes_changes_nothing(order: list[int]) -> None:
    a, b = evaluation(seed=1), evaluation(seed=2)
    new = np.argsort(order)
    moved = replace(
        b,
        manifest=b.manifest.with_columns(
            {"label": new[b.manifest.labels["label"]]}, {"label": tuple(CLASSES[i] for i in order)}
        ),
        scores={"label": of(b)[:, order]},
    )
    assert np.array_equal(of(together(a, b).result), of(together(a, moved).result))
    assert together(moved, a).result.metrics == pytest.approx(together(b, a).result.metrics)


def test_several_classes_a_clip_have_a_probability_each() -> None:
    a = evaluation()
    hot = np.eye(3, dtype=bool)[a.manifest.labels["label"]]
    several = replace(a, manifest=a.manifest.with_columns({"label": hot}, {"label": CLASSES}))
    assert "mAP" in together(several, several).result.metrics
    shares = together(several, several, average="probs").result
    np.testing.assert_allclose(
        shares.probabilities["label"], several.probabilities["label"], atol=1e-6
    )
    with pytest.raises(RunError, match="several classes of 'label' in one of A and B"):
        together(several, a)


# --- whose clip is whose -----------------------------------------------------------------------


def test_two_streams_are_matched_by_ids_wherever_their_clips_lie() -> None:
    ids = ["v1", "v2", "v3", "v4"]
    rgb = evaluation(seed=1, ids=ids)
    flow = evaluation((0, 2, 1, 0), seed=2, root="/flow", names=[*"4321"], ids=ids[::-1])
    with pytest.raises(
        RunError, match=r"2 of 4 clips with another label of 'label' in B than in A"
    ):
        together(rgb, replace(flow, manifest=flow.manifest.with_columns({"id": ids})))
    combined = together(rgb, evaluation((0, 2, 1, 0), seed=2, root="/flow", ids=ids[::-1]))
    assert combined.matched_by == "their ids"
    assert np.allclose(of(combined.result), (of(rgb) + of(flow)[::-1]) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a.mp4", "b.mp4", "c.mp4", "d.mp4"), "their paths below /rgb and /flow"),
        (("a", "b", "c", "d"), "their paths below /rgb and /flow, without the endings of files"),
    ],
)
def test_without_ids_paths_below_the_roots_tell_clips(names: Sequence[str], words: str) -> None:
    combined = together(evaluation(), evaluation(root="/flow", names=names))
    assert combined.matched_by == words
    assert not combined.result.missing


def test_lists_without_a_common_clip_are_no_ensemble() -> None:
    other = evaluation(root="/flow", names=[*"wxyz"])
    with pytest.raises(RunError, match=r"no clip is in all models.*'/rgb/a.mp4' in A, '/flow/w'"):
        together(evaluation(), other)


def test_a_clip_that_one_lacks_is_missing_listed_and_wrong() -> None:
    a = evaluation(missing={1: "truncated"})
    b = evaluation((0, 1, 2, 0, 2), seed=2)
    combined = together(a, b)
    assert combined.result.missing == {1: "A: truncated", 4: "A: not in its list"}
    assert len(combined.result.manifest) == 5
    assert np.isnan(of(combined.result)[[1, 4]]).all()
    perfect = replace(b, scores={"label": np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 2]]})
    assert together(a, perfect, weights=(0, 1)).result.metrics["acc/top1"] == 60
    assert together(a, perfect, weights=(0, 1)).result.readable.metrics["acc/top1"] == 100
    last = together(perfect, a).result
    assert last.manifest is perfect.manifest
    assert str(combined.result.manifest.path(4)) == "/rgb/e.mp4"


def test_spans_of_one_file_are_clips_apart() -> None:
    spans = {"start": [0, 2, 4, 6], "end": [2, 4, 6, 8]}
    a = evaluation(names=["long.mp4"] * 4)
    parts = replace(a, manifest=a.manifest.with_columns(spans))
    assert together(parts, parts).matched_by == "their paths"
    with pytest.raises(RunError, match="no clip is in all models"):
        together(a, a)


# --- what does not go together -----------------------------------------------------------------


def test_other_classes_and_heads_are_refused_by_name() -> None:
    with pytest.raises(
        RunError, match=r"classes of 'label' differ: only A has sit, only B has fly"
    ):
        together(evaluation(), evaluation(classes=("fly", "hop", "run")))
    with pytest.raises(RunError, match="A has 3 classes of 'label', B 4"):
        together(evaluation(), evaluation(classes=(*CLASSES, "fly")))
    with pytest.raises(RunError, match="A has the heads label, B verb"):
        together(evaluation(), evaluation(head="verb"))


def test_classes_without_names_are_taken_on_trust_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    result = together(evaluation(classes=("0", "1", "2")), evaluation(seed=2)).result
    assert result.manifest.classes["label"] == CLASSES
    assert "have only numbers in A: class 0 is taken for 'hop', as in B" in caplog.text


def test_the_same_model_twice_is_said(caplog: pytest.LogCaptureFixture) -> None:
    together(evaluation(), evaluation(seed=2), evaluation())
    assert "A and C give the same scores for every clip" in caplog.text


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1,), "1 weight for 2 models"),
        ((1, -2), "a weight is -2, expected a number of at least 0"),
        ((1, np.nan), "a weight is nan"),
        ((np.inf, 1), "a weight is inf"),
        ((0, 0), "all weights are 0"),
        ((1e308, 1e308), "the weights are too large to be added"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: Sequence[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_weights(weights, 2)


# --- read back ---------------------------------------------------------------------------------


def test_an_evaluation_is_read_back_as_it_was(tmp_path: Path) -> None:
    before = evaluation(missing={1: "truncated"}, ids=["p", "q", "r", "s"])
    counts = TrainingCounts({"label": np.array([50, 8, 2])})
    before = replace(before, trained_on=counts)
    after = read_stored(dump(before, tmp_path / "r")).evaluation
    assert np.array_equal(of(before), of(after), equal_nan=True)
    assert after.missing == before.missing
    assert after.manifest.digest() == before.manifest.digest()
    assert after.manifest.ids is not None
    assert after.manifest.ids.to_pylist() == ["p", "q", "r", "s"]
    assert after.metrics == pytest.approx(before.metrics, nan_ok=True)
    assert "acc/few" in after.metrics


def test_clips_of_several_classes_and_spans_are_read_back(tmp_path: Path) -> None:
    a = evaluation(missing={3: "gone"})
    columns = {
        "label": np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]], bool),
        "start_frame": [0, 10, None, 5],
        "end_frame": [9, None, None, 8],
    }
    a = replace(a, manifest=a.manifest.with_columns(columns, {"label": CLASSES}))
    after = read_stored(dump(a, tmp_path / "r")).evaluation
    assert after.manifest.digest() == a.manifest.digest()
    assert after.missing == {3: "gone"}


def test_scores_of_which_nobody_says_are_told_by_their_sums(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for average in ("logits", "probs"):
        path = dump(evaluation(average=average), tmp_path / average)  # type: ignore[arg-type]
        path.with_name("results.json").unlink()
        assert read_stored(path).evaluation.average == average
    assert "are taken for probabilities, as they sum to 1 in every clip" in caplog.text
    assert "are taken for logits, as some are below 0 or above 1" in caplog.text


def test_scores_that_may_be_both_are_not_guessed(tmp_path: Path) -> None:
    chances = np.full((4, 3), 0.4, np.float32)
    path = dump(replace(evaluation(), scores={"label": chances}), tmp_path / "r")
    path.with_name("results.json").unlink()
    with pytest.raises(
        RunError, match=r"may be probabilities of several classes a clip, or logits"
    ):
        read_stored(path)
    for average in ("logits", "probs"):
        path.with_name("results.json").write_text(f'{{"average": "{average}"}}')
        assert read_stored(path).evaluation.average == average


def test_predictions_that_are_not_of_the_results_beside_them_are_refused(tmp_path: Path) -> None:
    path = dump(evaluation(), tmp_path / "r")
    pq.write_table(pq.read_table(path).slice(1), path)  # type: ignore[no-untyped-call]
    with pytest.raises(RunError, match=r"holds 3 clips of .*, what is said of it is 4"):
        read_stored(path)


def test_a_result_is_meant_by_its_folder_or_any_of_its_files(tmp_path: Path) -> None:
    path = dump(evaluation(), tmp_path / "r")
    named = (path, path.parent, path.with_name("results.json"))
    assert {dump_of(each) for each in named} == {path}
    assert dump_of(tmp_path) is None
    (tmp_path / "a.csv").write_text("id,path,top1\n")
    with pytest.raises(RunError, match=r"a.csv does not hold the scores of all classes"):
        dump_of(tmp_path / "a.csv")


def test_missing_clips_of_an_earlier_version_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = dump(evaluation(missing={1: "truncated"}), tmp_path / "r")
    facts = read_results(path.with_name("results.json"))
    old = replace(facts, missing=tuple(replace(each, labels={}) for each in facts.missing))
    old.write(path.parent)
    assert len(read_stored(path).evaluation.manifest) == 3
    assert "1 clip could not be read, of which results.json has no labels" in caplog.text


# --- from files to files -----------------------------------------------------------------------


def files(*paths: Path, **options: Any) -> EnsembleOptions:
    return EnsembleOptions(members=paths, **options)


def test_an_ensemble_is_written_like_any_evaluation(tmp_path: Path) -> None:
    of_a = {"views": ViewCounts(2, 3, 8, 256), "parameters": 10, "protocol": "tsm-2x3"}
    of_b = {"views": ViewCounts(2, 3, 16, 256), "parameters": 12, "protocol": "tsm-2x3"}
    a = dump(evaluation(missing={2: "cut off"}), tmp_path / "a" / "results" / "val", **of_a)
    b = dump(evaluation(seed=2), tmp_path / "b" / "results" / "val", **of_b)
    options = files(a, b, weights=(1.0, 3.0))
    combined, path = evaluate_together(options, tmp_path / "out")
    facts = read_results(path)
    assert combined is not None
    assert facts.metrics["acc/top1"] == pytest.approx(combined.result.metrics["acc/top1"])
    assert [(m.name, m.weight, m.num_missing) for m in facts.members] == [("a", 1, 1), ("b", 3, 0)]
    assert facts.views == ViewCounts(2, 3, "8 + 16", 256)
    assert (facts.parameters, facts.protocol, facts.num_missing) == (22, "tsm-2x3", 1)
    assert facts.missing[0].reason == "a: cut off"
    assert facts.data_hash == read_results(a.with_name("results.json")).data_hash
    again = read_stored(tmp_path / "out" / "predictions.parquet").evaluation
    assert np.array_equal(of(again), of(combined.result), equal_nan=True)


def test_averages_that_differ_are_asked_for(tmp_path: Path) -> None:
    a = dump(evaluation(), tmp_path / "a")
    b = dump(evaluation(average="probs"), tmp_path / "b")
    with pytest.raises(RunError, match="views of a are averaged as logits, those of b as probs"):
        evaluate_together(files(a, b), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    combined, _ = evaluate_together(files(a, b, average="probs"), tmp_path / "out")
    assert combined is not None
    assert combined.result.average == "probs"


def test_groups_are_those_the_members_agree_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counts = TrainingCounts({"label": np.array([50, 8, 2])})
    a, b, c = (
        replace(evaluation(seed=i), trained_on=TrainingCounts({"label": np.array(n)}))
        for i, n in enumerate([[50, 8, 2], [50, 8, 2], [2, 8, 50]])
    )
    groups = together(a, b).result.trained_on.class_groups("label")
    assert groups == counts.class_groups("label")
    assert together(a, c).result.trained_on.groups("label") is None
    assert "trained on different sets" in caplog.text
    turned = replace(
        evaluation((2, 1, 0, 2), classes=CLASSES[::-1]),
        trained_on=TrainingCounts({"label": np.array([2, 8, 50])}),
    )
    assert together(a, turned).result.trained_on.class_groups("label") == groups
    (tmp_path / "train.csv").write_text("path,label,split\nx.mp4,sit,train\ny.mp4,sit,train\n")
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES))
    paths = [dump(each, tmp_path / name) for name, each in (("a", a), ("c", c))]
    _, path = evaluate_together(
        files(*paths), tmp_path / "out", train_manifest=tmp_path / "train.csv"
    )
    counted = TrainingCounts({"label": np.array([0, 0, 2])})
    assert read_results(path).groups["label"] == counted.class_groups("label")


def test_names_tell_members_apart(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    b = dump(evaluation(), runs / "b" / "results" / "val")
    paths = [runs / "a", b, b.parent, tmp_path / "old" / "a", runs / "c" / "checkpoints" / "x.pt"]
    assert member_names(paths) == ["a (1)", "b (1)", "b (2)", "a (2)", "c/x"]
    assert ensemble_name(paths[2:]) == "b+a+c-x"  # one folder, whose name a shell takes as it is


# --- published rows ----------------------------------------------------------------------------


def row_dump(folder: Path, member: int, *, seed: int = 0, **facts: Any) -> Path:
    """Predictions as those of a member of `ROW`, of two clips."""
    recipe = ROW.members[member]
    names = tuple(f"c{i}" for i in range(174))
    known = {
        "model": model_in_words(recipe.model),
        "views": view_counts(recipe),
        "protocol": protocol_of(recipe),
    }
    return dump(evaluation((0, 1), seed=seed, classes=names), folder, **(known | facts))


ROW = find_ensemble("gc-tsm-r50-8+16f-ssv1")


def test_members_of_a_row_are_known_by_model_and_views(tmp_path: Path) -> None:
    a, b = row_dump(tmp_path / "a", 0), row_dump(tmp_path / "b", 1, seed=1)
    _, path = evaluate_together(files(b, a, row=ROW), tmp_path / "out")
    facts = read_results(path)
    assert facts.row == ROW.name
    assert [member.name for member in facts.members] == ["a", "b"]
    with pytest.raises(RecipeError, match=r"needs gc-tsm-r50-16f-ssv1, .* of 16 frames: a is"):
        evaluate_together(files(row_dump(tmp_path / "x", 0), a, row=ROW), tmp_path / "out")
    with pytest.raises(RecipeError, match="is of 2 models, 3 are given"):
        evaluate_together(files(a, b, b, row=ROW), tmp_path / "out")
    other = row_dump(tmp_path / "y", 0, protocol="tsm-2x3", views=ViewCounts(2, 3, 8, 256))
    with pytest.raises(RecipeError, match=r"y is tested in other views .*: 2 x 3 of 256 pixels"):
        evaluate_together(files(other, b, row=ROW), tmp_path / "out")
    longer = row_dump(tmp_path / "z", 1, other_segments="trained on 8 segments")
    with pytest.raises(RecipeError, match=r"z is .* of 16 frames, trained on 8 segments"):
        evaluate_together(files(a, longer, row=ROW), tmp_path / "out")
    few = dump(evaluation(), tmp_path / "few", **_facts_of(a))
    with pytest.raises(RecipeError, match="few has 3 classes of 'label', gc-tsm-r50-8f-ssv1 174"):
        evaluate_together(files(few, b, row=ROW), tmp_path / "out")
    with pytest.raises(ValueError, match="says itself how its members are averaged"):
        files(a, b, row=ROW, weights=(1.0, 2.0))


def test_predictions_that_do_not_say_their_model_are_no_member_of_a_row(tmp_path: Path) -> None:
    a, b = row_dump(tmp_path / "a", 0, model=""), row_dump(tmp_path / "b", 1)
    with pytest.raises(RecipeError, match="a is of an unknown model"):
        evaluate_together(files(a, b, row=ROW), tmp_path / "out")


def _facts_of(path: Path) -> dict[str, Any]:
    facts: Results = read_results(path.with_name("results.json"))
    return {name: getattr(facts, name) for name in ("model", "views", "protocol")}
