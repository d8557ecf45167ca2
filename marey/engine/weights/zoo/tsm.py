"""Checkpoints of TSM and TSN, as the README of mit-han-lab/temporal-shift-module links them.

Read at its commit 1f6a834; Kinetics' classes are in the order of its tools/kinetics_label_map.txt.
"""

from __future__ import annotations

from marey.engine.weights.published import PublishedFile

_SERVER = "https://hanlab18.mit.edu/projects/tsm/models/"


def _file(name: str, file: str, *, also: tuple[str, ...] = ()) -> PublishedFile:
    return PublishedFile(
        name=name,
        file=file,
        url=_SERVER + file,
        licence="MIT",
        source="README of mit-han-lab/temporal-shift-module, commit 1f6a834",
        also=also,
        labels="k400" if "-k400" in name else "",
    )


def _shifted(name: str, about: str) -> PublishedFile:
    data, network, end = about.split()
    return _file(name, f"TSM_{data}_{network}_shift8_blockres_avg_{end}.pth")


FILES = (
    _file(
        "tsn-r50-8f-k400",
        "TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth",
        also=("tsn-r50-8f-k400-10crop", "tsn-r50-8f-k400-dense"),
    ),
    _shifted("tsm-r50-8f-k400", "kinetics RGB_resnet50 segment8_e50"),
    _shifted("tsm-r50-16f-k400", "kinetics RGB_resnet50 segment16_e50"),
    _shifted("tsm-r50-8f-k400-dense", "kinetics RGB_resnet50 segment8_e100_dense"),
    _shifted("tsm-r50-nl-8f-k400-dense", "kinetics RGB_resnet50 segment8_e100_dense_nl"),
    _shifted("tsm-mobilenetv2-8f-k400-dense", "kinetics RGB_mobilenetv2 segment8_e100_dense"),
    _shifted("tsm-r50-flow-8f-k400", "kinetics Flow_resnet50 segment8_e50"),
    _shifted("tsm-r50-8f-ssv1", "something RGB_resnet50 segment8_e45"),
    _shifted("tsm-r50-16f-ssv1", "something RGB_resnet50 segment16_e45"),
    _shifted("tsm-r101-8f-ssv1", "something RGB_resnet101 segment8_e45"),
    _shifted("tsm-r50-8f-ssv2", "somethingv2 RGB_resnet50 segment8_e45"),
    _shifted("tsm-r50-16f-ssv2", "somethingv2 RGB_resnet50 segment16_e45"),
    _shifted("tsm-r101-8f-ssv2", "somethingv2 RGB_resnet101 segment8_e45"),
)
