"""What figures of speed are figures of: the processor, what it can do, and the peak it reaches."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from marey.engine.environment import Versions, default_device, environment
from marey.engine.timing import WARM_UP, on_gpu, seconds_of
from marey.jobs.cores import num_cores

PEAK_SECONDS = 3.0
"""For products of one size: ten take 2 s, but in bfloat16 without instructions for it 90 s."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where something was measured, and with what."""

    processor: str
    cores: int
    threads: int = 1
    """That one process computes with: not a fact of the machine."""
    instruction_sets: tuple[str, ...]
    gpu: str
    """The name of the card that computes, empty where the processor does."""
    versions: Versions

    def differs(self, other: Machine) -> str:
        """How `other` differs from this one, in words; empty if it is the same machine.

        Threads may differ, and so may versions of what is not in `versions` here.
        """
        for what, ours, theirs in (
            ("device", self.gpu or "cpu", other.gpu or "cpu"),
            ("processor", self.processor, other.processor),
            ("instruction sets", self.instruction_sets, other.instruction_sets),
            ("number of cores", self.cores, other.cores),
        ):
            if ours != theirs:
                return f"its {what} is {_said(ours)}, here it is {_said(theirs)}"
        for name, ours in self.versions.items():
            if ours != (theirs := other.versions.get(name, "none")):
                return f"it was made with {name} {ours}, here is {theirs}"
        return ""


def this_machine(
    device: torch.device | str | None = None, versions: Versions | None = None
) -> Machine:
    """The machine that runs this process.

    Args:
        device: what computes; by default the GPU if there is one.
        versions: of the packages that compute; by default all that a number may depend on.
    """
    device = torch.device(device or default_device())
    return Machine(
        processor=processor_name(),
        cores=num_cores(),
        threads=torch.get_num_threads(),
        instruction_sets=instruction_sets(),
        gpu=_card(device),
        versions=environment() if versions is None else versions,
    )


def _card(device: torch.device) -> str:
    if device.type == "cpu":
        return ""
    return torch.cuda.get_device_name(device) if on_gpu(device) else device.type


def processor_name() -> str:
    """The name that the processor gives itself; where none is found, its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def instruction_sets() -> tuple[str, ...]:
    """What the processor has, by torch's names; of an older torch, the set that its kernels use."""
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return tuple(sorted(name for name, value in found.items() if value is True))
    return (torch.backends.cpu.get_cpu_capability().lower(),)


def matmul_flops(
    dtype: torch.dtype = torch.float32, device: str = "cpu", *, rounds: int = 10
) -> float:
    """The most floating-point operations a second that a product of square matrices reaches.

    Of a processor they are those of a second of processor time, all threads together: of a core.
    One without instructions for `dtype` is asked for fewer rounds, see `PEAK_SECONDS`.
    """
    best = 0.0
    for size in (8192,) if on_gpu(device) else (768, 1536):  # which fits the caches best differs
        seconds = _products(size, dtype, device, rounds)
        best = max(best, 2 * size**3 / min(seconds))
        if len(seconds) < rounds:
            break
    return best


def _products(size: int, dtype: torch.dtype, device: str, rounds: int) -> list[float]:
    """Seconds of each product, after two that warm up, until `PEAK_SECONDS` are spent."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds: list[float] = []
    for _ in range(WARM_UP + rounds):
        if len(seconds) > WARM_UP and sum(seconds) > PEAK_SECONDS:
            break
        wall, cpu = seconds_of(lambda: torch.mm(a, b), device)
        seconds.append(wall if on_gpu(device) else cpu)
    return seconds[WARM_UP:]


def _said(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)
