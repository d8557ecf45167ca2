from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from marey.errors import DecodeError
from marey.video.live.feed import Feed, FeedOptions
from tests.video.live.scripted import Scripted, all_of, ended, moment

ALL = FeedOptions(keep_all=True, first_pause=0.01)


def test_the_newest_picture_wins_and_the_others_are_counted() -> None:
    woken = threading.Condition()
    feed = Feed(Scripted([[moment(i / 10, i) for i in range(5)]]), woken)
    feed.start()
    ended(feed, woken)
    newest = feed.take()
    assert newest is not None
    assert (newest.seconds, newest.picture[0, 0, 0]) == (0.4, 4)
    assert feed.take() is None
    assert (feed.counts.read, feed.counts.dropped) == (5, 4)
    assert feed.notices() == ["ended"]


def test_a_feed_that_keeps_all_drops_nothing() -> None:
    shown, notices, feed = all_of(Scripted([[moment(i / 10, i) for i in range(9)]]), ALL)
    assert [each.picture[0, 0, 0] for each in shown] == list(range(9))
    assert (feed.counts.read, feed.counts.dropped, notices) == (9, 0, ["ended"])


def test_frames_beyond_those_that_are_wanted_are_passed_over() -> None:
    options = FeedOptions(keep_all=True, fps=10)
    shown, _, feed = all_of(Scripted([[moment(i / 30) for i in range(30)]]), options)
    np.testing.assert_allclose([each.seconds for each in shown], np.arange(10) / 10)
    assert feed.counts.passed_over == 20


def test_a_source_that_breaks_is_opened_again_and_its_time_goes_on() -> None:
    broke = DecodeError("camera: reading broke off")
    source = Scripted(
        [[moment(0), moment(0.5), broke], [broke], [moment(0), moment(0.5)]], breaks=True
    )
    shown, notices, feed = all_of(source, ALL)
    assert [each.begins for each in shown] == [False, False, True, False]
    seconds = [each.seconds for each in shown]
    assert seconds == sorted(seconds)
    assert seconds[3] - seconds[2] == pytest.approx(0.5)
    assert feed.counts.reconnects == 2
    assert [notice.partition(";")[2] for notice in notices[:2]] == [
        " opened again in 0 s (1 of 10 tries)",
        " opened again in 0 s (2 of 10 tries)",
    ]
    assert notices[0].startswith("camera: reading broke off")
    assert notices[-1] == "ended"


def test_pauses_grow_and_it_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def wait(stop: threading.Event, timeout: float | None = None) -> bool:
        if timeout is None:  # of a thread for its start
            return before(stop, timeout)
        pauses.append(timeout)
        return False

    before = threading.Event.wait
    monkeypatch.setattr(threading.Event, "wait", wait)
    gone = [[DecodeError("away")] for _ in range(9)]
    source = Scripted([[moment(0), DecodeError("away")], *gone], breaks=True)
    shown, notices, feed = all_of(source, FeedOptions(keep_all=True, reconnects=7))
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert (len(shown), feed.counts.reconnects, feed.failure) == (1, 7, None)
    assert notices[-1] == "ended: away"


def test_what_never_gave_a_frame_is_an_error() -> None:
    _, _, feed = all_of(Scripted([[DecodeError("no such host")]], breaks=True), ALL)
    assert isinstance(feed.failure, DecodeError)
    assert feed.counts.reconnects == 0


def test_a_fault_of_the_program_is_not_lost() -> None:
    _, _, feed = all_of(Scripted([[moment(0), ZeroDivisionError()]], breaks=True), ALL)
    assert isinstance(feed.failure, ZeroDivisionError)


def test_a_stall_is_said_once_and_so_is_its_end() -> None:
    goes_on = threading.Event()
    woken = threading.Condition()
    feed = Feed(Scripted([[moment(0), goes_on, moment(9)]]), woken, FeedOptions(stall_seconds=0.05))
    feed.start()
    said: list[str] = []
    until = time.monotonic() + 60
    while not said and time.monotonic() < until:
        time.sleep(0.01)
        feed.take()
        said += feed.notices()
    time.sleep(0.1)
    said += feed.notices()
    assert said == ["no frame for 0 s; waiting"]
    goes_on.set()
    ended(feed, woken)
    assert feed.notices() == ["goes on after 0 s"]
    assert feed.take() is not None
    assert feed.notices() == ["ended"]


def test_a_model_that_is_slow_is_no_stall() -> None:
    woken = threading.Condition()
    feed = Feed(Scripted([[moment(0), threading.Event()]]), woken, FeedOptions(stall_seconds=0.01))
    feed.start()
    with woken:
        assert woken.wait_for(lambda: feed.has_picture, 60)
    time.sleep(0.05)
    assert feed.notices() == []
    feed.close()


def test_jumps_and_other_sizes_are_said() -> None:
    steps = [moment(0), moment(60), moment(60.1, width=10), moment(2)]
    shown, notices, feed = all_of(Scripted([steps]), ALL)
    assert [each.seconds for each in shown] == [0, 60, 60.1, 2]
    assert notices == [
        "time jumps ahead by 60 s",
        "pictures change from 8 x 6 to 10 x 6",
        "time jumps back by 58 s: the stream begins anew",
        "pictures change from 10 x 6 to 8 x 6",
        "ended",
    ]
    assert (feed.counts.jumps, feed.counts.sizes) == (1, 3)


def test_what_is_closed_stops() -> None:
    woken = threading.Condition()
    for options in (FeedOptions(), ALL):
        feed = Feed(Scripted([[moment(i) for i in range(3)] + [threading.Event()]]), woken, options)
        feed.start()
        with woken:
            assert woken.wait_for(lambda feed=feed: feed.has_picture, 60)
        feed.close(patience=60)
        assert feed.ended


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="fps is 0, expected more than 0"):
        FeedOptions(fps=0)
    with pytest.raises(ValueError, match="reconnects is -1, expected at least 0"):
        FeedOptions(reconnects=-1)


def test_a_source_that_ends_without_a_frame_has_failed() -> None:
    _, notices, feed = all_of(Scripted([["it begins"]]), FeedOptions(keep_all=True))
    assert notices == ["it begins"]
    assert isinstance(feed.failure, DecodeError)
    assert "scripted ended without a frame" in str(feed.failure)
