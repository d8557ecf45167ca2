"""The processes of one run: found in the environment that torchrun or Slurm sets, or just one.

Nothing has to be said on the command line: `torchrun --nproc-per-node 8 -m marey train ...` and
`srun marey train ...` are enough.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import nn

from marey.engine.environment import default_device, usable_device
from marey.engine.train.stop_signals import StopAsked
from marey.errors import MareyError, RunError

_TIMEOUT = timedelta(hours=2)
"""How long a process waits for a sign of the others."""
BEAT_SECONDS = 15.0
"""How often one gives it that works while others may wait."""

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True)
class World:
    """Which process of how many this is (`rank` of `size`, from 0), and the device it works on."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_alone(self) -> bool:
        """Whether there are no others."""
        return self.size == 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def sums(self, *numbers: float) -> tuple[float, ...]:
        """The sum of each number over all processes; every process must call it."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tuple(tensor.tolist())

    def share_buffers(self, model: nn.Module) -> None:
        """Give every process the buffers that `model` has in process 0, whose run is saved.

        Statistics of batch norm differ: each process has seen clips of its own. The weights do not.
        """
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.size > 1:
            dist.barrier()

    def gather(self, value: T) -> list[T]:
        """The value of every process; every process must call it."""
        if self.size == 1:
            return [value]
        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    @contextmanager
    def together(self) -> Iterator[None]:
        """All processes get through the block, or none: an error of one is raised in each.

        Without it the others would wait for one that has ended. Every process must come here.
        """
        error: MareyError | None = None
        try:
            yield
        except MareyError as own:
            if self.size == 1:
                raise
            error = own
        if first := next(filter(None, self.gather(error)), None):
            raise first if self.is_main else _told(first)

    def side_by_side(self, work: Callable[[Callable[[], None]], T]) -> list[T]:
        """What `work` of every process gives; each waits for the last, however long it takes.

        It must call what it is given now and then. If it fails or is stopped in one process, all
        end alike. Every process must call it.
        """
        if self.size == 1:
            return [work(lambda: None)]
        result: T | None = None
        error: MareyError | StopAsked | None = None
        try:
            result = work(self._beat())
        except (MareyError, StopAsked) as own:
            error = own
        except _EndedElsewhere:
            pass
        while self.sums(0, error is not None)[0]:  # somebody works yet
            pass
        errors = [each for each in self.gather(error) if each is not None]
        if first := min(errors, key=lambda each: isinstance(each, StopAsked), default=None):
            raise first if self.is_main else _told(first)
        return self.gather(cast(T, result))

    def _beat(self) -> Callable[[], None]:
        """A function that tells the others once in a while that this one works yet.

        `_EndedElsewhere` leaves it where the work of another process failed or was stopped.
        """
        last = time.monotonic()

        def beat() -> None:
            nonlocal last
            if time.monotonic() - last >= BEAT_SECONDS:
                _, num_ended = self.sums(1, 0)
                last = time.monotonic()
                if num_ended:
                    raise _EndedElsewhere

        return beat


class _EndedElsewhere(BaseException):
    """Leaves work that another process can no longer do its part of."""


class ToldError(RunError):
    """What ends this process, and is told by process 0."""


class LoneError(RunError):
    """What one process of several met alone, in the middle of a step; it has to say so itself."""


def _told(error: E) -> E | ToldError:
    """The error of process 0 for another one."""
    return ToldError(error.message, error.hint) if isinstance(error, MareyError) else error


@contextmanager
def join_world(device: str | None = None) -> Iterator[World]:
    """This process' `World`; with several processes, connected to them until the block ends."""
    ranks = find_ranks(os.environ)
    chosen = _device(device, ranks.local)
    if ranks.size == 1:
        yield World(device=chosen)
        return
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _end_with_launcher()
    os.environ.setdefault("MASTER_ADDR", ranks.master)
    os.environ.setdefault("MASTER_PORT", str(ranks.port))
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, rank=ranks.rank, world_size=ranks.size, timeout=_TIMEOUT)
    try:
        yield World(ranks.rank, ranks.size, chosen)
    except MareyError:
        raise
    except (ConnectionError, RuntimeError) as error:
        if not _is_of_others(error):
            raise
        first = str(error).partition("\n")[0]
        raise RunError(
            f"another process of the run ended: {first}",
            "it says why, above or in its own output; go on with --resume",
        ) from error
    finally:
        dist.destroy_process_group()


def _is_of_others(error: Exception) -> bool:
    """Whether a process met that another one is gone."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _end_with_launcher() -> None:
    """Have this process told to stop, as by SIGTERM, when torchrun dies, however it does.

    Else its processes would train on, unseen, in a folder that somebody goes on with.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


@dataclass(frozen=True)
class Ranks:
    """Where a process stands among those that were launched together.

    Args:
        rank: its number among all, from 0.
        size: how many there are.
        local: its number among those of its machine, which is that of its GPU.
        master: the machine of rank 0, where all meet.
        port: the port of that machine.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    master: str = "127.0.0.1"
    port: int = 29500


def find_ranks(environ: Mapping[str, str]) -> Ranks:
    """What torchrun (RANK, WORLD_SIZE) or srun (SLURM_PROCID, SLURM_NTASKS) says; else one process.

    >>> find_ranks({"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1",
    ...             "SLURM_JOB_NODELIST": "gpu[03-04]", "SLURM_JOB_ID": "17"})
    Ranks(rank=5, size=8, local=1, master='gpu03', port=20017)
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        size = _number(environ, "WORLD_SIZE", 1)
        rank = _number(environ, "RANK", 0, below=size)
        return Ranks(rank, size, _number(environ, "LOCAL_RANK", 0))
    if "SLURM_PROCID" in environ and _number(environ, "SLURM_NTASKS", 1) > 1:
        size = _number(environ, "SLURM_NTASKS", 1)
        return Ranks(
            rank=_number(environ, "SLURM_PROCID", 0, below=size),
            size=size,
            local=_number(environ, "SLURM_LOCALID", 0),
            master=first_host(environ.get("SLURM_JOB_NODELIST", "127.0.0.1")),
            port=20000 + _number(environ, "SLURM_JOB_ID", 0) % 10000,
        )
    return Ranks()


def _number(environ: Mapping[str, str], name: str, least: int, *, below: int | None = None) -> int:
    """Of a variable, `least` if it is not set; a rank that no group has would wait for ever."""
    text = environ.get(name, str(least))
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    if is_number and least <= int(text) and (below is None or int(text) < below):
        return int(text)
    bound = "" if below is None else f" and below the number of processes ({below})"
    raise RunError(
        f"the environment variable {name} is '{text[:40]}', "
        f"expected a whole number of at least {least}{bound}",
        "torchrun and srun set it; if neither runs this command: "
        "unset RANK WORLD_SIZE SLURM_PROCID",
    )


def first_host(nodelist: str) -> str:
    """The first host of a Slurm node list.

    >>> first_host("gpu[003-008,011],cpu1"), first_host("alpha,beta")
    ('gpu003', 'alpha')
    """
    match = re.match(r"([^,\[]+)(?:\[(\d+))?", nodelist)
    if match is None:
        raise RunError(f"SLURM_JOB_NODELIST is '{nodelist}', which names no host")
    return match[1] + (match[2] or "")


def _device(name: str | None, local_rank: int) -> torch.device:
    if (name or default_device()) != "cuda":
        return usable_device(name)
    device = usable_device(f"cuda:{local_rank}")  # the first GPU is not touched by all
    torch.cuda.set_device(device)
    return device
