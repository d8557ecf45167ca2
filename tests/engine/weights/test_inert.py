"""Objects beside weights: configurations are read as dicts, the rest is left, nothing runs."""

from __future__ import annotations

import collections
import datetime
import enum
import functools
import io
import logging
import pathlib
import pickletools
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from marey.engine.weights.checkpoint import load_weights
from marey.engine.weights.inert import Unread
from marey.engine.weights.read_file import read_weights_file
from marey.errors import CheckpointError

WEIGHTS = {"conv.weight": torch.ones(2), "conv.bias": torch.zeros(2)}
ran: list[str] = []
"""What code of a file has done; nothing, if all is well."""


class Loud:
    """A class that tells when anything of it is called."""

    def __new__(cls, *args: object, **named: object) -> Loud:
        ran.append(f"new {args}")
        return super().__new__(cls)

    def __init__(self, **named: object) -> None:
        self.__dict__.update(named)

    def __setstate__(self, state: dict[str, Any]) -> None:
        ran.append("setstate")


class LoudDict(dict[str, Any]):
    """A configuration, as yacs, easydict, addict and mmengine make them: a dict with attributes."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.__dict__["__immutable__"] = False

    def __setitem__(self, key: str, value: Any) -> None:
        ran.append(f"set {key}")
        super().__setitem__(key, value)


class Kind(enum.Enum):
    BEST = 1


NAMES = {
    "yacs.config.CfgNode": LoudDict,
    "fvcore.common.config.CfgNode": LoudDict,
    "easydict.EasyDict": LoudDict,
    "mmengine.config.config.ConfigDict": LoudDict,
    "pytorch_lightning.utilities.parsing.AttributeDict": LoudDict,
    "omegaconf.dictconfig.DictConfig": Loud,
    "mmengine.logging.history_buffer.HistoryBuffer": Loud,
    "their_project.train.Options": Loud,
}


@pytest.fixture(params=NAMES)
def stranger(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A class under a name of another library, which is gone when the file is read."""
    *parts, last = request.param.split(".")
    module = ".".join(parts)
    kind = type(last, (NAMES[request.param],), {"__module__": module, "__qualname__": last})
    added = [".".join(parts[: i + 1]) for i in range(len(parts))]
    for name in added:
        sys.modules[name] = types.ModuleType(name)
    setattr(sys.modules[module], last, kind)
    yield kind
    for name in added:
        sys.modules.pop(name, None)


def saved(content: Any, *, as_zip: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=as_zip)
    return file.getvalue()


@pytest.mark.parametrize("as_zip", [True, False])
def test_objects_of_other_libraries_run_nothing(
    stranger: Any, as_zip: bool, tmp_path: Path
) -> None:
    made = stranger(A=1, B=stranger(C="x"))
    data = saved({"state_dict": WEIGHTS, "cfg": made, "kinds": {stranger: 1}}, as_zip=as_zip)
    (tmp_path / "x.pth").write_bytes(data)
    ran.clear()
    content = read_weights_file(tmp_path / "x.pth")
    assert not ran
    assert torch.equal(content["state_dict"]["conv.weight"], WEIGHTS["conv.weight"])
    if issubclass(stranger, dict):
        assert content["cfg"] == {"A": 1, "B": {"C": "x"}}
    else:
        assert isinstance(content["cfg"], Unread)
        assert content["cfg"].of == f"{stranger.__module__}.{stranger.__qualname__}"
    assert set(load_weights(tmp_path / "x.pth")) == set(WEIGHTS)


def test_data_of_python_and_numpy_beside_weights_is_no_obstacle(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)
    beside = {
        "losses": collections.deque([1.0, 2.0], maxlen=5),
        "counts": collections.defaultdict(int, a=1),
        "out": pathlib.PurePosixPath("runs/a"),
        "when": datetime.datetime(2026, 1, 2),
        "half": functools.partial(int, base=2),
        "random": np.random.get_state(),
        "history": np.arange(5.0),
        "best": np.float32(61.5),
        "kind": Kind.BEST,
        "log": logging.getLogger("marey.test"),
        "schedule": torch.optim.lr_scheduler.StepLR(optimizer, 3),
        "optim": optimizer,
    }
    torch.save({"state_dict": WEIGHTS, **beside}, tmp_path / "x.pth")
    content = read_weights_file(tmp_path / "x.pth")
    assert content["losses"] == [1.0, 2.0]
    assert content["counts"] == {"a": 1}
    assert content["best"] == 61.5
    assert set(content) == {"state_dict", *beside}


def calling(module: str, name: str, argument: str = "1") -> bytes:
    """A pickle of protocol 2 that calls a function by its name."""
    text = argument.encode()
    body = b"X" + len(text).to_bytes(4, "little") + text
    call = b"c" + f"{module}\n{name}\n".encode() + body + b"\x85R"
    key = b"X" + (5).to_bytes(4, "little") + b"epoch"
    return b"\x80\x02}" + key + call + b"s."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "__import__"),
        ("builtins", "open"),
        ("__builtin__", "eval"),
        ("commands", "getoutput"),
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("importlib", "import_module"),
        ("runpy", "run_path"),
        ("pickle", "loads"),
        ("shutil", "rmtree"),
        ("ctypes", "CDLL"),
        ("code", "interact"),
        ("socket", "create_connection"),
        ("torch.hub", "load"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.utils.cpp_extension", "load_inline"),
        ("numpy", "load"),
        ("numpy.testing._private.utils", "runstring"),
    ],
)
def test_what_is_there_to_be_called_is_refused_by_name(
    module: str, name: str, tmp_path: Path
) -> None:
    data = calling(module, name)
    pickletools.dis(data, out=io.StringIO())  # it is a whole pickle
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/data.pkl", data)
        archive.writestr("x/version", "3")
    with pytest.raises(CheckpointError, match=f"holds code, which is never run .*{name}"):
        read_weights_file(tmp_path / "x.pth")
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        read_weights_file(tmp_path / "x.pth")


def test_a_call_of_a_stranger_is_not_made_whatever_it_is_called(tmp_path: Path) -> None:
    data = calling("their_project", "eval", "import os")
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/data.pkl", data)
        archive.writestr("x/version", "3")
    unread = read_weights_file(tmp_path / "x.pth")["epoch"]
    assert isinstance(unread, Unread)
    assert unread.of == "their_project.eval"
