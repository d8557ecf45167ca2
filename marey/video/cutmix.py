"""CutMix (Yun et al. 2019, arXiv 1905.04899): which box of a picture is another clip's.

    r_x ~ U(0, W), r_w = W sqrt(1 - lambda);  r_y, r_h likewise      (eq. 2)

around the centre (r_x, r_y), cut off at the edges. What lies beyond them replaces nothing, so
labels are mixed by the area that is really replaced, as the published code does. Of a video it is
one box, the same in all frames (the "tube" of VideoMix, arXiv 2012.03457, over the whole clip).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def boxes(
    share: Floats, row: Floats, column: Floats, *, height: int, width: int
) -> npt.NDArray[np.int64]:
    """Top, bottom, left and right of a box in each picture, int64 [4 b]; the ends are not in it.

    Args:
        share: of the picture, before the box is cut off: 1 - lambda, [b] from 0 to 1; of 0 the box
            is empty.
        row, column: where its centre is, [b] in shares of height and width, below 1.
        height, width: of the pictures, in pixels.
    """
    edges = []
    for size, at in ((height, row), (width, column)):
        side = np.floor(size * np.sqrt(share)).astype(np.int64)
        first = np.floor(at * size).astype(np.int64) - side // 2
        edges += [first.clip(0, size), (first + 2 * (side // 2)).clip(0, size)]
    return np.stack(edges)


def area(box: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pixels in each box, int64 [b]."""
    top, bottom, left, right = box
    inside: npt.NDArray[np.int64] = (bottom - top) * (right - left)
    return inside
