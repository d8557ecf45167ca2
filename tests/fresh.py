"""Processes in which nothing of marey is loaded yet, started in a fraction of the time.

They are forks of a server that has loaded torch; see `fork_server.py`. What is about a start itself
(its time, its encoding, a hash seed of its own) takes `subprocess`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

SERVER = Path(__file__).with_name("fork_server.py")
HANG_SECONDS = 1500.0
"""Longer than anything here takes on a machine that does a lot else besides."""


class Process:
    """`python *words`, in a fork of the server."""

    def __init__(
        self,
        *words: object,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        start_new_session: bool = False,
    ) -> None:
        """`environ`: what differs from the environment of the tests."""
        self.words = [*map(str, words)]
        self._out, self._err = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115
        self._told, told = os.pipe()
        wanted = {
            "words": self.words,
            "cwd": str(cwd or Path.cwd()),
            "environ": {**os.environ, **(environ or {})},
            "start_new_session": start_new_session,
        }
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            fds = [nothing.fileno(), self._out.fileno(), self._err.fileno(), told]
            socket.send_fds(server(), [json.dumps(wanted).encode()], fds)
        os.close(told)
        self.pid = int(self._line())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended, if it has."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float = HANG_SECONDS) -> int:
        """How it ended, once it has."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.words, timeout)
            self.returncode = int(self._line())
            os.close(self._told)
        return self.returncode

    def communicate(self, timeout: float = HANG_SECONDS) -> tuple[str, str]:
        """What it has written to stdout and stderr, once it has ended."""
        self.wait(timeout)
        texts = []
        for file in (self._out, self._err):
            with file:
                file.seek(0)
                texts.append(file.read().decode())
        return texts[0], texts[1]

    def kill(self) -> None:
        """End it, if it has not."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._told, 1)
            assert byte, "the fork server is gone"
            line += byte
        return line


def run(
    *words: object, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python *words`, ended."""
    process = Process(*words, cwd=cwd, environ=environ)
    try:
        out, err = process.communicate()
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.words, process.wait(), out, err)


def printed(*words: object, cwd: Path | None = None) -> str:
    """What `python *words` writes to stdout; it has to end well."""
    done = run(*words, cwd=cwd)
    assert done.returncode == 0, f"{shlex.join(done.args)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@cache
def server() -> socket.socket:
    """Where to ask for forks; one server for all tests of this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, str(SERVER), str(theirs.fileno())]
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
    atexit.register(process.wait)
    atexit.register(ours.shutdown, socket.SHUT_RDWR)  # first: the server ends with it
    return ours
