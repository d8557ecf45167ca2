"""What the published names of checkpoints say, because their tensors do not.

TSM_something_RGB_resnet50_shift8_blockres_avg_segment8_e45.pth   temporal-shift-module, GC, TDN
TSN_M4_resnet50_somethingv1_RGB_avg_segment8_e50_ef4_loop.pth     GC, its groups rotating
st2stv2-bLVNet-TAM-50-a2-b4-f8x2.pth.tar                          8 pairs of frames
K400-TAM-ResNet-50-f32.pth.tar                                    32 frames, no temporal stride
st2stv2-rgb-TAM-b3-max-resnet-50-ts-avg-f8                        8 frames, halved by their mean
tsm_r50_1x1x8_50e_sthv1_rgb_20210203-01dce462.pth                 mmaction2: 8 segments of one frame
k400_motionformer_336_16x8.pyth                                   frames of 336 pixels, 8 apart

A name is a hint: what was taken from it is shown, and `--set` says otherwise. What it says of
things that tensors tell is compared with them, and a difference is shown, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marey.convert.repository import Settings, Told


def told_by_name(name: str) -> Told:
    """What a file of weights that is called `name` says of its model."""
    return Told(settings_in_name(name).given(), _of_tensors(name))


def settings_in_name(name: str) -> Settings:
    """Of this, what tensors do not tell."""
    values: dict[str, Any] = {}
    for pattern in (r"segment(\d+)", r"-f(\d+)(?:x2)?(?=[-_.]|$)", r"(?<!\d)1x\d+x(\d+)(?!\d)"):
        if match := re.search(pattern, name):
            values["num_segments"] = int(match[1])
            break
    if match := re.search(r"shift(\d+)_(blockres|block)", name):
        values |= {"shift_div": int(match[1]), "place": match[2]}
    elif name.startswith("TSN_"):
        values["shift_div"] = 0
    if re.search(r"segment\d+.*_loop(?=[_.]|$)", name):
        values["loop"] = True
    if match := _ARP.search(name):
        values["temporal_stride"] = (match["how"] or "max") if match["stride"] else "none"
        if match["tam"]:
            values["blending"] = "max" if match["blending"] == "max" else "sum"
    if match := re.search(r"(motionformer|divided|joint)_(\d{3})_\d+x(\d+)", name):
        values |= {"size": int(match[2]), "values": "released"}
        if not name.startswith("ssv2"):  # whose frames are spread over the video
            doubled = name.startswith("ek")  # 60 frames a second, counted as if they were 30
            values["stride"] = int(match[3]) * (2 if doubled else 1)
    return Settings(**values)


def _of_tensors(name: str) -> Mapping[str, Any]:
    """Of this, what tensors tell as well."""
    values: dict[str, Any] = {}
    if match := re.search(r"(?:resnet|_r)[-_]?(18|34|50|101|152)(?=\D|$)", name, re.IGNORECASE):
        values["depth"] = int(match[1])
    if match := re.search(r"[-_](rgb|flow)(?=[-_.])", name, re.IGNORECASE):
        values["modality"] = match[1].lower()
    if match := re.search(r"_(?:motionformer|divided|joint)_\d{3}_(\d+)x\d+", name):
        values["frames"] = int(match[1])
    for pattern, classes in _CLASSES.items():
        if re.search(rf"(?:^|[-_]){pattern}(?=[-_.])", name, re.IGNORECASE):
            values["classes"] = classes
            break
    return values


_CLASSES = {
    "kinetics": 400,
    "k400": 400,
    "k600": 600,
    "something(v1|v2)?": 174,
    "(sthv|ssv|st2stv)[12]": 174,
    "jester": 27,
}
"""Names of data sets in names of files -> their classes."""

_ARP = re.compile(
    r"-(?:(?P<tam>TAM)(?:-b\d+-(?P<blending>sum|max))?(?:-allc)?-)?(?:I3D-)?resnet-\d+"
    r"(?P<stride>-ts(?:-(?P<how>max|avg))?)?-f\d+",
    re.IGNORECASE,
)
"""Names that action-recognition-pytorch gives."""
