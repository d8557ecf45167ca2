"""With what a number was made: versions, device, decoder."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

import av
import torch

from marey.errors import RunError
from marey.version import __version__
from marey.video.reading.reader import Backend

Versions: TypeAlias = dict[str, str]

_PACKAGES = ("torch", "numpy", "av", "pyarrow", "safetensors", "torchcodec", "simplejpeg")


def environment() -> Versions:
    """Versions of what computes, the libraries that decode, the processor and the device."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    versions["marey"] = __version__
    versions |= versions_of(_PACKAGES)
    versions["ffmpeg"] = _ffmpeg()
    versions["processor"] = platform.processor() or platform.machine()
    versions["threads"] = str(torch.get_num_threads())
    if torch.cuda.is_available():
        versions["cuda"] = str(torch.version.cuda)
        versions["gpu"] = torch.cuda.get_device_name()
    return versions


def versions_of(packages: Iterable[str]) -> Versions:
    """The versions of those of the packages that are installed."""
    return {name: found for name in packages if (found := installed(name))}


def installed(package: str) -> str:
    """The version of a package, empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def default_device() -> str:
    """The device where none is named: cuda where there is one, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(name: str | torch.device | None) -> torch.device:
    """The device of that name, or the default one; RunError if nothing can be computed on it."""
    try:
        device = torch.device(name or default_device())
        torch.zeros(1, device=device).item()  # fails where torch or the machine lacks the device
    except (RuntimeError, AssertionError) as error:  # the latter: a build of torch without CUDA
        count = torch.cuda.device_count()
        here = "; ".join(["cpu", *(f"cuda:{n}" for n in range(count))])
        build = "" if torch.version.cuda else " (this torch is built without CUDA)"
        raise RunError(f"there is no device '{name}' here", f"there are: {here}{build}") from error
    return device


def decoder(backend: Backend) -> str:
    """Name and version of what decodes video."""
    package = "av" if backend == "pyav" else backend
    jpeg = f"simplejpeg {version('simplejpeg')}"
    return f"{backend} {version(package)} (FFmpeg {_ffmpeg()}; JPEG: {jpeg})"


def _ffmpeg() -> str:
    parts = av.library_versions.get("libavcodec", ())
    return "libavcodec " + ".".join(map(str, parts))
