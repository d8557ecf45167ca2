"""What a machine is, as far as it decides which form of a model is fastest on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import torch

from marey.engine.machine import instruction_sets, processor_name
from marey.jobs.cores import num_cores


@dataclass(frozen=True)
class Machine:
    """A processor or a card, and the libraries that compute on it."""

    processor: str
    instructions: tuple[str, ...]
    cores: int
    device: str = "cpu"
    """``cpu``, or the name of the card."""
    threads: int = 1
    """That one process computes with: not a fact of the machine, nor compared."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package -> version, of those that compute."""

    def differs(self, other: Machine) -> str:
        """How `other` differs from this one, in words; empty if it is the same machine."""
        for what, ours, theirs in (
            ("device", self.device, other.device),
            ("processor", self.processor, other.processor),
            ("instruction sets", self.instructions, other.instructions),
            ("number of cores", self.cores, other.cores),
        ):
            if ours != theirs:
                return f"its {what} is {_said(ours)}, here it is {_said(theirs)}"
        for name, ours in self.versions.items():
            if ours != (theirs := other.versions.get(name, "none")):
                return f"it was made with {name} {ours}, here is {theirs}"
        return ""


def this_machine(device: torch.device, packages: Iterable[str] = ()) -> Machine:
    """This machine, with the versions of torch and of the `packages` that are installed."""
    return Machine(
        processor=processor_name(),
        instructions=instruction_sets(),
        cores=num_cores(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        threads=torch.get_num_threads(),
        versions={name: found for name in ("torch", *packages) if (found := installed(name))},
    )


def installed(package: str) -> str:
    """The version of a package, empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _said(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)
