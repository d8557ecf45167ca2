"""Every data set that `marey data prepare` knows."""

from __future__ import annotations

from marey.data.index.dataset import DataSet
from marey.data.index.diving48 import DIVING48
from marey.data.index.egtea import EGTEA
from marey.data.index.epic100 import EPIC100
from marey.data.index.hmdb51 import HMDB51
from marey.data.index.jester import JESTER
from marey.data.index.kinetics import KINETICS, MINI_KINETICS
from marey.data.index.moments import MINI_MOMENTS, MOMENTS
from marey.data.index.ssv1 import SSV1
from marey.data.index.ssv2 import MINI_SSV2, SSV2, SSV2_LT
from marey.data.index.ucf101 import UCF101
from marey.data.index.videolt import VIDEOLT, VIDEOLT_LT
from marey.errors import ManifestError, did_you_mean

DATASETS: tuple[DataSet, ...] = (
    *KINETICS,
    MINI_KINETICS,
    SSV1,
    SSV2,
    SSV2_LT,
    MINI_SSV2,
    JESTER,
    *UCF101,
    *HMDB51,
    DIVING48,
    *EGTEA,
    EPIC100,
    MOMENTS,
    MINI_MOMENTS,
    VIDEOLT,
    VIDEOLT_LT,
)


def find_dataset(name: str) -> DataSet:
    """The data set of this name; ManifestError with the nearest name if there is none."""
    for dataset in DATASETS:
        if dataset.name == name:
            return dataset
    raise ManifestError(
        f"no data set is called {name!r}", did_you_mean(name, [known.name for known in DATASETS])
    )
