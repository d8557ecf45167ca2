"""The processes of one run, started as torchrun starts them."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Mapping

HANG_SECONDS = 1500.0
"""Longer than anything here takes on a machine that does a lot else besides."""


def free_port() -> str:
    """A port that is free and stays so: below those that systems choose for connections."""
    while True:
        port = random.randrange(10_000, 20_000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return str(port)


def start_two(script: str, *args: object) -> list[subprocess.Popen[str]]:
    """Two processes of one run that execute `script`; what they print is in their `stdout`."""
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    ranks = ({"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2))
    return [start_one(script, *args, environ=common | rank) for rank in ranks]


def start_one(
    script: str, *args: object, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A process that executes `script`."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        text=True,
    )


def printed_by(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What each has printed, once all have ended well."""
    try:
        said = [process.communicate(timeout=HANG_SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()  # one waits for the other if that failed
    assert [process.returncode for process in processes] == [0] * len(processes)
    return said
