"""Signs of life, by which whoever waits for long work tells a slow machine from work that hangs.

Whoever decodes frame after frame calls `beat`, which costs next to nothing and says only that the
work goes on. Who waits in another process gives this one a counter in shared memory
(`marey.jobs.hangs`).
"""

from __future__ import annotations

from collections.abc import MutableSequence

counter: MutableSequence[int] = [0]
"""Beats so far, its one number; another process may have put one of shared memory here."""


def beat() -> None:
    """Say that something was done: a frame was decoded.

    >>> before = counter[0]
    >>> beat()
    >>> counter[0] - before
    1
    """
    counter[0] += 1
