"""What hangs is told from what is slow by what it does, and never by how busy the machine is."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from marey import pulse
from marey.jobs import hangs
from marey.jobs.hangs import Watch
from marey.jobs.processes import Lost, Processes

LIMIT = 0.4


@dataclass
class World:
    """The clocks that a watch reads, and the sign of life."""

    wall: float = 0.0
    processor: float = 0.0
    sign: int = 0

    def watch(self, seconds: float) -> Watch:
        return Watch(1, lambda: self.sign, seconds)

    def passes(self, seconds: float, *, share: float) -> None:
        """So long, in which the process has this share of a core."""
        self.wall += seconds
        self.processor += share * seconds


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(hangs.time, "monotonic", lambda: world.wall)
    monkeypatch.setattr(hangs, "processor_seconds", lambda _: world.processor)
    return world


@pytest.mark.parametrize("share", [0.5, 0.05, 0.01])
def test_one_that_waits_for_its_turn_has_its_time_of_the_processor(
    world: World, share: float
) -> None:
    watch, verdicts = world.watch(60.0), []
    while world.processor < 120.0 and not (verdicts and verdicts[-1]):
        world.passes(10.0, share=share)
        verdicts.append(watch.verdict())
    assert verdicts.pop() == "not done after 60 s of processor time"
    assert not any(verdicts)
    assert 60.0 <= world.processor < 60.0 + 10.0


def test_one_that_does_not_compute_hangs_when_it_is_seen_so_twice(world: World) -> None:
    watch = world.watch(60.0)
    world.passes(59.0, share=0.0)
    assert not watch.verdict()
    world.passes(3600.0, share=0.0)  # the machine slept: all clocks jump
    assert not watch.verdict()
    world.passes(6.0, share=0.0)
    assert watch.verdict() == "not done after 60 s"


def test_one_that_slept_with_the_machine_goes_on(world: World) -> None:
    watch = world.watch(60.0)
    world.passes(3600.0, share=0.0)
    assert not watch.verdict()
    for _ in range(20):
        world.passes(10.0, share=0.2)
        assert not watch.verdict()


def test_a_sign_of_life_gives_it_its_time_anew(world: World) -> None:
    watch = world.watch(60.0)
    for _ in range(100):
        world.passes(50.0, share=1.0)
        world.sign += 1
        assert not watch.verdict()
    world.passes(60.0, share=1.0)
    assert watch.verdict() == "not done after 60 s of processor time"


def _spin(seconds: float) -> float:
    """Compute for so long, and say so all the while if it is below zero."""
    end = time.process_time() + abs(seconds)
    while time.process_time() < end:
        if seconds < 0:
            pulse.beat()
    return seconds


def test_a_job_that_computes_for_ever_is_lost_and_one_that_gets_on_is_not() -> None:
    jobs = [-4 * LIMIT, 1000.0]
    found = dict(Processes(2).answers(_spin, jobs, timeout_seconds=LIMIT))
    assert found[jobs[0]] == jobs[0]
    assert found[1000.0] == Lost(f"not done after {LIMIT:g} s of processor time")
    assert found[1000.0].hung
