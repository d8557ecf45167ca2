"""Starts Python again and again, by forks of a process that has loaded torch and nothing of marey.

`tests/fresh.py` runs this file and asks it. Each fork has the arguments, the folder, the streams
and the environment of a process of its own; only what takes seconds to load is there already.
"""

from __future__ import annotations

import json
import multiprocessing.process
import os
import runpy
import socket
import sys
import types
from pathlib import Path
from typing import Any

import av  # noqa: F401
import fsspec  # noqa: F401
import jinja2  # noqa: F401
import numpy as np  # noqa: F401
import pyarrow.compute
import pyarrow.parquet  # noqa: F401
import pydantic  # noqa: F401
import torch
import torch._dynamo  # by optimisers and the meta device
import torch.export
import typer  # noqa: F401
import yaml  # noqa: F401


def serve(asked: socket.socket) -> list[str]:
    """The arguments of the next fork; returns in forks only."""
    while True:
        message, fds, _, _ = socket.recv_fds(asked, 1 << 20, 4)
        if not message:
            os._exit(0)
        if not os.fork():
            return become(json.loads(message), fds)
        for fd in fds:
            os.close(fd)
        reap()


def become(wanted: dict[str, Any], fds: list[int]) -> list[str]:
    """Fork once more; this process only tells who the other is, and how it has ended."""
    *streams, told = fds
    if child := os.fork():
        os.write(told, b"%d\n" % child)
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    os.closerange(3, max(fds) + 1)
    if wanted["start_new_session"]:
        os.setsid()
    os.chdir(wanted["cwd"])
    multiprocessing.process.ORIGINAL_DIR = wanted["cwd"]  # where its children look for `__main__`
    os.environ.clear()
    os.environ.update(wanted["environ"])
    return wanted["words"]


def reap() -> None:
    """Take note of those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def execute(words: list[str]) -> None:
    """What `python *words` does: `[-P] -m MODULE ...`, `-c CODE ...` or `FILE ...`."""
    safe_path = words[0] == "-P"
    first, *rest = words[safe_path:]
    del sys.path[0]  # the folder of this file
    if first == "-m":
        sys.argv = rest
        if not safe_path:
            sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    else:
        sys.argv = [first, *rest]
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    torch.set_num_threads(1)  # threads do not come along
    execute(serve(socket.socket(fileno=int(sys.argv[1]))))
