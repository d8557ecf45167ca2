"""What a clip is called by a path in a list."""

from __future__ import annotations

import os

from marey.data.manifest.paths import VIDEO


def video_name(path: str) -> str:
    """The last part of a path, without the suffix of a video.

    >>> video_name("Archery/v_Archery_g01_c01.avi"), video_name("hug/a_v1.2_np1")
    ('v_Archery_g01_c01', 'a_v1.2_np1')
    """
    return without_suffix(path.replace("\\", "/").rstrip("/").rpartition("/")[2])


def without_suffix(path: str) -> str:
    """A path without the suffix of a video; a dot in another place stays."""
    return os.path.splitext(path)[0] if VIDEO.fullmatch(path) else path  # noqa: PTH122
