"""Where work is done: by this process, by processes of this machine, or by a Ray cluster.

What is to be done is a function and its jobs; the engine decides only where. So what comes out is
the same wherever it was made, and a command that takes an engine runs on one core and on a cluster.
The third engine, `Ray`, has a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from marey.jobs import processes
from marey.jobs.processes import Lost
from marey.jobs.ray_cluster import Ray as Ray

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class Executor(Protocol):
    """Something that answers jobs."""

    def answers(
        self,
        function: Callable[[Job], Answer],
        jobs: Iterable[Job],
        *,
        timeout_seconds: float = 60.0,
    ) -> Iterator[tuple[Job, Answer | Lost]]:
        """Each job with `function(job)`, in the order they are done; `Lost` after a crash or hang.

        `function` is a function of a module, or a `functools.partial` of one. It, the jobs and the
        answers are pickled: they say what to do and what was done; clips and frames stay in files.
        """
        ...


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, one for each core unless `num_workers` says otherwise."""

    num_workers: int | None = None

    def answers(
        self,
        function: Callable[[Job], Answer],
        jobs: Iterable[Job],
        *,
        timeout_seconds: float = 60.0,
    ) -> Iterator[tuple[Job, Answer | Lost]]:
        """As `Executor.answers`: a job that kills its process or hangs costs that job only."""
        return processes.answers(
            function, jobs, num_workers=self.num_workers, timeout_seconds=timeout_seconds
        )


@dataclass(frozen=True)
class Here:
    """This process, one job after the other: for work that has processes of its own, or a GPU."""

    def answers(
        self,
        function: Callable[[Job], Answer],
        jobs: Iterable[Job],
        *,
        timeout_seconds: float = 60.0,  # noqa: ARG002  # nobody is there to stop this process
    ) -> Iterator[tuple[Job, Answer | Lost]]:
        """As `Executor.answers`, but a job that kills its process ends this one."""
        for job in jobs:
            yield job, function(job)


HERE, PROCESSES = Here(), Processes()
"""What is meant where nothing is said."""
