"""What the processes of a run do while one of them validates."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

SCRIPT = """
import json
from marey.engine.train import distributed
from marey.engine.train.distributed import ToldError, join_world
from marey.engine.train.stop_signals import StopAsked
from marey.errors import RunError

distributed.BEAT_SECONDS = 0.0

def work(beat):
    for _ in range(3):
        beat()
    return "metrics"

def fail(beat):
    beat()
    raise RunError("no clip", "look")

def stop(beat):
    beat()
    raise StopAsked

def outcome(work):
    try:
        return world.alone(work)
    except (RunError, StopAsked) as error:
        return f"{type(error).__name__}: {error}"

with join_world("cpu") as world:
    print(json.dumps([outcome(each) for each in (work, fail, stop)]))
"""


def test_the_others_wait_and_learn_how_it_ended() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, **ranks, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    main, other = (json.loads(process.communicate(timeout=300)[0]) for process in processes)
    assert main == ["metrics", "RunError: no clip. hint: look", "StopAsked: "]
    assert other == [None, "ToldError: no clip. hint: look", "StopAsked: "]
