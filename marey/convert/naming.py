"""How each code base composes the names of its files: what the parts of a name say.

temporal-shift-module    TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense_nl
                         TSM_kinetics_RGB_resnet50_avg_segment5_e50: no shift, so it is a TSN
Group-Contextualization  TSN_M4_resnet50_somethingv1_RGB_avg_segment8_e50_ef4_drp5_npb_eflr5_loop
                         GST_M4_resnet50_a4b2_somethingv1_RGB_avg_segment8_e50_..._040322h10
                         GC_TDN__somethingv1_RGB_resnet50_avg_segment8_e60
                         somethingv1/TSM_T33D_c16_s8.pth, of its earlier generation
TDN                      TDN__something_RGB_resnet50_avg_segment8_e60
GST-video                GST_somethingv1_resnet50_segment8_best
bLVNet-TAM               st2stv2-bLVNet-TAM-50-a2-b4-f8x2: 8 pairs of frames
action-recognition-      K400-TAM-ResNet-50-f32: no temporal stride
pytorch                  mini_st2stv2-rgb-TAM-b3-max-resnet-50-ts-avg-f8-cosine-bs72-e50
mmaction2                tsm_r50_dense_1x1x8_100e_kinetics400_rgb_20210701-e3e5e97f
                         tsn_imagenet-pretrained-r50_8xb32-dense-1x1x5-100e_kinetics400-rgb_...
Motionformer             k400_motionformer_336_16x8: frames of 336 pixels, 8 apart

``TSM_`` at the beginning means the store in temporal-shift-module, which writes it before TSN too,
and the network in Group-Contextualization; the order of the parts behind it tells the two apart.
A script that writes all parts of a name says something by a part that is not there, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from marey.convert.repository import Data, Told
from marey.recipes.published import CLASSES

Convention: TypeAlias = Callable[[str], Told | None]
"""What a name says that was composed this way; None for any other name."""

DATA: dict[str, Data] = {
    "kinetics|kinetics[-_]?400|k400": "k400",
    "kinetics[-_]?600|k600": "k600",
    "(something|sth|ss|st2st)[-_]?v?1|something": "ssv1",
    "(something|sth|ss|st2st)[-_]?v?2": "ssv2",
    "jester": "jester",
    "ucf-?101": "ucf101",
    "hmdb-?51": "hmdb51",
    "diving-?48": "diving48",
    "egaze[123]|egtea": "egtea",
    "mini_(st2st|ss|sth)v2": "mini-ssv2",
    "mini_kinetics(400)?": "mini-k400",
    "mini_moments": "mini-mit",
}
"""Words for a data set in names of files -> its name here."""


def data_named(word: str) -> Data | None:
    """The data set that `word` means; None for an unknown one.

    >>> data_named("SthV2"), data_named("egaze3"), data_named("mine")
    ('ssv2', 'egtea', None)
    """
    fitting = (data for words, data in DATA.items() if re.fullmatch(words, word, re.IGNORECASE))
    return next(fitting, None)


def place_named(word: str | None) -> str | None:
    """Where temporal-shift-module puts a shift; None for other words, by which it shifts nothing.

    >>> place_named("BlockRes"), place_named("block"), place_named("stageres")
    ('blockres', 'block', None)
    """
    word = (word or "").lower()
    return "blockres" if "blockres" in word else "block" if word == "block" else None


def temporal_shift_module(name: str) -> Told | None:
    """A store name of temporal-shift-module."""
    match = _TSM.search(name)
    if not match:
        return None
    parts, place = _words(match["rest"]), place_named(match["place"])
    settings = _store(match, _sampling(parts, is_whole=match["epochs"] is not None)) | {
        "shift_div": int(match["div"]) if place else None if match["div"] else 0,
        "place": place,
    }
    tensors = _network(match) | {
        "shift": True if place else None if match["div"] else False,
        "place": place,
        "calibrators": "",
        "non_local": "nl" in parts,
        "temporal_pool": bool(match["pool"]),
    }
    return _told(settings, tensors)


def group_contextualization(name: str) -> Told | None:
    """A store name of Group-Contextualization on TSN, TSM or GST; it has no part for a shift."""
    match = _GC.search(name)
    if not match:
        return None
    parts = _words(match["rest"])
    is_whole = bool(re.search(r"_\d{6}h\d{2}(?!\d)", match["rest"]))  # the time is its last part
    settings = _store(match, _sampling(parts, is_whole=is_whole)) | {
        "loop": "loop" in parts or (False if is_whole and match["net"] else None),
    }
    groups = next((int(part[2:]) for part in parts if re.fullmatch(r"ef\d+", part)), None)
    tensors = _network(match) | {"calibrators": _gates(match["net"] or ""), "groups": groups}
    if match["alpha"]:
        tensors["split"] = f"alpha {match['alpha']}, beta {match['beta']}"
    return _on_host(match["host"], settings, tensors)


def earlier_group_contextualization(name: str) -> Told | None:
    """A name that the earlier test script of Group-Contextualization reads."""
    match = re.search(_EDGE + r"(?P<host>tsn|tsm)_(?P<net>[a-z0-9]+)_c(\d+)_s(\d+)", name, _ANY)
    if not match or not (gates := _gates(match["net"])):
        return None
    tensors = {"calibrators": gates, "groups": int(match[3])}
    return _on_host(match["host"], {"num_segments": int(match[4])}, tensors)


def tdn(name: str) -> Told | None:
    """A store name of TDN, or of GC-TDN."""
    match = _TDN.search(name)
    if not match:
        return None
    tensors = _network(match) | {"calibrators": "LTSG" if match["gc"] else ""}
    return _told(_store(match), tensors)


def gst_video(name: str) -> Told | None:
    """A store name of GST-video."""
    match = _GST.search(name)
    return match and _told(_store(match), _network(match) | {"calibrators": ""})


def blvnet(name: str) -> Told | None:
    """A name of bLVNet-TAM: a segment is a pair of frames."""
    match = _BLVNET.search(name)
    if not match:
        return None
    settings = {"num_segments": int(match["pairs"]), "data": data_named(match["data"])}
    branches = f"alpha {match['alpha']}, beta {match['beta']}"
    return _told(settings, {"depth": int(match["depth"]), "branches": branches})


def action_recognition_pytorch(name: str) -> Told | None:
    """A name of action-recognition-pytorch."""
    match = _ARP.search(name)
    if not match:
        return None
    settings = {
        "num_segments": int(match["frames"]),
        "data": data_named(match["data"]),
        "temporal_stride": (match["how"] or "max").lower() if match["stride"] else "none",
    }
    tensors: dict[str, Any] = {
        "depth": int(match["depth"]) if match["depth"] else None,
        "modality": (match["modality"] or "").lower() or None,
    }
    if match["tam"]:
        settings["blending"] = (match["blending"] or "sum").lower()
        tensors["taps"] = int(match["taps"] or 3)
    return _told(settings, tensors)


def mmaction2(name: str) -> Told | None:
    """A name of a configuration of mmaction2."""
    match = _MMACTION2.search(name)
    if not match:
        return None
    parts = _words(match["middle"])
    shifts = match["kind"].lower() == "tsm"
    depth = re.search(r"(?<![a-z])r(18|34|50|101|152)(?!\d)", match["middle"], _ANY)
    settings = {
        "num_segments": int(match["segments"]),
        "data": data_named(match["data"]),
        "sampling": "dense" if "dense" in parts else "segments",
        "shift_div": 8 if shifts else 0,
        "non_local": next((kind for kind in _KINDS if kind in "_".join(parts)), None),
    }
    tensors = {
        "depth": int(depth[1]) if depth else None,
        "network": "MobileNetV2" if "mobilenetv2" in parts else None,
        "modality": match["modality"].lower(),
        "shift": shifts,
        "non_local": "nl" in parts,
    }
    usual = {"shift_div": "its name says TSM, whose configurations have no other"}
    return _told(settings, tensors, usual if shifts else {})


def motionformer(name: str) -> Told | None:
    """A name of Motionformer's model zoo."""
    match = re.search(r"(motionformer|divided|joint)_(\d{3})_(\d+)x(\d+)", name, _ANY)
    if not match:
        return None
    settings: dict[str, Any] = {"size": int(match[2]), "values": "released"}
    if name.lower().startswith("ssv2"):  # whose frames are spread over the video
        settings["sampling"] = "segments"
    else:
        doubled = name.lower().startswith("ek")  # 60 frames a second, counted as if they were 30
        settings |= {"sampling": "dense", "stride": int(match[4]) * (2 if doubled else 1)}
    data = data_named(name.partition("_")[0])
    tensors = {"frames": int(match[3]), "classes": CLASSES[data] if data else None}
    return _told(settings, tensors)


def told_by_arch(beside: Mapping[str, Any]) -> Told:
    """What the entry `arch` says, where IBM's training scripts write the whole name of a model."""
    arch = beside.get("arch")
    if not isinstance(arch, str):
        return Told()
    told = blvnet(arch) or action_recognition_pytorch(arch) or Told()
    by_tensors = {key: value for key, value in told.by_tensors.items() if key != "classes"}
    return Told(told.settings, by_tensors)  # the data set may be one's own under its name


CONVENTIONS: tuple[Convention, ...] = (
    tdn,
    temporal_shift_module,
    group_contextualization,
    earlier_group_contextualization,
    gst_video,
    blvnet,
    action_recognition_pytorch,
    mmaction2,
    motionformer,
)
"""In the order in which they are tried."""

_KINDS = ("embedded_gaussian", "dot_product", "gaussian")
_ANY = re.IGNORECASE
_EDGE = r"(?<![a-z0-9])"
_STORE = (
    r"(?P<data>[a-z0-9-]+(?:_[a-z0-9-]+)*?)_(?P<modality>rgb|flow|rgbdiff)_"
    r"(?P<arch>[a-z0-9]+(?:_32x\d+d)?)"
)
_LENGTH = r"_[a-z]+_segment(?P<segments>\d+)(?:_e(?P<epochs>\d+))?(?P<rest>.*)"
_TSM = re.compile(
    rf"{_EDGE}ts[mn]_{_STORE}(?:_shift(?P<div>\d+)_(?P<place>[a-z]+))?(?P<pool>_tpool)?{_LENGTH}",
    _ANY,
)
_GC = re.compile(
    rf"{_EDGE}(?P<host>tsn|tsm|gst)_(?:(?P<net>[a-z0-9]+)_)?(?P<arch>resnet\d+)"
    r"(?:_a(?P<alpha>\d)b(?P<beta>\d))?_(?P<data>[a-z0-9]+)_(?P<modality>rgb|flow)" + _LENGTH,
    _ANY,
)
_TDN = re.compile(rf"{_EDGE}(?P<gc>gc_)?tdn__?{_STORE}{_LENGTH}", _ANY)
_GST = re.compile(
    rf"{_EDGE}gst_(?P<data>[a-z0-9]+)_(?P<arch>resnet\d+)_segment(?P<segments>\d+)", _ANY
)
_BLVNET = re.compile(
    rf"{_EDGE}(?P<data>[a-z0-9]+)-bLVNet-(?:TAM-)?(?P<depth>\d+)-a(?P<alpha>\d+)-b(?P<beta>\d+)"
    r"-f(?P<pairs>\d+)x2(?!\d)",
    _ANY,
)
_ARP = re.compile(
    rf"{_EDGE}(?P<data>(?:mini_)?[a-z0-9]+)(?:-(?P<modality>rgb|flow))?"
    r"-(?:(?P<tam>TAM)(?:-b(?P<taps>\d+)-(?P<blending>sum|max))?(?:-*allc)?-)?"
    r"(?:(?:[IS]3D-)?resnet-(?P<depth>\d+)|inception-v1|i3d(?:_v2)?|s3d)(?:-dw-t-conv)?"
    r"(?P<stride>-t[sp](?:-(?P<how>max|avg))?)?-f(?P<frames>\d+)(?!\d)",
    _ANY,
)
_MMACTION2 = re.compile(
    rf"{_EDGE}(?P<kind>tsm|tsn)_(?P<middle>.*?)(?<!\d)\d+x\d+x(?P<segments>\d+)(?:[-_]\d+e)?"
    r"[-_](?P<data>[a-z0-9]+)(?:[-_][a-z0-9]+)?[-_](?P<modality>rgb|flow)(?![a-z])",
    _ANY,
)


def _store(match: re.Match[str], sampling: str | None = None) -> dict[str, Any]:
    """What all store names say."""
    return {
        "num_segments": int(match["segments"]),
        "data": data_named(match["data"]),
        "sampling": sampling,
    }


def _sampling(parts: list[str], *, is_whole: bool) -> str | None:
    """Which frames; a name that has all its parts says by theirs that it is neither of the two."""
    said = next((part for part in parts if part in ("dense", "twice")), None)
    return said or ("segments" if is_whole else None)


def _network(match: re.Match[str]) -> dict[str, Any]:
    """Of the arch in a store name, what tensors tell as well."""
    found = match.groupdict()
    depth = re.search(r"res(?:net|next)(\d+)", match["arch"], _ANY)
    network = re.match(r"mobilenet|bninception|res", match["arch"], _ANY)
    return {
        "depth": int(depth[1]) if depth else None,
        "network": _NETWORKS[network[0].lower()] if network else None,
        "modality": (found.get("modality") or "").lower() or None,
    }


_NETWORKS = {"mobilenet": "MobileNetV2", "bninception": "BNInception", "res": "ResNet"}


def _gates(net: str) -> str | None:
    """The calibrators of a net of Group-Contextualization; none without a net, None if unknown."""
    net = net.upper()
    if net in ("", "M4"):
        return "LTSG" if net else ""
    known = re.fullmatch(r"(?:(L33D|E3[13]D)|(T13D|T3[13]D)|(S23DD|S3[13]D)|(CLLD))", net)
    return "LTSG"[known.lastindex - 1] if known and known.lastindex else None


def _on_host(host: str, settings: dict[str, Any], tensors: dict[str, Any]) -> Told:
    """The shift follows from the host: its script shifts always, by its options' defaults."""
    if host.lower() == "tsn":
        settings["shift_div"], tensors["shift"] = 0, False
    elif host.lower() == "tsm":
        why = "its name says TSM, whose script has it so unless it is told otherwise"
        settings |= {"shift_div": 8, "place": "blockres"}
        return _told(settings, tensors, {"shift_div": why, "place": why})
    return _told(settings, tensors)


def _words(rest: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", rest.lower())


def _told(
    settings: dict[str, Any], tensors: dict[str, Any], usual: dict[str, str] | None = None
) -> Told:
    """What is said of all that may be said."""
    if data := settings.get("data"):
        tensors["classes"] = CLASSES[data]
    return Told(_known(settings), _known(tensors), usual=usual or {})


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
