"""Checkpoints of Group Contextualization and ECal on Google Drive: got by hand.

Those of its README at commit b99be50, whose other rows have empty links, and those of ECal of its
README at commit 16e71b3. Twice two rows link one file: its tensors tell whose it is, and the row of
the other model is refused.
"""

from __future__ import annotations

from marey.engine.weights.published import PublishedFile

_DRIVE = "https://drive.google.com/file/d/"
_README = "README of haoyanbin918/Group-Contextualization, commit"


def _row(name: str, link: str, commit: str, *, also: tuple[str, ...] = ()) -> PublishedFile:
    frames, data = name.split("-")[-2:]
    return PublishedFile(
        name=name,
        page=_DRIVE + link,
        licence="Apache-2.0",
        source=f"{_README} {commit}",
        also=also,
        settings=(f"num_segments={frames.removesuffix('f')}", f"data={data}"),
    )


_V1 = {
    "gc-tdn-r50-8f-k400": "1u-YzfLWexBtif5KsrIeK5VcUUxVQ2AZo",
    "gc-tdn-r50-16f-k400": "18MfpnuZppVq7j53seY48TtU9QwD1PgV9",
    "gc-tsn-r50-16f-diving48": "1R5jjvbXVZywxTO3NeoDKHiRU9o5NwFrl",
    "gc-tsm-r50-16f-diving48": "1R5jjvbXVZywxTO3NeoDKHiRU9o5NwFrl",
    "gc-tdn-r50-16f-diving48": "12VgcEEP1HgODZYe2dlSpho6wyv-oYmll",
}
_ECAL = {
    "ecal-l-tsn-r50-8f-ssv1": "1c8hrtADuqQA63tKCef8v7uF5v5wgf-E_",
    "ecal-l-tsn-r50-16f-ssv1": "12hR-0CX66c904lstf-eXc7k7mHrn2cAL",
    "ecal-t-tsm-r50-8f-ssv1": "1c8hrtADuqQA63tKCef8v7uF5v5wgf-E_",
    "ecal-t-tsm-r50-16f-ssv1": "1_iPaGw5kwGmehvFob6jGgHarDiJv3wnA",
    "ecal-l-tsn-r50-8f-ssv2": "1cqa0jL9mH0TwNsz3ULAm0TRKpy76BkZ6",
    "ecal-l-tsn-r50-16f-ssv2": "16-GbO8s0jnx2Mnt6fGjjF6i8jRy-VgtE",
    "ecal-t-tsm-r50-8f-ssv2": "1drbYjlOQT6_4OnQ5CnwMSVFEtic5U9F7",
    "ecal-t-tsm-r50-16f-ssv2": "1wXo6RRnnnsS8LoID6qtobYadepXMH28l",
}

FILES = (
    _row(
        "gc-tsm-r50-16f-k400",
        "1Mr8o6Te_qx13aiGw2SDlf-05Xncc1Mxv",
        "b99be50",
        also=("gc-tsm-r50-16f-k400-3crop",),
    ),
    *(_row(name, link, "b99be50") for name, link in _V1.items()),
    *(_row(name, link, "16e71b3") for name, link in _ECAL.items()),
)
