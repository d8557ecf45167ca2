"""Every data set that `marey data prepare` knows."""

from __future__ import annotations

from marey.data.index.dataset import DataSet
from marey.data.index.ssv2 import SSV2
from marey.errors import ManifestError, did_you_mean

DATASETS: tuple[DataSet, ...] = (SSV2,)


def find_dataset(name: str) -> DataSet:
    """The data set of this name; ManifestError with the nearest name if there is none."""
    for dataset in DATASETS:
        if dataset.name == name:
            return dataset
    raise ManifestError(
        f"no data set is called {name!r}", did_you_mean(name, [known.name for known in DATASETS])
    )
