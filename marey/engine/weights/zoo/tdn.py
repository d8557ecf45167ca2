"""Checkpoints of TDN, which the README of MCG-NJU/TDN links on Google Drive: got by hand.

Read at its commit a7c7e9b. All but one are folders; the names of their files stand there alone.
"""

from __future__ import annotations

from marey.engine.weights.published import PublishedFile

_DRIVE = "https://drive.google.com/"


def _row(name: str, link: str, *, also: tuple[str, ...] = ()) -> PublishedFile:
    frames, data = name.split("-")[2:4]
    return PublishedFile(
        name=name,
        page=_DRIVE + link,
        licence="Apache-2.0",
        source="README of MCG-NJU/TDN, commit a7c7e9b",
        also=also,
        settings=(f"num_segments={frames.removesuffix('f')}", f"data={data}"),
    )


FILES = (
    _row("tdn-r50-8f-ssv1", "drive/folders/12RpThsHQ-3F04fSu8hduM5b7FGnkEfnE"),
    _row("tdn-r50-16f-ssv1", "drive/folders/1__HhId-WGIkrL7funwt9x8-PvA0jHs_2"),
    _row("tdn-r50-8f-ssv2", "drive/folders/14pZ1W_Mh8nR4e1ziEz7AFpgbz-79HpIC"),
    _row("tdn-r50-16f-ssv2", "drive/folders/1AQOyCiRR9I50YIKHYc5E9q29J1ROe22A"),
    _row(
        "tdn-r101-8f-ssv2",
        "drive/folders/1N4EojVdHFfNbEU_4WIkT_26d_mSHimmo",
        also=("tdn-r101-8f-ssv2-3crop",),
    ),
    _row(
        "tdn-r101-16f-ssv2",
        "file/d/1RBzJvE2tGZgnN8Yl4EGj2uFwMECTbIdn",
        also=("tdn-r101-16f-ssv2-3crop",),
    ),
    _row("tdn-r50-8f-k400", "drive/folders/1UALrg2ABFq-HGPdy8vgZ9mxqkSkuqWET"),
    _row("tdn-r50-16f-k400", "drive/folders/1p7NC4JjxaLzwfj1JUa4kkHd_KZBxBBYR"),
    _row("tdn-r101-8f-k400", "drive/folders/19KPmxPrdp0VS8fsliOr_8kLj1yfhoqRb"),
    _row("tdn-r101-16f-k400", "drive/folders/1a82RenTMhmtPI66Y21Xyrr00iVKL8GOC"),
)
