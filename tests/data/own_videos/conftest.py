from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def put(tmp_path: Path, video: Path) -> Callable[..., Path]:
    """Copies the video of 12 frames to paths below tmp_path / "in"."""

    def put(*names: str) -> Path:
        for name in names:
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(video, path)
        return tmp_path / "in"

    return put
