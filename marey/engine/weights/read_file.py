"""Files of weights, read without running anything in them.

Read are .safetensors and whatever `torch.save` wrote (zip since 1.6, bare pickles before, often
called .pth.tar), both by a restricted unpickler: classes that only hold numbers pass, others that
may stand beside weights are replaced (`marey.engine.weights.inert`), everything else stops the
reading. What is not such a file is named: a web page saved under its name, the pointer of git-lfs,
an archive, a file cut short.
"""

from __future__ import annotations

import argparse
import pickle
import re
import struct
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch

from marey.engine.weights.inert import Unread, stand_ins
from marey.engine.weights.pickle_scan import Makers, scan_pickles
from marey.errors import CheckpointError


def read_weights_file(path: Path, *, mapped: bool = False) -> Any:
    """What the file holds, mostly a dict, tensors on the CPU; CheckpointError says what is wrong.

    No code in the file is run. `mapped` reads of a tensor what is looked at, for what stands beside
    them.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"there is no checkpoint {path}: it {what}")
    with path.open("rb") as file:
        head = file.read(512)
    if foreign := _foreign(path, head):
        raise CheckpointError(
            f"{path} cannot be read as weights: it is {foreign.what}", foreign.remedy
        )
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _read_safetensors(path)
    beside = stand_ins(_scanned(path, head))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the pickle is old, or unlike what torch writes
        try:
            with torch.serialization.safe_globals([*beside, *_HARMLESS]):
                mapped = mapped and head.startswith(b"PK")  # what torch writes since 1.6
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except _UNREADABLE as error:
            raise _explained(path, head, error) from error
    if isinstance(content, Unread):
        raise holds_an_object(path, content)
    return content


def holds_an_object(path: Path, unread: Unread, entry: str = "") -> CheckpointError:
    """That weights lie in an object of a class, which is never made, and how to get them out."""
    where = f" in '{entry}'" if entry else ""
    return CheckpointError(
        f"{path} cannot be read as weights: it holds an object of {unread.of}{where}, whose code "
        "is never run",
        f"{_PLAIN}; or, where you trust it and have its libraries, make one: {_SNIPPET}",
    )


_HARMLESS: list[Any] = [
    argparse.Namespace,  # the options of a training script
    np.dtype,
    *(type(np.dtype(code)) for code in (*np.typecodes["AllInteger"], *"?efdFDUS")),
    np.float64(0).__reduce__()[0],  # how numpy pickles a number: the best accuracy
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
]


# What torch's unpickler, zip reader and old tar reader raise on arbitrary bytes.
_UNREADABLE = (
    *(OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError, IndexError),
    *(TypeError, AttributeError, AssertionError, OverflowError, MemoryError, struct.error),
)


def _instead(path: Path, of_others: str) -> str:
    """What to do about a file that is not whole: of a run, what lies beside it is named."""
    of_a_run = [path.with_name(name) for name in ("best.pt", "last.pt") if name != path.name]
    if beside := [str(other) for other in of_a_run if other.is_file()]:
        return (
            f"{beside[0]} of this run is there: name that file, to train from it as the weights "
            "(--weights)"
        )
    if path.parent.name == "checkpoints":
        return "the run has no other checkpoint: train again"
    return of_others


class _Foreign(NamedTuple):
    what: str
    remedy: str


def _foreign(path: Path, head: bytes) -> _Foreign | None:
    """What a file is that holds no weights, if its first bytes say so."""
    start = head.lstrip().lower()
    if not head:
        return _Foreign("empty (0 bytes)", _instead(path, "download it again"))
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return _Foreign(
            "a web page, saved under the name of weights",
            "open the link in a browser; large files of shared drives ask before they download",
        )
    if start.startswith(b"version https://git-lfs"):
        return _Foreign("a pointer of git-lfs, not the file", "run `git lfs pull` where it is from")
    for offset, magic, name in _ARCHIVES:
        if head.startswith(magic, offset):
            return _Foreign(f"a {name} archive", "unpack it and give the file of weights inside")
    names = _names_in_zip(path) if head.startswith(b"PK") else None
    if names is not None and not any(name.endswith("data.pkl") for name in names):
        return _Foreign(
            f"a zip archive of {', '.join(names[:3]) or 'nothing'}",
            "unpack it and give the file of weights inside",
        )
    if any(name.partition("/")[2].startswith("code/") for name in names or ()):
        return _Foreign("a TorchScript program, code and weights in one", _PLAIN)
    for magic, name in _NO_STATE_DICTS:
        if head.startswith(magic):
            return _Foreign(name, _PLAIN)
    return _Foreign("an ONNX graph", _PLAIN) if path.suffix == ".onnx" else None


def _scanned(path: Path, head: bytes) -> Makers:
    """What its pickles name; CheckpointError for a file that would become larger in memory.

    torch.save compresses nothing.
    """
    size = path.stat().st_size
    if head.startswith(b"PK"):
        with suppress(zipfile.BadZipFile, *_UNREADABLE), zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > size:
                raise CheckpointError(
                    f"{path} is compressed: {size:,} bytes that become "
                    f"{sum(entry.file_size for entry in entries):,}",
                    "torch.save compresses nothing: pack it again with `zip -0`, if you trust it",
                )
    return scan_pickles(path)


def _names_in_zip(path: Path) -> list[str] | None:
    """What the archive holds; None if its index cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, *_UNREADABLE):
        return None


_NO_STATE_DICTS = (
    (b"\x93NUMPY", "an array of numpy"),
    (b"\x89HDF\r\n", "an HDF5 file, as of Keras"),
)

_ARCHIVES = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!", "rar"),
    (0, b"\xfd7zXZ", "xz"),
    (0, b"BZh", "bzip2"),
    (257, b"ustar", "tar"),
)


def _read_safetensors(path: Path) -> Any:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors: {error}", "it is cut short or something else"
        ) from error


_PLAIN = "ask its author for a plain state dict (torch.save(model.state_dict(), FILE))"
_SNIPPET = """
    import torch
    content = torch.load(FILE, weights_only=False, map_location="cpu")
    torch.save(content["state_dict"], "plain.pth")"""
_PICKLES = (b"\x80\x04", b"\x80\x05")
"""Protocols 4 and 5; torch.save writes 2."""


def _explained(path: Path, head: bytes, error: BaseException) -> CheckpointError:
    if match := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return CheckpointError(
            f"{path} cannot be read as weights: it holds code, which is never run ({match[1]})",
            f"{_PLAIN}; or, where you trust it and have its libraries, make one: {_SNIPPET}",
        )
    if head.startswith(_PICKLES):
        return CheckpointError(
            f"{path} cannot be read as weights: it is a pickle that torch.save did not write; "
            "what it holds may be code, and is never run",
            _PLAIN,
        )
    if match := re.search(r"Unsupported operand \d+", str(error)):
        return CheckpointError(
            f"{path} cannot be read as weights: its pickle is of another kind than torch.save "
            f"writes of itself, pickle_protocol=4 for one ({match[0]}); what it holds may be code, "
            "and is never run",
            f"{_PLAIN}; or, where you trust it, make one: {_SNIPPET}",
        )
    if head.startswith(b"PK"):
        is_whole = _names_in_zip(path) is not None
        reason = "it is damaged" if is_whole else "its archive has no end, so it is cut short"
    elif head.startswith(b"\x80"):
        reason = "it is cut short, damaged, or a pickle that torch.save did not write"
    else:
        reason = "it does not begin as a file of torch.save or safetensors does"
    return CheckpointError(
        f"{path} cannot be read as weights: {reason} ({path.stat().st_size:,} bytes; "
        f"{_first_line(error)})",
        _instead(path, "compare its size with that of the original and download it again"),
    )


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
