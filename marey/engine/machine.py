"""What figures of speed are figures of: the processor, what it can do, and the peak it reaches."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from marey.engine.environment import Versions, environment
from marey.jobs.cores import num_cores


@dataclass(frozen=True)
class Machine:
    """Where something was measured, and with what."""

    processor: str
    cores: int
    threads: int
    instruction_sets: tuple[str, ...]
    gpu: str
    """Its name, empty without one."""
    versions: Versions


def this_machine() -> Machine:
    """The machine that runs this process."""
    return Machine(
        processor=processor_name(),
        cores=num_cores(),
        threads=torch.get_num_threads(),
        instruction_sets=instruction_sets(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        versions=environment(),
    )


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
    """
    on_gpu = torch.device(device).type == "cuda"
    sizes = (8192,) if on_gpu else (768, 1536)  # which of them fits the caches best differs
    return max(_fastest_product(size, dtype, device, rounds) for size in sizes)


def _fastest_product(size: int, dtype: torch.dtype, device: str, rounds: int) -> float:
    on_gpu = torch.device(device).type == "cuda"
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    torch.mm(a, b)
    seconds = []
    for _ in range(rounds):
        if on_gpu:
            torch.cuda.synchronize(device)
        start = _now(on_gpu)
        torch.mm(a, b)
        if on_gpu:
            torch.cuda.synchronize(device)
        seconds.append(_now(on_gpu) - start)
    return 2 * size**3 / min(seconds)


def _now(on_gpu: bool) -> float:
    return time.perf_counter() if on_gpu else time.process_time()
