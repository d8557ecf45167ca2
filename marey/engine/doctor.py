"""What this machine has, for a person: devices, instruction sets, codecs, extras."""

from __future__ import annotations

import av
import torch

from marey.engine.cached import cache_in_words
from marey.engine.environment import environment, installed
from marey.engine.machine import processor_name
from marey.jobs.cores import num_cores

CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "prores", "wmv3", "mjpeg")
"""Of the videos that people have."""
EXTRAS = {
    "deploy": (
        *("fastapi", "h11", "huggingface-hub", "onnx", "onnxruntime", "onnxscript", "openvino"),
        *("pillow", "prometheus-client", "python-multipart", "uvicorn", "websockets"),
    ),
    "flow": ("opencv-python-headless",),
    "hdf5": ("h5py",),
    "hf": ("huggingface-hub", "peft", "transformers"),
    "ray": ("ray",),
    "remote": ("aiohttp",),
    "sweep": ("optuna",),
    "tensorboard": ("tensorboard",),
    "timm": ("timm",),
    "torchcodec": ("torchcodec",),
    "track": ("tensorboard", "wandb", "mlflow-skinny", "trackio"),
}
"""The packages of each extra that adds to what marey can do, as pyproject.toml has them."""


def facts() -> dict[str, str]:
    """Versions, then what there is to compute with, to decode with, and of optional packages."""
    found = environment() | {"processor": processor_name()}
    found["cores"] = str(num_cores())
    found["instructions"] = torch.backends.cpu.get_cpu_capability()
    found["devices"] = ", ".join(_devices())
    found["codecs"] = ", ".join(name for name in CODECS if name in av.codecs_available)
    found["cache"] = cache_in_words()
    if missing := [name for name in CODECS if name not in av.codecs_available]:
        found["not decoded"] = ", ".join(missing)
    return found | {f"[{extra}]": _installed(extra) for extra in EXTRAS}


def _devices() -> list[str]:
    cards = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    named = [
        f"cuda:{n} ({card.name}, {card.total_memory / 2**30:.0f} GiB)"
        for n, card in enumerate(cards)
    ]
    return ["cpu", *named, *["mps"] * torch.backends.mps.is_available()]


def _installed(extra: str) -> str:
    """The versions of its packages, or the line that installs it."""
    there = []
    for name in EXTRAS[extra]:
        if not (version := installed(name)):
            return f"no {name}: pip install 'marey[{extra}]'"
        there.append(f"{name} {version}")
    return ", ".join(there)
