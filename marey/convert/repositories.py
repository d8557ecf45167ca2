"""The code bases whose checkpoints are known, and which of them a checkpoint is of."""

from __future__ import annotations

from pathlib import Path

from marey.convert import (
    arp,
    biglittle,
    blvnet,
    gc,
    gst,
    mmaction2,
    motionformer,
    tdn,
    torchvision,
    torchvision_video,
    tsm,
    videolt,
)
from marey.convert.repository import Repository, Shapes
from marey.errors import CheckpointError, did_you_mean, first_few

REPOSITORIES: tuple[Repository, ...] = (
    tsm.REPOSITORY,
    gc.REPOSITORY,
    gc.EARLIER,
    gst.REPOSITORY,
    tdn.REPOSITORY,
    blvnet.REPOSITORY,
    biglittle.REPOSITORY,
    arp.REPOSITORY,
    motionformer.REPOSITORY,
    mmaction2.REPOSITORY,
    mmaction2.MOBILENET,
    torchvision.REPOSITORY,
    torchvision_video.REPOSITORY,
    videolt.REPOSITORY,
)


def named(name: str) -> Repository:
    """The repository of this name; CheckpointError suggests the nearest."""
    known = {repository.name: repository for repository in REPOSITORIES}
    if name not in known:
        raise CheckpointError(f"there is no repository '{name}'", did_you_mean(name, known))
    return known[name]


def recognised(shapes: Shapes, path: Path) -> Repository:
    """The one repository whose checkpoints look like this; CheckpointError for none or several."""
    if any(name.startswith("encoder.") for name in shapes):
        raise CheckpointError(
            f"{path} has marey's own names", "it needs no conversion: --weights takes it"
        )
    likely = [repository for repository in REPOSITORIES if repository.recognises(shapes)]
    if len(likely) == 1:
        return likely[0]
    known = ", ".join(repository.name for repository in likely or REPOSITORIES)
    if likely:
        raise CheckpointError(f"{path} may be of {known}", f"say which: --from {likely[0].name}")
    raise CheckpointError(
        f"{path} is of no repository known here (its tensors: {first_few(shapes)})",
        f"known: {known}; --from NAME tries one of them all the same",
    )


def tensors_of_another(source: Repository, shapes: Shapes) -> CheckpointError:
    """An error for want of the tensors by which this repository is told: whose there are."""
    likely = [other.name for other in REPOSITORIES if other.recognises(shapes)]
    others = [name for name in likely if name != source.name]
    return CheckpointError(
        f"it has not the tensors by which models of {source.name} are told; it has "
        f"{first_few(shapes)}" + (f", as {' and '.join(others)} write them" if others else ""),
        f"--from {others[0]}" if others else "it is of another code base, or a part is missing",
    )
