"""`marey serve` under load, on this machine: many clients, a killed process, hostile uploads.

    python -m benchmarks.serving [--clients 32] [--seconds 60] [--hostile FOLDER] [--json FILE]

The model is TSM-MobileNetV2 (8 frames, 224 pixels), filled by a rule; the videos are made up, four
seconds each, as those of Something-Something. Clients and server share the cores. While the clients
ask, one decoding process is killed; afterwards hostile files are sent, those of the folder first.
What must hold is checked: see `Load.faults`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import psutil  # type: ignore[import-untyped]
import torch

from benchmarks.hostile_files import HOSTILE
from benchmarks.made_up_videos import SSV2_LIKE, made_up
from marey.engine.weights.trained import write_release
from marey.models.video_model import Head
from marey.recipes.catalog import find

RECIPE = "tsm-mobilenetv2"
NUM_CLASSES = 400


@dataclass(frozen=True, kw_only=True)
class Load:
    """What was measured; seconds by the wall, memory in MiB of the server and its processes."""

    clients: int
    seconds: float
    answers: dict[int, int]
    """Status -> requests."""
    a_second: float
    p50_seconds: float
    p99_seconds: float
    memory_start: float
    memory_middle: float
    memory_end: float
    killed_lost: int
    """Requests that ended with 503 when a decoding process was killed."""
    hostile: dict[int, int] = field(default_factory=dict)
    """Status -> hostile uploads; 0 where the connection ended."""
    files_left: int = 0

    def faults(self) -> list[str]:
        """What does not hold."""
        lost = {status for status in self.answers if status not in (200, 429)} - {503}
        return [
            *(f"{self.answers[status]} requests ended with {status}" for status in sorted(lost)),
            *([f"a process took {self.killed_lost} requests along"] * (self.killed_lost > 1)),
            *(["memory grew by over a tenth"] * (self.memory_end > 1.1 * self.memory_middle)),
            *(f"hostile: {status}" for status in self.hostile if status in (500, 502, 503)),
            *([f"{self.files_left} files were left"] * (self.files_left > 0)),
        ]


async def ask(
    url: str, videos: Sequence[bytes], end: float, found: list[tuple[int, float]]
) -> None:
    """One client, which asks again as soon as it has its answer."""
    async with httpx.AsyncClient(timeout=120) as client:
        number = len(found)
        while time.monotonic() < end:
            number += 1
            sent = {"file": ("clip", videos[number % len(videos)])}
            start = time.monotonic()
            answer = await client.post(f"{url}/v1/predict", files=sent)
            found.append((answer.status_code, time.monotonic() - start))
            if answer.status_code == 429:
                await asyncio.sleep(float(answer.headers["Retry-After"]))


async def watch(server: psutil.Process, end: float, memory: list[float]) -> None:
    """Note the memory every second, and kill a decoding process once half of the time is over."""
    half, is_killed = time.monotonic() + (end - time.monotonic()) / 2, False
    while time.monotonic() < end:
        memory.append(memory_of(server))
        if not is_killed and time.monotonic() > half:
            os.kill(decoders_of(server)[0].pid, signal.SIGKILL)
            is_killed = True
        await asyncio.sleep(1)


async def hostile_uploads(url: str, files: Sequence[bytes]) -> Counter[int]:
    """Statuses of files that are no plain videos, eight at a time."""
    found: Counter[int] = Counter()
    at_a_time = asyncio.Semaphore(8)

    async def send(client: httpx.AsyncClient, data: bytes) -> None:
        async with at_a_time:
            try:
                sent = {"file": ("../../etc/passwd", data, "image/jpeg")}
                answer = await client.post(f"{url}/v1/predict", files=sent)
                found[answer.status_code] += 1
            except httpx.TransportError:
                found[0] += 1

    async def endless() -> None:
        async def body() -> Any:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
            while True:
                yield bytes(1 << 16)

        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        async with httpx.AsyncClient(timeout=120) as own:
            try:
                answer = await own.post(f"{url}/v1/predict", content=body(), headers=kind)
                found[answer.status_code] += 1
            except httpx.TransportError:  # it was cut off while it sent
                found[0] += 1

    async with httpx.AsyncClient(timeout=120) as client:
        await asyncio.gather(
            *(send(client, data) for data in files), *(endless() for _ in range(4))
        )
    return found


def measure(clients: int, seconds: float, folder: Path, hostile: Sequence[bytes]) -> Load:
    """Start a server, load it, and see what becomes of it."""
    manifest = made_up(SSV2_LIKE, folder / "videos", 8)
    videos = [manifest.path(row).read_bytes() for row in range(8)]
    temporary = folder / "tmp"
    temporary.mkdir()
    with serving(release(folder / "release"), temporary) as (url, server):
        found: list[tuple[int, float]] = []
        memory: list[float] = []

        async def load() -> None:
            await asyncio.gather(  # until every process has decoded, and memory is what it will be
                *(ask(url, videos, time.monotonic() + 3, []) for _ in range(clients))
            )
            end = time.monotonic() + seconds
            await asyncio.gather(
                watch(server, end, memory), *(ask(url, videos, end, found) for _ in range(clients))
            )

        asyncio.run(load())
        statuses = Counter(status for status, _ in found)
        served = np.array([took for status, took in found if status == 200])
        sent = asyncio.run(hostile_uploads(url, hostile)) if hostile else Counter[int]()
        httpx.get(f"{url}/healthz").raise_for_status()
        time.sleep(1)
        left = [path for path in temporary.rglob("*") if path.is_file()]
    return Load(
        clients=clients,
        seconds=seconds,
        answers=dict(sorted(statuses.items())),
        a_second=round(len(served) / seconds, 2),
        p50_seconds=round(float(np.quantile(served, 0.5)), 3),
        p99_seconds=round(float(np.quantile(served, 0.99)), 3),
        memory_start=memory[0],
        memory_middle=memory[len(memory) // 2],
        memory_end=memory[-1],
        killed_lost=statuses[503],
        hostile=dict(sorted(sent.items())),
        files_left=len(left),
    )


def release(folder: Path) -> Path:
    """A release of the model, whose weights are drawn."""
    recipe = find(RECIPE)
    recipe = replace(recipe, model=replace(recipe.model, heads=(Head("label", NUM_CLASSES),)))
    torch.manual_seed(0)
    model = recipe.model.build().eval()
    classes = {"label": [f"class {number}" for number in range(NUM_CLASSES)]}
    return write_release(folder, recipe, model.state_dict(), classes, "made up")


@contextmanager
def serving(model: Path, temporary: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`marey serve` as people start it: its url, and its process."""
    command = [sys.executable, "-m", "marey", "serve", str(model), "--port", "0"]
    environ = os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"http://\S+", line)
        assert match, f"it did not start: {line}"
        yield match[0], psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def memory_of(server: psutil.Process) -> float:
    """MiB of the server and its processes; what they share counts once."""
    family = [server, *server.children(recursive=True)]
    total = 0
    for each in family:
        try:
            total += each.memory_full_info().pss
        except psutil.NoSuchProcess:  # it has just been replaced
            continue
    return round(total / 2**20, 1)


def decoders_of(server: psutil.Process) -> list[psutil.Process]:
    """The decoding processes: those that the server of forks has forked."""
    return [each for each in server.children(recursive=True) if each.ppid() != server.pid]


def main() -> None:
    """Measure, print, and fail where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hostile", type=Path, help="a folder of odd files")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths = sorted(options.hostile.rglob("*")) if options.hostile else []
    odd = [path.read_bytes() for path in paths if path.is_file()]
    made = [make() for make in HOSTILE.values()]
    with TemporaryDirectory() as folder:
        found = measure(options.clients, options.seconds, Path(folder), [*odd, *made])
    text = json.dumps(asdict(found), indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    if faults := found.faults():
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
