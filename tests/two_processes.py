"""The processes of one run, started as torchrun starts them."""

from __future__ import annotations

import random
import socket

from tests.fresh import HANG_SECONDS as HANG_SECONDS
from tests.fresh import Process


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


def start_two(script: str, *args: object) -> list[Process]:
    """Two processes of one run that execute `script`; see `printed_by`."""
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    ranks = ({"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2))
    return [Process("-c", script, *args, environ=common | rank) for rank in ranks]


def start_one(script: str, *args: object) -> Process:
    """A process that executes `script`."""
    return Process("-c", script, *args)


def printed_by(processes: list[Process]) -> list[str]:
    """What each has printed, once all have ended well."""
    try:
        said = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()  # one waits for the other if that failed
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return [out for out, _ in said]
