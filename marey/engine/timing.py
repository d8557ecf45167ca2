"""Calls timed one after the other, by the wall and by the processor, and the memory they took."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")

WARM_UP = 2
"""Calls before the first that counts: kernels are chosen and memory is asked for in these."""


@dataclass(frozen=True)
class Times:
    """Seconds of every call, in order."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    """Of all threads together."""

    @property
    def wall_seconds(self) -> float:
        """Median."""
        return statistics.median(self.wall)

    @property
    def cpu_seconds(self) -> float:
        """Median."""
        return statistics.median(self.cpu)

    def seconds(self, device: str | torch.device) -> float:
        """What counts on a device: processor time, but on a GPU, which it does not see, wall."""
        return self.wall_seconds if on_gpu(device) else self.cpu_seconds


def timed(call: Callable[[], object], *, repeats: int, device: str | torch.device) -> Times:
    """Times of `repeats` calls after `WARM_UP` others."""
    taken = [seconds_of(call, device) for _ in range(WARM_UP + repeats)][WARM_UP:]
    return Times(tuple(wall for wall, _ in taken), tuple(cpu for _, cpu in taken))


def seconds_of(call: Callable[[], object], device: str | torch.device) -> tuple[float, float]:
    """Wall and processor time of one call, until its work on the device is done."""
    _, wall, cpu = clocked(call, device)
    return wall, cpu


def clocked(call: Callable[[], T], device: str | torch.device) -> tuple[T, float, float]:
    """What one call gives, and its wall and processor time, until its work on the device is done.

    What the device was asked for before is not counted.
    """
    wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    given = call()
    wait(device)
    return given, time.perf_counter() - wall, time.process_time() - cpu


def wait(device: str | torch.device) -> None:
    """Until all that was asked of a device is done."""
    if on_gpu(device):
        torch.cuda.synchronize(device)


def on_gpu(device: str | torch.device) -> bool:
    """Whether calls return before their work is done."""
    return torch.device(device).type == "cuda"


def forget_peak(device: str | torch.device) -> None:
    """Let `peak_bytes` begin here, where the device can."""
    if on_gpu(device):
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: str | torch.device) -> int:
    """On a GPU what tensors took at most; on a CPU the most this process ever held."""
    if on_gpu(device):
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
