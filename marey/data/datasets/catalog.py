"""Every data set that `marey data prepare` knows."""

from __future__ import annotations

from marey.data.datasets.dataset import DataSet
from marey.data.datasets.diving48 import DIVING48
from marey.data.datasets.egtea import EGTEA
from marey.data.datasets.epic100 import EPIC100
from marey.data.datasets.gmdcsa24 import GMDCSA24
from marey.data.datasets.hmdb51 import HMDB51
from marey.data.datasets.jester import JESTER
from marey.data.datasets.kinetics import KINETICS, MINI_KINETICS
from marey.data.datasets.moments import MINI_MOMENTS, MOMENTS
from marey.data.datasets.ssv1 import SSV1
from marey.data.datasets.ssv2 import MINI_SSV2, SSV2, SSV2_LT
from marey.data.datasets.ucf101 import UCF101
from marey.data.datasets.videolt import VIDEOLT, VIDEOLT_LT
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
    GMDCSA24,
)


def find_dataset(name: str) -> DataSet:
    """The data set of this name; ManifestError with the nearest name if there is none."""
    for dataset in DATASETS:
        if dataset.name == name:
            return dataset
    raise ManifestError(
        f"no data set is called {name!r}", did_you_mean(name, [known.name for known in DATASETS])
    )
