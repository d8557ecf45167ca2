"""Ways of doing the same, timed side by side.

They take turns in one process, a round after the other, so that whatever else the machine does
meets all of them alike, and each way's figure is the median of its rounds. Processor time (of all
threads) stands beside wall time: on a machine with other work only the former repeats.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from marey.engine.timing import Times, seconds_of, wait

ROUNDS = 7
"""Fewer make no median that a slow moment of the machine cannot move."""

T = TypeVar("T")


@dataclass(frozen=True)
class Timing(Times, Generic[T]):
    """How long one way took, a number a round, and what it gave when it was warmed up."""

    output: T


def side_by_side(
    ways: Mapping[str, Callable[[], T]],
    *,
    rounds: int = ROUNDS,
    seconds: float = 0.0,
    within: float = math.inf,
    warm_up: int = 1,
    device: str = "cpu",
) -> dict[str, Timing[T]]:
    """The timing of each way, by name; without those that there was no time for.

    Args:
        ways: what is called, without arguments.
        rounds: in which each way is called once; the first is another one every round.
        seconds: rounds are added until they took so long.
        within: seconds of all calls. Ways are left out from the first, behind the second, with
            which the rounds would take longer; then rounds are, behind the first.
        warm_up: calls of each way before the first round; the last one's output is kept.
        device: whose queue is waited for before a clock is read.
    """
    if not ways or rounds < 1 or warm_up < 1:
        raise ValueError(
            f"{len(ways)} ways, {rounds} rounds and {warm_up} calls to warm up; expected at least "
            "one of each"
        )
    start = time.monotonic()
    outputs = _warmed_up(ways, warm_up, rounds, within, device)
    names = list(outputs)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    gc.collect()
    begun, done = time.monotonic(), 0
    while done < rounds or time.monotonic() < begun + seconds:
        now = time.monotonic()
        if done and now + (now - begun) / done > start + within:
            break
        first = done % len(names)  # nobody always follows the one that empties the caches
        for name in names[first:] + names[:first]:
            taken[name].append(seconds_of(ways[name], device))
        done += 1
    return {
        name: Timing(
            wall=tuple(wall for wall, _ in taken[name]),
            cpu=tuple(cpu for _, cpu in taken[name]),
            output=outputs[name],
        )
        for name in names
    }


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, as a share of their largest number."""
    largest = theirs.abs().max().item()
    difference = (ours - theirs).abs().max().item()
    return difference / largest if largest else difference


def _warmed_up(
    ways: Mapping[str, Callable[[], T]], calls: int, rounds: int, within: float, device: str
) -> dict[str, T]:
    """What the last of so many calls of each way gives; not of ways that there is no time for."""
    outputs: dict[str, T] = {}
    start, a_round = time.monotonic(), 0.0
    for name, way in ways.items():
        known = len(outputs)
        next_too = a_round * (known + 1) / known if known else 0.0  # as the mean of those so far
        if known > 1 and time.monotonic() - start + rounds * next_too > within:
            break
        for _ in range(calls):
            began = time.monotonic()
            outputs[name] = way()
            wait(device)
        a_round += time.monotonic() - began
    return outputs
