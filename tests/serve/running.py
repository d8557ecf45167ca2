"""A server of a tiny model on a port of this machine, for tests that ask it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from marey.engine.inference.predict import Predictor
from marey.serve.app import make_app
from marey.serve.limits import Limits
from marey.serve.server import Server, listening, url_of
from marey.serve.service import Service
from marey.storage.temporary import MARK


@dataclass(frozen=True)
class Running:
    """The server, and how it is asked."""

    url: str
    service: Service
    server: Server
    folder: Path
    """Where uploads lie while they are worked on."""

    def predict(self, file: Path | bytes, **query: Any) -> httpx.Response:
        data = file.read_bytes() if isinstance(file, Path) else file
        return httpx.post(
            f"{self.url}/v1/predict", files={"file": ("a.mp4", data)}, params=query, timeout=60
        )

    def metric(self, name: str) -> float:
        """The sum of the numbers of that name."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def files(self) -> list[Path]:
        """What lies in its temporary folder."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [path for path in files if path.name != MARK]


@contextmanager
def serving(
    predictor: Predictor, folder: Path, limits: Limits | None = None, **options: Any
) -> Iterator[Running]:
    """A server of the model, in a thread until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with running(make_app(predictor, limits, temporary=folder, **options), folder) as server:
        yield server


@contextmanager
def running(app: FastAPI, folder: Path) -> Iterator[Running]:
    """The server of an app, in a thread until the end of the block."""
    up = threading.Event()
    with listening("127.0.0.1", 0) as sock:
        server = Server(app, up.set)
        thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
        thread.start()
        try:
            assert up.wait(600), "the server did not start"
            yield Running(url_of(sock), app.state.service, server, folder)
        finally:
            server.should_exit = True
            thread.join(600)
            assert not thread.is_alive()


def until(true: Any, seconds: float = 300.0) -> bool:
    """Whether it became true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
