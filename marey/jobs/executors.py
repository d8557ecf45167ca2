"""By whom work is done: this process, processes of this machine, or those of a Ray cluster.

What is to be done is a function and its jobs; an executor decides only where. So what comes out is
the same wherever it was made, and a command that takes an executor runs on one core and on a
cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from marey.jobs.processes import Answer, Answers, Job
from marey.jobs.processes import Processes as Processes
from marey.jobs.ray_cluster import Ray as Ray


class Executor(Protocol):
    """Something that answers jobs."""

    def answers(
        self, function: Callable[[Job], Answer], jobs: Iterable[Job], *, timeout_seconds: float = 60
    ) -> Answers[Job, Answer]:
        """Each job with `function(job)`, in the order they are done; `Lost` after a crash or hang.

        Args:
            function: one of a module, or a `functools.partial` of one. It, the jobs and the answers
                are pickled: they say what to do and what was done; clips and frames stay in files.
            jobs: drawn as there is somebody to do them.
            timeout_seconds: how long a job may compute without a sign of life, or rest, before its
                process is killed (`marey.jobs.hangs`).
        """
        ...


@dataclass(frozen=True)
class Here:
    """This process, one job after the other: for work that has processes of its own, or a GPU."""

    def answers(
        self, function: Callable[[Job], Answer], jobs: Iterable[Job], *, timeout_seconds: float = 60
    ) -> Answers[Job, Answer]:
        """As `Executor.answers`, but a job that kills or hangs its process does so to this one."""
        del timeout_seconds  # nothing can stop this process
        for job in jobs:
            yield job, function(job)


HERE, PROCESSES = Here(), Processes()
"""The defaults: for what has a model, and for what reads files."""
