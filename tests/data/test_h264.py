"""H.264 files have the same bytes on every machine."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from marey.data.h264 import REPRODUCIBLE, write_h264
from marey.data.packs.forms import GOOD_TO_SEEK


def test_no_instruction_set_changes_a_byte(tmp_path: Path) -> None:
    """A narrow moving picture, written as this machine does and in plain C."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 200, 3), dtype=np.uint8)
    pictures = [np.ascontiguousarray(noise[:, 4 * i : 4 * i + 76]) for i in range(24)]
    in_c = {"x264-params": f"{REPRODUCIBLE['x264-params']}:no-asm=1"}
    files = []
    for options in ({}, in_c):
        path = tmp_path / f"{len(files)}.mp4"
        write_h264(
            path,
            pictures,
            range(24),
            time_base=Fraction(1, 25),
            rate=Fraction(25),
            options=GOOD_TO_SEEK | {"crf": "20"} | options,
        )
        files.append(path.read_bytes())
    assert files[0] == files[1]
