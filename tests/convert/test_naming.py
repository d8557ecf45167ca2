"""Published names of checkpoints say segments, shift, data set, frames, and so the test views."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from marey.convert.file_names import settings_in_name, told_by_name, told_by_path
from marey.convert.release_recipe import recipe_of, views_in_words
from marey.convert.repository import Data, Settings
from marey.convert.tdn import GC_SITES
from marey.models import (
    TAM,
    TSM,
    BLVNetSpec,
    ECal,
    GoogLeNetSpec,
    GroupContext,
    Head,
    I3DInceptionSpec,
    I3DResNetSpec,
    MobileNetV2Spec,
    ModelSpec,
    NonLocal,
    ResNetSpec,
    S3DResNetSpec,
    S3DSpec,
    TDNSpec,
    TemporalPool,
)
from marey.models.sites import TemporalOp
from marey.models.temporal.gst import GST
from marey.models.temporal.tdn import LongTermDifference
from marey.recipes.catalog import rows
from marey.recipes.protocols import protocol_of
from marey.recipes.published import CLASSES
from marey.video.sampling.segments import Dense, Segments

R50, R101 = ResNetSpec(50), ResNetSpec(101)
SHIFT, UNMARKED = (TSM(),), TSM(alternate="stage")
GC_GST = (GST(), GroupContext(loop=True, site="after_conv2", norm=False))
GC_TDN = (LongTermDifference(), GroupContext(site=GC_SITES))
TAM3: tuple[TemporalOp, ...] = (TAM(init="reference"),)
TSM_8 = {"num_segments": 8, "shift_div": 8, "place": "blockres"}
UNIFORM, DENSE = {"sampling": "segments"}, {"sampling": "dense"}
USUAL = {"shift_div": 8, "place": "blockres"}

# name, what it says, whose file it is, encoder and ops, the published row or else the protocol
PUBLISHED: list[tuple[str, dict[str, Any], str, Any, tuple[TemporalOp, ...], str]] = [
    # temporal-shift-module
    ("TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth",  # no shift in it: a TSN, tested on 8 frames
     {"num_segments": 5, "shift_div": 0, **UNIFORM, "data": "k400"}, "tsm", R50, (),
     "tsn-r50-8f-k400"),
    ("TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e50.pth",
     {**TSM_8, **UNIFORM, "data": "k400"}, "tsm", R50, SHIFT, "tsm-r50-8f-k400"),
    ("TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment16_e50.pth",
     {**TSM_8, **UNIFORM, "data": "k400", "num_segments": 16}, "tsm", R50, SHIFT,
     "tsm-r50-16f-k400"),
    ("TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense.pth",
     {**TSM_8, **DENSE, "data": "k400"}, "tsm", R50, SHIFT, "tsm-r50-8f-k400-dense"),
    ("TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense_nl.pth",
     {**TSM_8, **DENSE, "data": "k400"}, "tsm", R50, (TSM(), NonLocal()),
     "tsm-r50-nl-8f-k400-dense"),
    ("TSM_kinetics_RGB_mobilenetv2_shift8_blockres_avg_segment8_e100_dense.pth",
     {**TSM_8, **DENSE, "data": "k400"}, "tsm", MobileNetV2Spec(), SHIFT,
     "tsm-mobilenetv2-8f-k400-dense"),
    ("TSM_kinetics_RGB_resnext101_32x8d_shift8_blockres_avg_segment8_e100_dense.pth",
     {**TSM_8, **DENSE, "data": "k400"}, "tsm",
     ResNetSpec(101, groups=32, width_per_group=8), SHIFT, "tsm-resnext101-8f-k400-dense"),
    ("TSM_kinetics_Flow_resnet50_shift8_blockres_avg_segment8_e50.pth",
     {**TSM_8, **UNIFORM, "data": "k400"}, "tsm", ResNetSpec(50, in_channels=10), SHIFT,
     "tsm-r50-flow-8f-k400"),
    ("TSM_something_RGB_resnet50_shift8_blockres_avg_segment8_e45.pth",
     {**TSM_8, **UNIFORM, "data": "ssv1"}, "tsm", R50, SHIFT, "tsm-r50-8f-ssv1"),
    ("TSM_something_RGB_resnet50_shift8_blockres_avg_segment16_e45.pth",
     {**TSM_8, **UNIFORM, "data": "ssv1", "num_segments": 16}, "tsm", R50, SHIFT,
     "tsm-r50-16f-ssv1"),
    ("TSM_something_RGB_resnet101_shift8_blockres_avg_segment8_e45.pth",
     {**TSM_8, **UNIFORM, "data": "ssv1"}, "tsm", R101, SHIFT, "tsm-r101-8f-ssv1"),
    ("TSM_somethingv2_RGB_resnet50_shift8_blockres_avg_segment8_e45.pth",
     {**TSM_8, **UNIFORM, "data": "ssv2"}, "tsm", R50, SHIFT, "tsm-r50-8f-ssv2"),
    ("TSM_somethingv2_RGB_resnet50_shift8_blockres_avg_segment16_e45.pth",
     {**TSM_8, **UNIFORM, "data": "ssv2", "num_segments": 16}, "tsm", R50, SHIFT,
     "tsm-r50-16f-ssv2"),
    ("TSM_somethingv2_RGB_resnet101_shift8_blockres_avg_segment8_e45.pth",
     {**TSM_8, **UNIFORM, "data": "ssv2"}, "tsm", R101, SHIFT, "tsm-r101-8f-ssv2"),
    ("TSM_ucf101_RGB_resnet50_shift8_blockres_avg_segment8_e25.pth",
     {**TSM_8, **UNIFORM, "data": "ucf101"}, "tsm", R50, SHIFT, "tsm-r50-8f-ucf101"),
    ("TSM_hmdb51_RGB_resnet50_shift8_blockres_avg_segment8_e25.pth",
     {**TSM_8, **UNIFORM, "data": "hmdb51"}, "tsm", R50, SHIFT, "tsm-r50-8f-hmdb51"),
    ("TSM_jester_RGB_resnet50_shift8_blockres_avg_segment8_e50.pth",
     {**TSM_8, **UNIFORM, "data": "jester"}, "tsm", R50, SHIFT, "tsm-r50-8f-jester"),
    ("TSM_something_RGB_resnet50_shift8_block_tpool_avg_segment8_e50_cos_mine.pth",
     {**TSM_8, **UNIFORM, "data": "ssv1", "place": "block"}, "tsm", R50,
     (TSM(place="block_in", alternate="none"), TemporalPool(1)), "tsm-2x3"),
    ("TSM_kinetics_RGB_BNInception_shift8_block_avg_segment8_e50.pth",
     {**TSM_8, **UNIFORM, "data": "k400", "place": "block"}, "tsm", R50,
     (TSM(place="block_in", alternate="none"),), "tsm-1x1"),
    ("TSM_mine_RGB_resnet50_shift8_stageres_avg_segment8_e50.pth",  # where its code shifts nothing
     {"num_segments": 8, **UNIFORM}, "tsm", R50, (), "tsm-1x1"),
    # Group-Contextualization
    *(
        (f"{host.upper()}_M4_resnet50_somethingv{v}_RGB_avg_segment{t}_e50_s20p40_ef4_drp5_lr01_b32"
         "_npb_eflr5_010322h09",
         {"num_segments": t, "data": f"ssv{v}", **UNIFORM, "loop": False, **shift}, "gc", R50,
         (*ops, GroupContext()), f"gc-{host}-r50-{t}f-ssv{v}")
        for host, ops, shift in (("tsn", (), {"shift_div": 0}), ("tsm", (UNMARKED,), USUAL))
        for v in (1, 2)
        for t in (8, 16)
    ),
    *(
        (f"GST_M4_resnet50_a4b2_somethingv{v}_RGB_avg_segment{t}_e50_twice_ef4_npb_eflr5_loop"
         "_010322h09",
         {"num_segments": t, "data": f"ssv{v}", "sampling": "twice", "loop": True}, "gst", R50,
         GC_GST, f"gc-gst-r50-{t}f-ssv{v}")
        for v in (1, 2)
        for t in (8, 16)
    ),
    *(
        (f"GC_TDN__somethingv{v}_RGB_resnet50_avg_segment{t}_e60_s30t45p55_010322h09",
         {"num_segments": t, "data": f"ssv{v}"}, "tdn", TDNSpec(50), GC_TDN,
         f"gc-tdn-r50-{t}f-ssv{v}")
        for v in (1, 2)
        for t in (8, 16)
    ),
    *(
        (f"TSM_M4_resnet50_kinetics_RGB_avg_segment{t}_e50_dense_val10_ef4_npb_eflr5_010322h09",
         {"num_segments": t, "data": "k400", **DENSE, "loop": False, **USUAL}, "gc", R50,
         (UNMARKED, GroupContext()), f"gc-tsm-r50-{t}f-k400")
        for t in (8, 16)
    ),
    ("TSN_M4_resnet50_kinetics_RGB_avg_segment8_e50_dense_val10_ef4_010322h09",
     {"num_segments": 8, "data": "k400", **DENSE, "loop": False, "shift_div": 0}, "gc", R50,
     (GroupContext(),), "gc-tsn-r50-8f-k400"),
    ("TSN_M4_resnet50_kinetics_RGB_avg_segment8_e50_ef4_010322h09",
     {"num_segments": 8, "data": "k400", **UNIFORM, "loop": False, "shift_div": 0}, "gc", R50,
     (GroupContext(),), "gc-1x1"),
    ("GC_TDN__kinetics_RGB_resnet50_avg_segment16_e100", {"num_segments": 16, "data": "k400"},
     "tdn", TDNSpec(50), GC_TDN, "gc-tdn-r50-16f-k400"),
    ("TSN_M4_resnet50_diving48_RGB_avg_segment16_e50_ef4_010322h09",
     {"num_segments": 16, "data": "diving48", **UNIFORM, "loop": False, "shift_div": 0}, "gc", R50,
     (GroupContext(),), "gc-tsn-r50-16f-diving48"),
    ("GST_M4_resnet50_a4b2_egaze2_RGB_avg_segment8_e50_ef4_loop_010322h09",
     {"num_segments": 8, "data": "egtea", **UNIFORM, "loop": True}, "gst", R50, GC_GST,
     "gc-gst-r50-8f-egtea"),
    ("TSM_T33D_resnet50_somethingv2_RGB_avg_segment16_e50_ef16_eflr2.pth",
     {"num_segments": 16, "data": "ssv2", **USUAL}, "ecal", R50, (UNMARKED, ECal("T")),
     "ecal-t-tsm-r50-16f-ssv2"),
    ("TSM_resnet50_somethingv1_RGB_avg_segment8_e50_010322h09",  # the network, not the store
     {"num_segments": 8, "data": "ssv1", **UNIFORM, **USUAL}, "tsm", R50, (UNMARKED,), "tsm-2x3"),
    # TDN, GST
    *(
        (f"TDN__{data}_RGB_resnet{depth}_avg_segment{t}_e60", {"num_segments": t, "data": ours},
         "tdn", TDNSpec(depth), (LongTermDifference(),), f"tdn-r{depth}-{t}f-{ours}")
        for data, ours, depth in (
            ("something", "ssv1", 50), ("somethingv2", "ssv2", 50), ("somethingv2", "ssv2", 101),
            ("kinetics", "k400", 50), ("kinetics", "k400", 101))
        for t in (8, 16)
    ),
    ("GST_somethingv2_resnet50_segment16_mine_best.pth.tar", {"num_segments": 16, "data": "ssv2"},
     "gst", R50, (GST(),), "gst-r50-16f-ssv2"),
    ("GST_somethingv1_resnet50_segment8__checkpoint.pth.tar", {"num_segments": 8, "data": "ssv1"},
     "gst", R50, (GST(4, 1),), "gst-large-r50-8f-ssv1"),
    # bLVNet-TAM
    *(
        (f"{data}-bLVNet-TAM-{depth}-a2-b4-f{pairs}x2.pth.tar",
         {"num_segments": pairs, "data": ours}, "blvnet",
         BLVNetSpec(depth, tam=TAM(init="reference")), (),
         f"blvnet-tam-{depth}-a2-b4-f{pairs}x2-{ours}")
        for data, ours in (("st2stv1", "ssv1"), ("st2stv2", "ssv2"))
        for depth, lengths in ((50, (8, 16)), (101, (8, 16, 24, 32)))
        for pairs in lengths
    ),
    ("kinetics400-bLVNet-TAM-50-a2-b4-f16x2.pth.tar", {"num_segments": 16, "data": "k400"},
     "blvnet", BLVNetSpec(50, tam=TAM(init="reference")), (), "blvnet-tam-50-a2-b4-f16x2-k400"),
    ("st2stv2-bLVNet-TAM-50-a2-b4-f12x2-cosine-bs64-e50", {"num_segments": 12, "data": "ssv2"},
     "blvnet", BLVNetSpec(50, tam=TAM(init="reference")), (), "blvnet-1x1-upstream"),
    # mmaction2, whose other names are below
    ("tsn_r50_1x1x3_100e_kinetics400_rgb_20200614-e508be42.pth",
     {"num_segments": 3, "shift_div": 0, **UNIFORM, "data": "k400"}, "mmaction2", R50, (),
     "tsn-r50-3f-k400"),
    # action-recognition-pytorch
    *(
        (f"{data}-{net}-ResNet-{depth}-f32.pth.tar",
         {"num_segments": 32, "data": ours, "temporal_stride": "none", **blending}, "arp", encoder,
         ops, f"{net.lower()}-r{depth}-32f-{ours}")
        for data, ours in (("K400", "k400"), ("SSV2", "ssv2"))
        for depth in (50, 101)
        for net, encoder, ops, blending in (
            ("I3D", I3DResNetSpec(depth), (), {}),
            ("TAM", ResNetSpec(depth), TAM3, {"blending": "sum"}))
    ),
    ("mini_st2stv2-rgb-TAM-b3-sum-resnet-50-f8-cosine-bs72-e75.pth.tar",
     {"num_segments": 8, "data": "mini-ssv2", "temporal_stride": "none", "blending": "sum"}, "arp",
     R50, TAM3, "tam-r50-8f-mini-ssv2"),
    ("mini_kinetics400-rgb-resnet-50-f16-multisteps-bs36-e35",
     {"num_segments": 16, "data": "mini-k400", "temporal_stride": "none"}, "torchvision", R50, (),
     "tsn-r50-16f-mini-k400"),
    ("st2stv2-rgb-TAM-b3-max-resnet-50-ts-avg-f8-cosine-bs72-e50.pth.tar",
     {"num_segments": 8, "data": "ssv2", "temporal_stride": "avg", "blending": "max"}, "arp", R50,
     (TAM(reduce="max", init="reference"), TemporalPool(1, "mean")), "arp-2x3-upstream"),
    ("mini_moments-rgb-i3d-resnet-50-ts-f16",
     {"num_segments": 16, "data": "mini-mit", "temporal_stride": "max"}, "arp",
     I3DResNetSpec(50, temporal_stride=True), (), "arp-1x1-upstream"),
    *(
        (f"{data}-rgb-{net}-f{t}-multisteps-bs72-e45.pth.tar",
         {"num_segments": t, "data": ours, "temporal_stride": "none", **blending}, code, encoder,
         ops, f"{row}-{t}f-{ours}")
        for data, ours, t in (("mini_st2stv2", "mini-ssv2", 8), ("mini_moments", "mini-mit", 32))
        for net, encoder, ops, blending, code, row in (
            ("inception-v1", GoogLeNetSpec(), (), {}, "torchvision", "tsn-inception-v1"),
            ("TAM-b3-sum-inception-v1", GoogLeNetSpec(),
             (TAM(init="reference", place="block_out"),), {"blending": "sum"}, "arp",
             "tam-inception-v1"),
            ("i3d_v2", I3DInceptionSpec(), (), {}, "arp", "i3d"),
            ("s3d", S3DSpec(), (), {}, "arp", "s3d"),
            ("s3d-resnet-50", S3DResNetSpec(50), (), {}, "arp", "s3d-r50"))
    ),
    ("mini_kinetics400-rgb-s3d-dw-t-conv-ts-avg-f16",
     {"num_segments": 16, "data": "mini-k400", "temporal_stride": "avg"}, "arp",
     S3DSpec(temporal_stride=True, reduce="mean", depthwise=True), (), "arp-1x1-upstream"),
]  # fmt: skip
IDS = [name for name, *_ in PUBLISHED]


@pytest.mark.parametrize(("name", "said"), [row[:2] for row in PUBLISHED], ids=IDS)
def test_published_names_say_what_their_authors_put_in_them(name: str, said: Any) -> None:
    assert settings_in_name(name) == Settings(**said)


@pytest.mark.parametrize(("name", "said", "code", "encoder", "ops", "found"), PUBLISHED, ids=IDS)
def test_the_recipe_is_that_of_the_published_row_or_has_its_code_bases_views(
    name: str, said: Any, code: str, encoder: Any, ops: Any, found: str
) -> None:
    heads = (Head("label", CLASSES.get(said.get("data", ""), 4)),)
    spec = ModelSpec(encoder, ops, num_segments=said["num_segments"], heads=heads)
    recipe = recipe_of(spec, "mine", Settings(**said), code)
    words = views_in_words(spec, Settings(**said), code)
    assert recipe.name == "mine"
    if row := rows().get(found):
        assert row.claim is not None
        assert recipe.model.temporal == row.model.temporal
        assert (recipe.train, recipe.test, recipe.claim) == (row.train, row.test, row.claim)
        assert f"the published row {found}, which claims {row.claim.top1}" in words
    else:
        assert protocol_of(recipe) == found
        assert recipe.claim is None
        assert words.startswith(f"{found}: ")


@pytest.mark.parametrize(
    ("name", "said", "protocol", "average"),
    [
        ("tsm_r50_1x1x8_50e_sthv1_rgb_20210203-01dce462.pth",
         {"num_segments": 8, "data": "ssv1", "shift_div": 8, **UNIFORM}, "tsm-2x3", "probs"),
        ("tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_sthv2-rgb_20230317-ec6696ad.pth",
         {"num_segments": 16, "data": "ssv2", "shift_div": 8, **UNIFORM}, "tsm-2x3", "probs"),
        ("tsm_r50_dense_1x1x8_100e_kinetics400_rgb_20210701-e3e5e97f.pth",
         {"num_segments": 8, "data": "k400", "shift_div": 8, **DENSE}, "tsm-dense-10x3", "probs"),
        ("tsm_imagenet-pretrained-r50_8xb16-dense-1x1x8-50e_kinetics400-rgb_2022-f55d3c2b.pth",
         {"num_segments": 8, "data": "k400", "shift_div": 8, **DENSE}, "tsm-dense-10x3", "probs"),
        ("tsm_mobilenetv2_dense_1x1x8_kinetics400_rgb_port_20210922-aa5cadf6.pth",
         {"num_segments": 8, "data": "k400", "shift_div": 8, **DENSE}, "tsm-dense-10x3", "probs"),
        ("tsm_nl_embedded_gaussian_r50_1x1x8_50e_kinetics400_rgb_20200724-f00f1336.pth",
         {"num_segments": 8, "data": "k400", "shift_div": 8, **UNIFORM,
          "non_local": "embedded_gaussian"}, "tsm-1x1", "probs"),
        ("tsm_imagenet-pretrained-r50-nl-dot-product_8xb16-1x1x8-50e_kinetics400-rgb_108bfde5.pth",
         {"num_segments": 8, "data": "k400", "shift_div": 8, **UNIFORM,
          "non_local": "dot_product"}, "tsm-1x1", "probs"),
        ("tsm_k400_pretrained_r50_1x1x16_25e_hmdb51_rgb_20210630-4785548e.pth",
         {"num_segments": 16, "data": "hmdb51", "shift_div": 8, **UNIFORM}, "tsm-1x1", "probs"),
        ("tsn_r50_1x1x8_50e_hmdb51_kinetics400_rgb_20201123-7f84701b.pth",
         {"num_segments": 8, "data": "hmdb51", "shift_div": 0, **UNIFORM}, "tsm-1x1", "probs"),
        ("tsn_r50_320p_1x1x3_110e_kinetics400_flow_20200705-3036bab6.pth",
         {"num_segments": 3, "data": "k400", "shift_div": 0, **UNIFORM}, "tsm-1x1", "probs"),
        ("tsm_r50_340x256_1x1x16_50e_kinetics400_rgb_20201011-2f27f229.pth",
         {"num_segments": 16, "data": "k400", "shift_div": 8, **UNIFORM}, "tsm-1x1", "probs"),
        ("tsm_r50_1x1x8_50e_jester_rgb-c799267e.pth",
         {"num_segments": 8, "data": "jester", "shift_div": 8, **UNIFORM}, "tsm-2x3", "probs"),
        ("tsn_imagenet-pretrained-r50_8xb32-dense-1x1x5-100e_kinetics400-rgb_2022-dcbc6e01.pth",
         {"num_segments": 5, "data": "k400", "shift_div": 0, **DENSE}, "tsm-dense-10x3", "probs"),
    ],
)  # fmt: skip
def test_names_of_mmaction2(name: str, said: Any, protocol: str, average: str) -> None:
    settings = Settings(**said)
    assert settings_in_name(name) == settings
    spec = ModelSpec(R50, num_segments=settings.segments, heads=(Head("label", 4),))
    recipe = recipe_of(spec, "mine", settings, "mmaction2")
    assert recipe.test.average == average
    assert views_in_words(spec, settings, "mmaction2").startswith(f"{protocol}: ")


STORE = "TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense_nl"


@pytest.mark.parametrize(
    "name",
    [
        STORE,
        f"{STORE}.pth",
        f"{STORE}.pth.tar",
        f"{STORE} (1).pth",
        f"{STORE}_1.pth",
        f"{STORE}-copy.ckpt.best.pth.tar",
        f"Copy of {STORE}.pth",
        f"best_{STORE}.pth",
        f"{STORE}.pth".lower(),
        f"{STORE}.pth".upper(),
    ],
)
def test_what_stands_around_a_store_name_and_its_case_do_not_matter(name: str) -> None:
    assert told_by_name(name) == told_by_name(STORE)
    assert told_by_name(name).by_tensors["non_local"]


def test_a_store_name_without_a_shift_is_a_tsn() -> None:
    said = told_by_name("TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth")
    assert said.settings["shift_div"] == 0
    assert said.settings["num_segments"] == 5
    assert said.by_tensors["shift"] is False


def test_names_that_follow_no_convention_give_single_words() -> None:
    assert settings_in_name("my_segment16_shift4_block.pth") == Settings(
        num_segments=16, shift_div=4, place="block"
    )
    assert settings_in_name("jester_of_mine.pth") == Settings(data="jester")
    assert settings_in_name("ucf101_from_kinetics.pth") == Settings()  # which of the two?
    assert settings_in_name("my_something.pth") == Settings()  # of which version?
    assert told_by_name("my_something.pth").by_tensors == {"classes": 174}
    assert settings_in_name("my_something_v2.pth") == Settings(data="ssv2")
    for name in ("ckpt.best.pth.tar", "mobilenet_v2-b0353104.pth", "resnet50-19c8e357.pth"):
        assert settings_in_name(name) == Settings()


@pytest.mark.parametrize(
    "file",
    ["ckpt.best.pth.tar", "ckpt.pth.tar", "model_best.pth.tar", "60_epoch_ckpt.pth.tar", "x.pth"],
)
def test_the_folders_name_decides_where_the_files_says_nothing(file: str) -> None:
    told, read = told_by_path(Path("checkpoint") / STORE / file)
    assert told == told_by_name(STORE)
    assert read == f"'{STORE}' (its folder; its own name says nothing)"
    told, read = told_by_path(Path(STORE) / "TSM_jester_RGB_resnet50_avg_segment4_e5.pth")
    assert told.settings["data"] == "jester"
    assert read == "'TSM_jester_RGB_resnet50_avg_segment4_e5.pth'"


def test_a_folder_called_as_a_data_set_says_it() -> None:
    told, read = told_by_path(Path("checkpoints/somethingv2/TSM_T33D_c16_s8.pth"))
    assert told.settings == {"num_segments": 8, **USUAL, "data": "ssv2"}
    assert told.by_tensors == {"calibrators": "T", "groups": 16, "classes": 174}
    assert read == "'somethingv2/TSM_T33D_c16_s8.pth'"
    assert told_by_path(Path("kinetics/x.pth"))[0].settings == {}


def test_views_by_default_are_said_to_be_one_with_what_else_they_could_be() -> None:
    spec = ModelSpec(R50, SHIFT, num_segments=8, heads=(Head("label", 4),))
    said = views_in_words(spec, Settings(), "tsm")
    assert said.startswith("tsm-1x1: ")
    assert "a default: the data set is not said; it could be tsm-2x3 (--set data=ssv1 or" in said
    assert "tsm-dense-10x3 (--set sampling=dense)" in said
    said = views_in_words(spec, Settings(data="ucf101"), "tsm")
    assert "a default: no one protocol is usual for ucf101" in said
    assert "it could be tsm-2x3 (as for ssv1 or as for ssv2), tsm-dense-10x3 (--set" in said
    said = views_in_words(spec, Settings(data="ucf101", sampling="segments"), "tsm")
    assert "dense" not in said
    whole = ModelSpec(R50, SHIFT, num_segments=8, heads=(Head("label", 400),))
    said = views_in_words(whole, Settings(data="k400"), "tsm")
    assert "the published row tsm-r50-8f-k400, which claims 71.2 (not measured here); it" in said
    assert "it could be the row tsm-r50-8f-k400-dense of the same model" in said
    dense = recipe_of(spec, "x", Settings(sampling="dense"), "tsm")
    assert dense.train.sampling == dense.test.sampling == Dense(8)
    assert recipe_of(spec, "x", Settings(), "tsm").train.sampling == Segments(8)


def test_a_tsn_of_five_segments_is_tested_on_eight_and_its_other_rows_are_named() -> None:
    spec = ModelSpec(R50, num_segments=5, heads=(Head("label", 400),))
    settings = settings_in_name("TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth")
    recipe = recipe_of(spec, "x", settings, "tsm")
    assert (recipe.train.sampling, recipe.test.sampling) == (Segments(5), Segments(8))
    said = views_in_words(spec, settings, "tsm")
    assert "of 8 frames (5 in training); those of the published row tsn-r50-8f-k400," in said
    assert "tsn-r50-8f-k400-10crop of the same model, the row tsn-r50-8f-k400-dense" in said


@pytest.mark.parametrize("data", ["mini-ssv2", "mini-k400", "mini-mit"])
def test_the_mini_sets_are_those_of_action_recognition_pytorch(data: Any) -> None:
    spec = ModelSpec(R50, num_segments=8, heads=(Head("label", 7),))
    settings = Settings(data=data, temporal_stride="none")
    said = views_in_words(spec, settings, "torchvision")  # its TSN, by names of tensors
    assert said.startswith("arp-1x1-upstream: ")
    assert said.endswith(f"; by which its code base tests {data}")


@pytest.mark.parametrize(
    ("channels", "modality", "mean", "std"), [(10, "flow", 0.5, 0.226), (15, "rgbdiff", 0.0, 1.0)]
)
def test_what_a_network_is_shown_is_told_by_its_channels(
    channels: int, modality: str, mean: float, std: float
) -> None:
    encoder = ResNetSpec(50, in_channels=channels)
    spec = ModelSpec(encoder, num_segments=3, heads=(Head("label", 4),))
    recipe = recipe_of(spec, "x", Settings(), "tsm")
    assert recipe.model.modality == modality
    assert (recipe.augment.mean, recipe.augment.std) == ((mean,), (std,))


def test_the_data_sets_that_may_be_said_are_those_of_the_published_rows() -> None:
    assert set(get_args(Data)) == set(CLASSES)
