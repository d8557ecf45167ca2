"""A checkpoint under upstream's names becomes a release that answers as the model did."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import marey
from marey.convert import mmaction2, tsm
from marey.convert.convert import convert
from marey.convert.repository import Settings, Shapes
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.live.recogniser import live_recogniser
from marey.engine.weights.trained import load_trained
from marey.errors import CheckpointError, RecipeError, RunError
from marey.models import TSM, Head, MobileNetV2Spec, ModelSpec, ResNetSpec
from marey.models.sites import TemporalOp
from marey.recipes.schema import override
from marey.timelines.decisions import PublishedDemo
from tests.convert import upstream
from tests.tiny import CLASSES, write_clip, write_set

HEADS = (Head("label", 4),)
RESNET = ModelSpec(ResNetSpec(26, channels=16), (TSM(),), num_segments=4, heads=HEADS)
MOBILENET = ModelSpec(MobileNetV2Spec(0.35, rounding="up"), (TSM(),), num_segments=4, heads=HEADS)
PICTURES = ModelSpec(MobileNetV2Spec(0.35), (), num_segments=1, heads=HEADS)
SAID = Settings(num_segments=4, shift_div=8)
NAME = "TSM_mine_RGB_mobilenetv2_shift8_blockres_avg_segment4_e50.pth"


@pytest.fixture(scope="module")
def mobilenet() -> dict[str, Tensor]:
    return upstream.under(upstream.tsm_mobilenet, upstream.filled(MOBILENET))


@pytest.fixture
def checkpoint(mobilenet: dict[str, Tensor], tmp_path: Path) -> Path:
    path = tmp_path / NAME
    torch.save({"epoch": 3, "arch": "mobilenetv2", "state_dict": mobilenet}, path)
    return path


@pytest.mark.parametrize(
    ("spec", "theirs", "settings", "repository"),
    [
        (RESNET, upstream.tsm_resnet, SAID, "tsm"),
        (MOBILENET, upstream.tsm_mobilenet, SAID, "tsm"),
        (
            ModelSpec(
                MobileNetV2Spec(),
                (TSM(direction="past"),),
                num_segments=4,
                heads=HEADS,
                dropout=0.0,
            ),
            upstream.online_mobilenet,
            Settings(num_segments=4),
            "tsm",
        ),
        (PICTURES, upstream.torchvision, Settings(num_segments=1), "torchvision"),
        (RESNET, upstream.mmaction2_resnet, SAID, "mmaction2"),
        (
            replace(PICTURES, num_segments=4),
            upstream.mmaction2_mobilenet,
            Settings(num_segments=4),
            "mmaction2-mobilenetv2",
        ),
    ],
    ids=["tsm-r18", "tsm-mobilenetv2", "tsm-online", "torchvision", "mmaction2", "mmaction2-mbv2"],
)
def test_what_was_written_under_their_names_answers_the_same(
    spec: ModelSpec,
    theirs: Callable[[str], str],
    settings: Settings,
    repository: str,
    tmp_path: Path,
) -> None:
    model = upstream.filled(spec)
    torch.save({"state_dict": upstream.under(theirs, model)}, tmp_path / "x.pth.tar")
    found = convert(tmp_path / "x.pth.tar", tmp_path / "out", settings=settings)
    assert found.repository == repository
    assert not found.dropped
    assert found.recipe.model == spec
    clip = torch.randn(1, spec.frames, 3, 64, 64)
    loaded = load_trained(tmp_path / "out").model
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    with torch.no_grad():  # channels last in memory there, so the sums differ in order
        torch.testing.assert_close(loaded(clip), model(clip), rtol=1e-4, atol=1e-5)


def test_the_network_of_the_online_demo_streams_by_its_own_rule(tmp_path: Path) -> None:
    spec = ModelSpec(
        MobileNetV2Spec(),
        (TSM(direction="past"),),
        num_segments=8,
        heads=(Head("label", 27),),
        dropout=0.0,
    )
    path = tmp_path / "mobilenetv2_jester_online.pth.tar"
    torch.save(upstream.under(upstream.online_mobilenet, upstream.filled(spec)), path)
    found = convert(path, tmp_path / "out", settings=Settings(num_segments=8, data="jester"))
    assert found.recipe.decision == PublishedDemo()
    assert (
        "those of the published row tsm-mobilenetv2-online-8f-jester, which claims nothing"
        in (found.facts()["test views"])
    )
    recogniser = live_recogniser(marey.load(tmp_path / "out"))
    assert (recogniser.by, recogniser.decision) == ("frame", PublishedDemo())
    frame = np.zeros((240, 320, 3), np.uint8)
    [answer] = recogniser.step([(recogniser.begin(), frame, 0.0)])
    assert answer is not None
    assert answer.label in {str(number) for number in range(27)} - {"0", "3", "7", "8", "21", "22"}


def test_the_release_predicts_and_is_evaluated(checkpoint: Path, tmp_path: Path) -> None:
    labels = tmp_path / "names.txt"
    labels.write_text("\n".join(CLASSES))
    convert(checkpoint, tmp_path / "out", labels=labels)
    write_clip(tmp_path / "a.mp4", 1)
    answers = marey.load(tmp_path / "out").predict(tmp_path / "a.mp4", top=4)
    assert {answer["label"] for answer in answers} == set(CLASSES)
    manifest = write_set(tmp_path / "clips", per_class=1, val_per_class=1)
    result, _ = evaluate_folder(
        EvalOptions(folder=tmp_path / "out", manifest=manifest, workers=0, batch_size=4),
        tmp_path / "results",
    )
    assert 0 <= result.metrics["acc/top1"] <= 100
    assert "TSM_mine" in (tmp_path / "out" / "README.md").read_text()


def test_the_name_fills_what_tensors_do_not_tell_and_is_reported(
    checkpoint: Path, tmp_path: Path
) -> None:
    found = convert(checkpoint, tmp_path / "out")
    said = {"num_segments": 4, "sampling": "segments", "shift_div": 8}
    assert found.from_name == said  # its place shows in the keys
    assert found.facts()["from its name"] == "num_segments=4, sampling=segments, shift_div=8"
    assert found.facts()["name"] == f"'{NAME}'"
    assert found.facts()["output"] == "4 classes"


def test_what_is_said_goes_before_what_the_name_says(checkpoint: Path, tmp_path: Path) -> None:
    found = convert(checkpoint, tmp_path / "out", settings=Settings(num_segments=16))
    assert found.from_name == {"sampling": "segments", "shift_div": 8}
    assert found.facts()["from --set"] == "num_segments=16"
    assert found.recipe.model.num_segments == 16
    assert found.recipe.test.sampling.frames == 16


def test_what_is_said_and_decides_nothing_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"--set loop=True decides nothing in .* num_segments, sampling, shift_div",
    ):
        convert(checkpoint, tmp_path / "out", settings=Settings(loop=True))
    assert not (tmp_path / "out").exists()


def test_what_nothing_tells_is_asked_for_in_one_go(checkpoint: Path, tmp_path: Path) -> None:
    unnamed = checkpoint.rename(tmp_path / "ckpt.best.pth.tar")
    with pytest.raises(
        CheckpointError,
        match=r"\(repository tsm\): the tensors do not tell num_segments .*; shift_div .*hint: "
        r"say it: --set num_segments=8 --set shift_div=8",
    ):
        convert(unnamed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_key_that_may_not_be_said_is_refused() -> None:
    with pytest.raises(RecipeError, match="did you mean 'num_segments'"):
        override(Settings(), ["num_segment=8"])


def test_an_impossible_answer_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="shift_div is 0, expected 2 or more"):
        convert(checkpoint, tmp_path / "out", settings=Settings(shift_div=0))


def altered(weights: dict[str, Tensor], **changes: Tensor | None) -> dict[str, Tensor]:
    out = weights | {name.replace("__", "."): w for name, w in changes.items() if w is not None}
    for name in (name.replace("__", ".") for name, w in changes.items() if w is None):
        out.pop(name)
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"module__base_model__extra__weight": torch.ones(2)},
            r"1 unmatched: base_model\.extra\.weight",
        ),
        (
            {"module__base_model__features__4__conv__3__weight": None},
            r"1 missing: encoder\.features\.4\.conv\.1\.0\.weight",
        ),
        (
            {"module__base_model__features__4__conv__3__weight": torch.ones(3, 1, 3, 3)},
            r"1 of another shape: base_model\.features\.4\.conv\.3\.weight \(3, 1, 3, 3\) for",
        ),
        (
            {"module__base_model__classifier__weight": torch.ones(4, 1280)},
            "another tensor are both renamed to",
        ),
    ],
)
def test_what_does_not_fit_is_listed_by_its_upstream_name(
    changes: dict[str, Tensor | None], message: str, mobilenet: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / NAME
    torch.save(altered(mobilenet, **changes), path)
    with pytest.raises(CheckpointError, match=message):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda w: w * torch.nan,
            r"2 tensors with numbers that are not finite: base_model\.fea.*"
            "hint: its training diverged",
        ),
        (lambda w: (1e9 * w).half(), "numbers that are not finite"),
        (lambda w: w.to(torch.int8), r"2 weights of no plain .* \(int8\), \.\.\."),
        (lambda w: w.to_sparse(), r"new_fc\.weight|features.* \(float32, sparse_coo\)"),
    ],
)
def test_weights_that_nothing_can_be_computed_with_are_refused(
    spoil: Callable[[Tensor], Tensor], message: str, mobilenet: dict[str, Tensor], tmp_path: Path
) -> None:
    names = ("base_model.features.0.0.weight", "new_fc.weight")
    spoilt = {f"module.{name}": spoil(mobilenet[f"module.{name}"]) for name in names}
    torch.save(mobilenet | spoilt, tmp_path / NAME)
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path / NAME, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_half_precision_is_widened(mobilenet: dict[str, Tensor], tmp_path: Path) -> None:
    half = {n: w.half() if w.is_floating_point() else w for n, w in mobilenet.items()}
    torch.save(half, tmp_path / NAME)
    convert(tmp_path / NAME, tmp_path / "out")
    weight = load_trained(tmp_path / "out").model.get_parameter("heads.label.weight")
    assert torch.equal(weight, half["module.new_fc.weight"].float())


def test_what_stands_beside_the_state_dict_is_listed(
    mobilenet: dict[str, Tensor], tmp_path: Path
) -> None:
    content = {"epoch": 3, "state_dict": mobilenet, "optimizer": {}, "state_dict_ema": mobilenet}
    torch.save(content, tmp_path / NAME)
    found = convert(tmp_path / NAME, tmp_path / "out")
    assert found.facts()["not read"] == "epoch, optimizer, state_dict_ema"


def test_prefixes_of_wrappers_are_taken_off_and_two_models_in_one_are_refused(
    mobilenet: dict[str, Tensor], tmp_path: Path
) -> None:
    bare = {name.removeprefix("module."): weight for name, weight in mobilenet.items()}
    torch.save({f"module.module._orig_mod.{n}": w for n, w in bare.items()}, tmp_path / NAME)
    assert convert(tmp_path / NAME, tmp_path / "out").num_tensors == len(bare)
    torch.save(mobilenet | bare, tmp_path / NAME)
    with pytest.raises(CheckpointError, match=r"differ in the prefix 'module\.' alone"):
        convert(tmp_path / NAME, tmp_path / "other")


def test_a_picture_network_that_was_trained_on_videos_is_asked_about_time(tmp_path: Path) -> None:
    frames = ModelSpec(ResNetSpec(18, channels=16), (), num_segments=8, heads=HEADS)
    weights = upstream.under(
        lambda n: re.sub(r"^heads\.label", "fc", n).removeprefix("encoder."),
        upstream.filled(frames),
    )
    torch.save(weights, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="set num_segments=8 --set temporal_stride=none"):
        convert(tmp_path / "x.pth", tmp_path / "out")
    settings = Settings(num_segments=8, temporal_stride="max")
    found = convert(tmp_path / "x.pth", tmp_path / "out", settings=settings)
    assert len(found.recipe.model.temporal) == 3


def test_an_unwrapped_mobilenet_looks_back_unless_its_names_or_a_person_say_otherwise(
    mobilenet: dict[str, Tensor],
) -> None:
    online = {
        upstream.online_mobilenet(n): tuple(w.shape)
        for n, w in MOBILENET.build().state_dict().items()
    }
    both_ways = {
        re.sub("^module.(base_model.)?", "", n).replace("new_fc", "classifier"): tuple(w.shape)
        for n, w in mobilenet.items()
    }

    def ops(shapes: Shapes, shift_div: int) -> tuple[TemporalOp, ...]:
        return tsm.REPOSITORY.model_of(
            shapes, Settings(num_segments=4, shift_div=shift_div)
        ).temporal

    assert ops(online, 8) == (TSM(direction="past"),)
    assert ops(online, 0) == ()
    assert ops(both_ways, 8) == (TSM(),)


def test_a_file_without_batch_counters_is_complete(
    mobilenet: dict[str, Tensor], tmp_path: Path
) -> None:
    old = {name: w for name, w in mobilenet.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / NAME)
    found = convert(tmp_path / NAME, tmp_path / "out")
    assert found.absent_counters == len(mobilenet) - len(old) > 0
    assert found.facts()["absent"] == f"{found.absent_counters} batch counters"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no state dict"),
        ({"state_dict": {}}, "holds no state dict"),
        ({"epoch": 3, "loss": 0.1}, r"holds no state dict \(what it holds: epoch, loss\)"),
        ([torch.ones(2)], "holds a list, expected a state dict"),
        (
            {"blocks.0.attn.qkv.weight": torch.ones(2)},
            r"of no repository known here \(its tensors: blocks\.0\.attn\.qkv\.weight\)",
        ),
        ({"encoder.conv1.weight": torch.ones(2)}, "has marey's own names"),
    ],
)
def test_a_file_of_something_else_is_named(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path / "x.pth", tmp_path / "out")


def test_a_foreign_file_forced_through_a_repository_is_refused(tmp_path: Path) -> None:
    torch.save({"blocks.0.weight": torch.ones(2)}, tmp_path / "x.pth")
    for name in ("tsm", "torchvision", "mmaction2", "mmaction2-mobilenetv2", "tdn"):
        with pytest.raises(CheckpointError, match=name):
            convert(tmp_path / "x.pth", tmp_path / "out", repository=name, settings=SAID)
    with pytest.raises(CheckpointError, match="did you mean 'tsm'"):
        convert(tmp_path / "x.pth", tmp_path / "out", repository="tms")


@pytest.mark.parametrize(
    "name", ["gc", "ecal", "gst", "arp", "motionformer", "mmaction2-mobilenetv2"]
)
def test_the_tensors_of_another_code_base_are_told_by_their_own(name: str, tmp_path: Path) -> None:
    spec = ModelSpec(ResNetSpec(18, channels=8), (TSM(),), heads=(Head("label", 4),))
    weights = upstream.under(upstream.tsm_resnet, upstream.filled(spec))
    path = tmp_path / "TSM_mine_RGB_resnet18_avg_segment8_e45.pth"  # a name of another, too
    torch.save(weights, path)
    said = Settings(num_segments=8, shift_div=8, loop=False, temporal_stride="none")
    message = rf"not the tensors by which models of {name} are told; .* as tsm write.*--from tsm"
    with pytest.raises(CheckpointError, match=message):
        convert(path, tmp_path / "out", repository=name, settings=said)


def test_a_folder_with_something_in_it_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not empty"):
        convert(checkpoint, tmp_path)


def test_a_folder_that_cannot_be_made_is_named(checkpoint: Path) -> None:
    with pytest.raises(RunError, match=r"could not be written: .* give another folder"):
        convert(checkpoint, checkpoint / "out")  # below a file


def test_labels_of_another_number_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n")
    with pytest.raises(CheckpointError, match="names 2 classes, the checkpoint has 4"):
        convert(checkpoint, tmp_path / "out", labels=tmp_path / "labels.txt")


def test_encoders_that_are_not_built_are_named() -> None:
    with pytest.raises(CheckpointError, match="blockres one, which adds a block of BN-Inception"):
        tsm.REPOSITORY.model_of(
            {"base_model.conv1_7x7_s2.weight": (64, 3, 7, 7)}, replace(SAID, place="blockres")
        )
    with pytest.raises(CheckpointError, match="embedded Gaussian or dot product"):
        mmaction2.REPOSITORY.model_of(
            {"backbone.layer2.0.non_local_block.g.0.conv.weight": (1,)}, SAID
        )
    with pytest.raises(CheckpointError, match="of the kind gaussian, which is not built here"):
        mmaction2.REPOSITORY.model_of(
            {"backbone.layer2.0.non_local_block.g.0.conv.weight": (1,)},
            replace(SAID, non_local="embedded_gaussian"),
        )
