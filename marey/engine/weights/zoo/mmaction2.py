"""Checkpoints of the model zoo of open-mmlab/mmaction2 that are read here: TSN and TSM.

Read in configs/recognition/tsm and tsn, README.md and metafile.yml, at its commit 4d6c934; each is
called as it is there. File names end in the first eight digits of their SHA-256, which its
tools/deployment/publish_model.py appends. Classes of Kinetics are in the order of its
tools/data/kinetics/label_map_k400.txt. Its other models are not read by `marey convert`: non-local
blocks of kinds that are not built here, encoders of other libraries, MobileOne.
"""

from __future__ import annotations

from marey.engine.weights.published import PublishedFile

_SERVER = "https://download.openmmlab.com/mmaction/v1.0/recognition/"
_TSM, _TSN = "tsm_imagenet-pretrained-", "tsn_imagenet-pretrained-"
_NAMES = {
    f"{_TSM}r50_8xb16-1x1x8-50e_kinetics400-rgb": "20220831-64d69186",
    f"{_TSM}r50_8xb16-1x1x8-100e_kinetics400-rgb": "20220831-a6db1e5d",
    f"{_TSM}r50_8xb16-1x1x16-50e_kinetics400-rgb": "20220831-042b1748",
    f"{_TSM}r50_8xb16-dense-1x1x8-50e_kinetics400-rgb": "20220831-f55d3c2b",
    f"{_TSM}r50-nl-embedded-gaussian_8xb16-1x1x8-50e_kinetics400-rgb": "20220831-35eddb57",
    f"{_TSM}mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb": "20230414-401127fd",
    f"{_TSM}r50_8xb16-1x1x8-50e_sthv2-rgb": "20230317-be0fc26e",
    f"{_TSM}r50_8xb16-1x1x16-50e_sthv2-rgb": "20230317-ec6696ad",
    f"{_TSM}r101_8xb16-1x1x8-50e_sthv2-rgb": "20230320-efcc0d1b",
    f"{_TSN}r50_8xb32-1x1x3-100e_kinetics400-rgb": "20220906-cd10898e",
    f"{_TSN}r50_8xb32-1x1x5-100e_kinetics400-rgb": "20220906-65d68713",
    f"{_TSN}r50_8xb32-1x1x8-100e_kinetics400-rgb": "20220906-2692d16c",
    f"{_TSN}r50_8xb32-dense-1x1x5-100e_kinetics400-rgb": "20220906-dcbc6e01",
    f"{_TSN}r101_8xb32-1x1x8-100e_kinetics400-rgb": "20220906-23cff032",
    f"{_TSN}r50_8xb32-1x1x8-50e_sthv2-rgb": "20230313-06ad7d03",
    f"{_TSN}r50_8xb32-1x1x16-50e_sthv2-rgb": "20230221-85bcc1c3",
}
"""Its name of the model -> the day and the digits that end the name of the file."""

FILES = tuple(
    PublishedFile(
        name=name,
        file=f"{name}_{end}.pth",
        url=f"{_SERVER}{name[:3]}/{name}/{name}_{end}.pth",
        licence="Apache-2.0",
        source=f"configs/recognition/{name[:3]} of open-mmlab/mmaction2, commit 4d6c934",
        labels="k400" if "kinetics400" in name else "",
    )
    for name, end in _NAMES.items()
)
