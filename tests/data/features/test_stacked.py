"""Views of clips that are kept in several files, read as if they stood in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from marey.data.features.feature_file import FeatureFile, features_of, joined, open_table
from marey.data.features.stacked import StackedFeatures
from marey.errors import DecodeError


def written(path: Path, *clips: np.ndarray) -> FeatureFile:
    """A file of these clips [t 2]."""
    table = pa.table(
        {
            "path": [str(i) for i in range(len(clips))],
            "features": pa.array(
                [clip.tolist() for clip in clips], pa.large_list(pa.list_(pa.float32(), 2))
            ),
        }
    )
    with pa.ipc.new_file(str(path), table.schema) as file:
        file.write_table(table)
    found = features_of(path, open_table(path))
    assert found is not None
    return found


def vectors(start: int, number: int) -> np.ndarray:
    return np.arange(start, start + 2 * number, dtype=np.float32).reshape(-1, 2)


def test_views_follow_each_other(tmp_path: Path) -> None:
    one = written(tmp_path / "a.arrow", vectors(0, 2), vectors(10, 2))
    other = written(tmp_path / "b.arrow", vectors(100, 2), vectors(110, 2))
    both = StackedFeatures((one, other))
    assert (both.num_frames(1), both.dim) == (4, 2)
    views = both.read(1, np.arange(4).reshape(2, 2))
    np.testing.assert_array_equal(views, np.stack([vectors(10, 2), vectors(110, 2)]))
    turned = both.take(np.array([1, 0]))
    np.testing.assert_array_equal(turned.read(1, np.array([2, 0])), [[100, 101], [0, 1]])


def test_views_of_unequal_length_are_no_clip(tmp_path: Path) -> None:
    one = written(tmp_path / "a.arrow", vectors(0, 2))
    other = written(tmp_path / "b.arrow", vectors(0, 3))
    with pytest.raises(DecodeError, match="row 1 has views of unequal length"):
        StackedFeatures((one, other)).num_frames(0)


def test_files_are_joined_in_order(tmp_path: Path) -> None:
    one = written(tmp_path / "a.arrow", vectors(0, 2), np.zeros((0, 2)))
    other = written(tmp_path / "b.arrow", vectors(10, 1), vectors(20, 2))
    both = joined([one, other])
    assert both.lengths.tolist() == [2, 0, 1, 2]
    np.testing.assert_array_equal(both.read(3, np.arange(2)), vectors(20, 2))
    np.testing.assert_array_equal(both.take(np.array([2])).read(0, np.arange(1)), vectors(10, 1))
