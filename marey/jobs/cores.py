"""How many cores a process may use, and how many processes read clips for it.

A machine says it in several places: the cores that a process is bound to, the quota of its cgroup
(`docker run --cpus`, Kubernetes), and what torchrun and srun set for each of several processes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

CORES = "MAREY_CORES"
"""The environment variable that says it where the machine cannot, as in a slot of a Ray cluster."""
MOST_LOADERS = 16
"""Each holds two batches in shared memory; more of them than this rarely read any faster."""


def num_cores(
    environ: Mapping[str, str] = os.environ, cgroups: Path = Path("/sys/fs/cgroup")
) -> int:
    """The cores this process may use, at least 1."""
    bound = hasattr(os, "sched_getaffinity")
    here = len(os.sched_getaffinity(0)) if bound else os.cpu_count() or 1
    known = (here, _whole(environ.get(CORES)), _quota(cgroups))
    return max(1, min(cores for cores in known if cores is not None))


def num_loaders(wanted: int | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The processes that read clips for this one: `wanted`, else one for each of its cores but one.

    That one is for the process itself, but of two cores both read: decoding is most of the work on
    a small machine. The cores are shared with other processes of the same launch here; there are
    from 1 to `MOST_LOADERS`.
    """
    if wanted is not None:
        return wanted
    own = max(1, own_cores(num_cores(environ), environ))
    return max(min(2, own), min(MOST_LOADERS, own - 1))


def own_cores(cores: int, environ: Mapping[str, str]) -> int:
    """This process' part of the `cores` it may use, where torchrun or srun started several here.

    >>> own_cores(64, {"LOCAL_WORLD_SIZE": "8"}), own_cores(64, {"SLURM_TASKS_PER_NODE": "4(x2)"})
    (8, 16)
    """
    if processes := _whole(environ.get("LOCAL_WORLD_SIZE")):
        return cores // processes
    if each := _whole(environ.get("SLURM_CPUS_PER_TASK")):
        return min(cores, each)
    on_node = _whole(environ.get("SLURM_CPUS_ON_NODE")) or cores
    if cores < on_node:  # srun has bound it to cores of its own
        return cores
    tasks = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE", "")
    return cores // max(map(int, re.findall(r"\b\d+", tasks)), default=1)


def _quota(cgroups: Path) -> int | None:
    """The cores that a quota leaves, rounded down; None without one."""
    newer, older = cgroup_folders("cpu", cgroups)
    found = [
        *(_quota_of(folder / "cpu.max") for folder in newer),
        *(_quota_of(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us") for folder in older),
    ]
    return min((cores for cores in found if cores is not None), default=None)


def cgroup_folders(kind: str, cgroups: Path) -> tuple[list[Path], list[Path]]:
    """The folders below `cgroups` that may limit this process' `kind`, of version 2 and 1.

    That of its cgroup comes first, then those that it is in: each may have a limit. None where
    there are no cgroups.
    """
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        return [], []
    names = dict(re.findall(r"^\d+:(.*?):/(.*)$", own, re.MULTILINE))
    of_version_1 = next((name for kinds, name in names.items() if kind in kinds.split(",")), "")
    return _upwards(cgroups, names.get("", "")), _upwards(cgroups / kind, of_version_1)


def _upwards(root: Path, below: str) -> list[Path]:
    """The folder `below` of `root`, and all that it is in, to `root`."""
    folder = root / below
    return [folder, *(each for each in folder.parents if each.is_relative_to(root))]


def _quota_of(*files: Path) -> int | None:
    """Quota over period, in one file (``150000 100000``) or two; ``max`` and -1 are none."""
    try:
        quota, period = " ".join(file.read_text(encoding="utf-8") for file in files).split()
    except (OSError, ValueError):
        return None
    is_one = quota.isdecimal() and period.isdecimal() and int(period) > 0
    return max(1, int(quota) // int(period)) if is_one else None


def _whole(text: str | None) -> int | None:
    """The number, if it is one above 0."""
    return int(text) if text and text.isascii() and text.isdecimal() and int(text) else None
