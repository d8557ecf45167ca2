"""With what a number was made: versions, device, decoder."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

import av
import torch

from marey.video.reading.reader import Backend

Versions: TypeAlias = dict[str, str]

_PACKAGES = ("marey", "torch", "numpy", "av", "pyarrow", "safetensors", "torchcodec", "simplejpeg")


def environment() -> Versions:
    """Versions of what computes, the libraries that decode, the processor and the device."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    versions["ffmpeg"] = _ffmpeg()
    versions["processor"] = platform.processor() or platform.machine()
    versions["threads"] = str(torch.get_num_threads())
    if torch.cuda.is_available():
        versions["cuda"] = str(torch.version.cuda)
        versions["gpu"] = torch.cuda.get_device_name()
    return versions


def default_device() -> str:
    """The device where none is named: cuda where there is one, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def decoder(backend: Backend) -> str:
    """Name and version of what decodes video."""
    package = "av" if backend == "pyav" else backend
    jpeg = f"simplejpeg {version('simplejpeg')}"
    return f"{backend} {version(package)} (FFmpeg {_ffmpeg()}; JPEG: {jpeg})"


def _ffmpeg() -> str:
    parts = av.library_versions.get("libavcodec", ())
    return "libavcodec " + ".".join(map(str, parts))
