from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marey.engine.live.recogniser import Answer, live_recogniser
from marey.engine.live.watch import LATENCIES, Seen, Watch, Watched
from marey.errors import DecodeError, RunError
from marey.timelines.decisions import MeanOfLast
from marey.video.live.clock import Clock, Thinner
from marey.video.live.feed import FeedOptions
from marey.video.live.moment import Moment
from tests.engine.live.test_recogniser import (
    BOTH,
    WHITE,
    answers_to,
    of_white_nothing,
    pictures,
    predictor,
)
from tests.video.live.scripted import Scripted, Step, picture

ALL = FeedOptions(keep_all=True, first_pause=0.01)


@dataclass(frozen=True)
class Filmed:
    """A video of 10 frames a second."""

    video: object
    name: str = "filmed"
    breaks = False

    def moments(self, stop: threading.Event) -> Iterator[Moment]:
        for i, each in enumerate(self.video):  # type: ignore[arg-type, var-annotated]
            yield Moment(i / 10, lambda each=each: each)  # type: ignore[misc]


def moment(seconds: float, level: int = 100) -> Moment:
    return Moment(seconds, lambda: picture(level, 48, 40))


def test_sources_in_one_batch_get_what_each_gets_alone() -> None:
    recogniser = live_recogniser(predictor())
    videos = [pictures(5, seed=seed) for seed in range(3)]
    seen: list[Seen] = []
    watch = Watch(recogniser, [Filmed(video) for video in videos], ALL)
    watch.run(seen.append)
    for number, video in enumerate(videos):
        found = [each.answer for each in seen if each.source == number]
        for one, other in zip(found, answers_to(recogniser, video), strict=True):
            assert one is not None
            assert one.label == other.label
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_sources_that_are_called_alike_are_told_apart() -> None:
    names = ("rtsp://host/a", "rtsp://host/b", "rtsp://host/a")
    sources = [Filmed(pictures(1), name) for name in names]
    watch = Watch(live_recogniser(predictor()), sources, ALL)
    assert [watched.name for watched in watch.watched] == [
        *("rtsp://host/a (1)", "rtsp://host/b", "rtsp://host/a (2)")
    ]


def test_what_became_of_frames_is_told() -> None:
    said: list[tuple[int, str]] = []
    recogniser = live_recogniser(predictor(BOTH), window_seconds=0.4, stride_seconds=0.2)
    broke = DecodeError("it broke")
    steps: list[Step] = [moment(i / 10) for i in range(5)]
    source = Scripted([[*steps, broke], [*steps, moment(0.5)]], breaks=True, name="cam")
    watch = Watch(recogniser, [source], ALL)
    watch.run(lambda _: None, lambda number, text: said.append((number, text)))
    [told] = watch.summary()["sources"]
    assert told.pop("latency_p50") <= told.pop("latency_p95") < 60
    assert told == {
        "source": "cam",
        "read": 11,
        "passed_over": 0,
        "dropped": 0,
        "reconnects": 1,
        "jumps": 0,
        "sizes": 1,
        "looked_at": 11,
        "answered": 4,  # at 0.2 and 0.4, and again after it began anew
        "restarts": 1,
    }
    assert said[-1] == (0, "ended")
    assert "it broke; opened again" in said[0][1]


def test_time_that_jumps_back_begins_the_stream_anew() -> None:
    source = Scripted([[moment(50), moment(51), moment(2), moment(3)]])
    watch = Watch(live_recogniser(predictor()), [source], ALL)
    watch.run(lambda _: None)
    [told] = watch.summary()["sources"]
    assert (told["jumps"], told["restarts"], told["answered"]) == (1, 1, 4)


def test_a_stream_without_numbers_is_said_and_ends_where_its_past_is_not_to_blame() -> None:
    once, always = pictures(6), pictures(6)
    once[3], always[2:] = WHITE, WHITE
    said: list[tuple[int, str]] = []
    seen: list[Seen] = []
    sources = [Filmed(pictures(6)), Filmed(once), Filmed(always)]
    watch = Watch(of_white_nothing(), sources, ALL)
    watch.run(seen.append, lambda *each: said.append(each))
    told = watch.summary()["sources"]
    assert [of["answered"] for of in told] == [6, 5, 2]
    assert [of["restarts"] for of in told] == [0, 1, 2]
    fault = "the scores of 'label' are not finite"
    assert said.count((1, f"{fault}: the stream begins anew")) == 1
    assert [text.partition(". hint")[0] for number, text in said if number == 2] == [
        *(f"{fault}: the stream begins anew", f"ended: {fault}")
    ]
    without = [each for each in seen if each.answer is None]
    assert [each.source for each in without if each.source != 2] == [1]
    with pytest.raises(RunError, match=fault):
        Watch(of_white_nothing(), [Filmed(always), Filmed(always[2:])], ALL).run(seen.append)


def test_windows_without_numbers_are_said_too() -> None:
    white = np.stack([WHITE] * 30)
    told: list[str] = []
    watch = Watch(of_white_nothing(BOTH), [Filmed(pictures(30)), Filmed(white)], ALL)
    watch.run(lambda _: None, lambda number, text: told.append(text) if number else None)
    assert [of["answered"] for of in watch.summary()["sources"]] == [5, 0]
    assert told[0].endswith("not finite: the stream begins anew")
    assert told[1].startswith("ended: the scores of 'label' are not finite")


def test_none_is_looked_at_before_all_have_begun() -> None:
    """Or whatever is written would be there already when the name that was wrong is mended."""
    goes_on = threading.Event()
    seen: list[Seen] = []
    good, late = Filmed(pictures(3)), Scripted([[goes_on, DecodeError("no such camera")]])
    watch = Watch(live_recogniser(predictor()), [good, late], ALL)
    threading.Timer(0.05, goes_on.set).start()
    with pytest.raises(DecodeError, match="no such camera"):
        watch.run(seen.append)
    assert seen == []
    silent = Scripted([[threading.Event()]])  # as a folder into which nothing has come yet
    options = FeedOptions(keep_all=True, stall_seconds=0.05)
    watch = Watch(live_recogniser(predictor()), [good, silent], options, most_frames=3)

    def look(each: Seen) -> None:
        seen.append(each)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch.run(look)
    assert [each.source for each in seen] == [0, 0, 0]


def test_a_camera_that_never_opens_delays_the_others_no_longer_than_a_stall() -> None:
    fails, said = threading.Event(), list[tuple[int, str]]()
    late = Scripted([[fails, DecodeError("no such camera")]], breaks=True)
    options = FeedOptions(keep_all=True, stall_seconds=0.05)
    watch = Watch(live_recogniser(predictor()), [Filmed(pictures(9)), late], options)
    seen: list[Seen] = []

    def look(each: Seen) -> None:
        seen.append(each)
        fails.set()  # while the other goes on

    watch.run(look, lambda *each: said.append(each))
    assert [each.source for each in seen] == [0] * 9
    assert [text.partition(" for")[0] for number, text in said if number == 1] == [
        "no frame",
        "ended: no such camera",
    ]
    alone = Scripted([[fails, DecodeError("no such camera")]], breaks=True)
    with pytest.raises(DecodeError, match="no such camera"):
        Watch(live_recogniser(predictor()), [alone], options).run(seen.append)


def test_limits_end_it() -> None:
    recogniser = live_recogniser(predictor())
    seen: list[Seen] = []
    sources = [Filmed(pictures(9)), Filmed(pictures(2))]
    Watch(recogniser, sources, ALL, most_frames=3).run(seen.append)
    assert sorted(each.source for each in seen) == [0, 0, 0, 1, 1]
    endless = Scripted([[moment(0), threading.Event()]])
    watch = Watch(recogniser, [endless], most_seconds=0.2)
    watch.run(seen.append)
    assert watch.seconds >= 0.2
    for wrong in ({"most_frames": 0}, {"most_seconds": 0.0}):
        with pytest.raises(ValueError, match="most_"):
            Watch(recogniser, sources, **wrong)


def test_a_source_that_cannot_be_read_is_an_error_and_one_that_breaks_later_is_said() -> None:
    recogniser = live_recogniser(predictor())
    gone, good = DecodeError("no such camera"), Filmed(pictures(3))
    with pytest.raises(DecodeError, match="no such camera"):
        Watch(recogniser, [good, Scripted([[gone]])], ALL).run(lambda _: None)
    said: list[tuple[int, str]] = []
    late = Scripted([[moment(0), DecodeError("too large")]])
    Watch(recogniser, [good, late], ALL).run(lambda _: None, lambda *each: said.append(each))
    assert (1, "ended: too large") in said
    late = Scripted([[moment(0), DecodeError("too large")]])
    with pytest.raises(DecodeError, match="too large"):
        Watch(recogniser, [late], ALL).run(lambda _: None)


def test_a_source_that_stalls_is_said_and_the_others_go_on() -> None:
    goes_on = threading.Event()
    said: list[tuple[int, str]] = []
    seen: list[Seen] = []
    stalls = Scripted([[moment(0), goes_on, moment(1), moment(2)]])
    options = FeedOptions(keep_all=True, stall_seconds=0.05)
    watch = Watch(live_recogniser(predictor()), [stalls, Filmed(pictures(30))], options)

    def say(number: int, text: str) -> None:
        said.append((number, text))
        if number == 0 and "no frame for" in text:
            goes_on.set()

    watch.run(seen.append, say)
    assert next(text.partition(" for")[0] for number, text in said if number == 0) == "no frame"
    assert any(text.startswith("goes on after") for number, text in said if number == 0)
    assert [of["answered"] for of in watch.summary()["sources"]] == [3, 30]


class Simulated:
    """A camera, a model and a clock that a test moves: nothing waits."""

    def __init__(self, gaps: Sequence[float], takes: Sequence[float]) -> None:
        self.now, self.arrivals, self.takes = 0.0, deque(np.cumsum(gaps)), list(takes)
        self.looked: list[tuple[float, float, float]] = []
        """Of each frame that was looked at: its time, when the model began and when it ended."""

    def monotonic(self) -> float:
        return self.now

    def begin(self) -> Any:
        return SimpleNamespace(num_restarts=0)

    by = "frame"

    def step(self, frames: Sequence[tuple[Any, Any, float]]) -> list[Answer]:
        [(_, _, seconds)] = frames
        began, ends = self.now, self.now + self.takes[len(self.looked) % len(self.takes)]
        while self.arrivals and self.arrivals[0] <= ends:
            self.arrive()
        self.now = ends
        self.looked.append((seconds, began, ends))
        one = np.ones(1, np.float32)
        return [Answer(seconds, "up", 1.0, "label", one, "up", 1.0, ("up",))]

    def arrive(self) -> None:
        self.now = self.arrivals.popleft()
        self.feed._arrived(moment(self.now), *self.keeps)

    def run(self) -> tuple[Watch, list[Seen]]:
        watch = Watch(self, [Filmed(())])  # type: ignore[arg-type]
        [self.feed] = watch._feeds
        self.keeps = Clock(self.feed.say), Thinner(None)
        seen: list[Seen] = []
        while self.arrivals or self.feed.has_picture:
            if due := watch._due():
                watch._look(due, seen.append)
            else:
                self.arrive()
        return watch, seen


MILLISECONDS = st.lists(st.integers(1, 200).map(lambda n: n / 1024), min_size=1, max_size=30)


@given(gaps=MILLISECONDS, takes=MILLISECONDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_delays_and_dropped_frames_are_counted_right_and_bounded(
    gaps: list[float], takes: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer waits for the one that is being computed, and for itself."""
    times, world = np.cumsum(gaps), Simulated(gaps, takes)
    with monkeypatch.context() as patched:
        for module in ("marey.engine.live.watch", "marey.video.live.feed"):
            patched.setattr(f"{module}.time", world)
        watch, seen = world.run()
    free = 0.0
    for i, (each, (seconds, began, ends)) in enumerate(zip(seen, world.looked, strict=True)):
        assert seconds == times[times <= began][-1]  # the newest one that there was
        assert each.latency == ends - seconds
        assert began == max(free, seconds)  # it waits for the one before alone
        passed = int((times <= ends).sum()) - (i + 1)  # and one may wait
        assert 0 <= passed - each.dropped <= 1
        free = ends
    [told] = watch.summary()["sources"]
    assert (told["read"], told["looked_at"]) == (len(times), len(seen))
    assert told["looked_at"] + told["dropped"] == told["read"]
    late = [each.latency for each in seen]
    for share, name in ((0.5, "latency_p50"), (0.95, "latency_p95")):
        assert told[name] == pytest.approx(np.quantile(late, share), abs=1e-6)


def test_what_stops_it_lets_go_of_the_sources() -> None:
    before = threading.active_count()

    def stop(_: Seen) -> None:
        raise KeyboardInterrupt

    watch = Watch(live_recogniser(predictor()), [Filmed(pictures(500))] * 2, ALL)
    with pytest.raises(KeyboardInterrupt):
        watch.run(stop)
    assert threading.active_count() == before
    assert watch.summary()["sources"][0]["looked_at"] == 1


def test_delays_of_the_last_answers_alone_are_kept() -> None:
    watched = Watched("camera")
    assert watched.latency(0.5) is None
    watched.latencies.extend(float(i) for i in range(LATENCIES + 5))
    assert len(watched.latencies) == LATENCIES
    assert watched.latency(0.0) == 5


@dataclass(frozen=True)
class Endless:
    """Frames of two sizes, whose clock jumps back now and then."""

    number: int
    name: str = "endless"
    breaks = False

    def moments(self, stop: threading.Event) -> Iterator[Moment]:
        for i in range(self.number):
            width = 80 if i // 250 % 2 else 112
            yield Moment(i % 750 / 25, lambda i=i, width=width: picture(i % 256, width, 80))  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("by", ["frame", "window"])
def test_thousands_of_frames_leave_nothing_behind(by: str) -> None:
    of = predictor() if by == "frame" else predictor(BOTH)
    windows = {} if by == "frame" else {"window_seconds": 1.0, "stride_seconds": 1.0}
    recogniser = live_recogniser(of, MeanOfLast(8, 1.5, 0.5), **windows)
    process, sizes, objects = psutil.Process(), [], []

    def seen(_: Seen) -> None:
        nonlocal count
        count += 1
        if count % 250 == 0:
            gc.collect()
            sizes.append(process.memory_info().rss)
            objects.append(len(gc.get_objects()))

    count = 0
    watch = Watch(recogniser, [Endless(2500)], ALL)
    watch.run(seen)
    assert (count, watch.summary()["sources"][0]["restarts"]) == (2500, 3)
    # Of a picture, 24 kB, 2000 would be 48 MB; of an array a frame, an object or more each.
    assert max(sizes[2:]) - sizes[1] < 16 << 20, sizes
    assert max(objects[2:]) - objects[1] < 250, objects
