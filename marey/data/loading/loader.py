"""The one way batches are loaded."""

from __future__ import annotations

import signal


def ignore_in_worker(_: int) -> None:
    """Let the main process decide: Ctrl-C and Slurm's SIGTERM reach loader workers too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
