"""The command `marey stream`."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli.shared import (
    above_zero,
    called,
    console,
    device_or_default,
    errors,
    refused_values,
)
from marey.cli.stream_lines import Lines
from marey.cli.weights import at_hand
from marey.terminal import visible_json

if TYPE_CHECKING:
    from marey.engine.inference.predict import Predictor
    from marey.engine.live.watch import Seen, Watch
    from marey.timelines.decisions import Decision


def stream(
    model: opt.Model,
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="a camera (0), a file, a url, a folder that grows, or - for standard input",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="print a line of JSON for each answer")
    ] = False,
    top: Annotated[int, typer.Option(min=0, help="classes in each line of JSON")] = 0,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="new file, a row for each answer")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="new NAME.mp4, with what is said burnt in (one source)")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            parser=above_zero, metavar="N", help="frames a second to look at; default: all"
        ),
    ] = None,
    as_fast_as_possible: Annotated[
        bool,
        typer.Option(
            "--as-fast-as-possible",
            help="show files not at their pace, and drop no frame of any source",
        ),
    ] = False,
    window: Annotated[
        float | None,
        typer.Option(
            parser=above_zero,
            metavar="SECONDS",
            help="of a model that does not look back alone; default: 2",
        ),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(parser=above_zero, metavar="SECONDS", help="default: a quarter of a window"),
    ] = None,
    answers: Annotated[
        int | None, typer.Option(min=1, help="said is the best class of the mean of the last N")
    ] = None,
    times: Annotated[
        float | None,
        typer.Option(help="another class is said once it is so many times as probable"),
    ] = None,
    least: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="and has been so for so long")
    ] = None,
    published_demo: Annotated[
        bool, typer.Option("--published-demo", help="the rule of TSM's online demo, for Jester")
    ] = False,
    head: Annotated[str | None, typer.Option(help="of a model that has several")] = None,
    overwrite: opt.Overwrite = False,
    raw: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="standard input is bare pixels, RGB, of this size",
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="end after so many frames of each source")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(parser=above_zero, metavar="SECONDS", help="end after so long")
    ] = None,
    stall: Annotated[
        float,
        typer.Option(parser=above_zero, metavar="SECONDS", help="without a frame, to be said"),
    ] = 5.0,
    reconnects: Annotated[
        int, typer.Option(min=0, help="tries in a row to open a source again that broke")
    ] = 10,
    calibrated: opt.Calibrated = False,
    trusted: opt.Trusted = False,
    device: opt.Device = None,
    download: opt.Download = False,
) -> None:
    """Say what happens in live pictures, as they come; Ctrl-C ends it with a summary."""
    from marey.engine.inference.predict import load
    from marey.engine.live.answer_table import AnswerTable
    from marey.engine.live.captions import CaptionedVideo
    from marey.engine.live.recogniser import live_recogniser
    from marey.engine.live.watch import Watch
    from marey.video.live.feed import FeedOptions
    from marey.video.live.named import source_named

    if out is not None and len(source) > 1:
        raise typer.BadParameter(f"--out is a video of one source, and there are {len(source)}")
    if twice := next((each for each in source if source.count(each) > 1), None):
        raise typer.BadParameter(f"{twice} is given twice: a source is one stream")
    # neither writes before there is a frame
    table = AnswerTable(csv, overwrite=overwrite) if csv else None
    video = CaptionedVideo(out, overwrite=overwrite) if out else None
    size = None if raw is None else _size(raw)
    sources = [source_named(each, hurry=as_fast_as_possible, raw=size) for each in source]
    device = device_or_default(device)
    folder = at_hand(model, download=download)
    predictor = load(folder, device, calibrated=calibrated, trusted=trusted)
    with refused_values(**_OPTIONS):
        rule = _rule(predictor, answers, times, least, published_demo=published_demo)
    recogniser = live_recogniser(
        predictor, rule, head=head, window_seconds=window, stride_seconds=stride
    )
    errors.print(f"{escape(called(model)[0])} {escape(recogniser.about)}")
    options = FeedOptions(
        keep_all=as_fast_as_possible, fps=fps, reconnects=reconnects, stall_seconds=stall
    )
    watch = Watch(recogniser, sources, options, most_frames=frames, most_seconds=seconds)
    names = [each.name for each in watch.watched]
    with ExitStack() as opened:
        if table:
            opened.enter_context(closing(table))
        if video:
            opened.enter_context(closing(video))
        lines = opened.enter_context(Lines(names, quiet=as_json))

        def seen(of: Seen) -> None:
            lines.add(of)
            if as_json and of.answer is not None:
                _print_json(of.to_json(top))
            if table:
                table.add(of)
            if video:
                video.add(of.shown.picture, of.shown.seconds, lines.captions(of.source))

        def say(number: int, notice: str) -> None:
            if as_json:
                _print_json({"source": names[number], "said": notice})
            lines.say(number, notice)

        with suppress(KeyboardInterrupt, BrokenPipeError):  # the usual end of a stream
            watch.run(seen, say)
    _print_summary(watch, as_json=as_json)


def _size(text: str) -> tuple[int, int]:
    """Width and height, given as 640x480."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise typer.BadParameter(f"--raw is {text!r}, expected WIDTHxHEIGHT, such as 640x480")
    return int(match[1]), int(match[2])


def _rule(
    predictor: Predictor,
    answers: int | None,
    times: float | None,
    least: float | None,
    *,
    published_demo: bool,
) -> Decision | None:
    """The rule that the options ask for; None if they ask for none."""
    from marey.engine.live.recogniser import usual_decision
    from marey.timelines.decisions import MeanOfLast, PublishedDemo

    asked = {"answers": answers, "times": times, "least_seconds": least}
    given = {name: value for name, value in asked.items() if value is not None}
    if published_demo:
        if given:
            raise ValueError(
                "--published-demo has numbers of its own. hint: leave out "
                f"{' and '.join(_OPTIONS[name] for name in given)}"
            )
        return PublishedDemo()
    if not given:
        return None
    usual = usual_decision(predictor)
    return replace(usual if isinstance(usual, MeanOfLast) else MeanOfLast(), **given)  # type: ignore[arg-type]


_OPTIONS = {"answers": "--answers", "times": "--times", "least_seconds": "--least"}


def _print_json(plain: object) -> None:
    print(visible_json(json.dumps(plain, ensure_ascii=False)), flush=True)


def _print_summary(watch: Watch, *, as_json: bool) -> None:
    summary = watch.summary()
    if as_json:
        with suppress(BrokenPipeError):
            _print_json({"summary": summary})
        return
    for of in summary["sources"]:
        console.print(f"{of['source']}: {_in_words(of)}", markup=False)


def _in_words(of: dict[str, object]) -> str:
    words = [f"{of['read']:,} frames read", f"{of['looked_at']:,} looked at"]
    others = {
        "passed_over": "passed over (--fps)",
        "dropped": "dropped for newer ones",
        "reconnects": "times opened again",
        "restarts": "times begun anew",
    }
    words += [f"{of[key]:,} {what}" for key, what in others.items() if of[key]]
    words.append(f"{of['answered']:,} answers")
    if of["answered"]:
        late = [f"{1000 * float(str(of[key])):.0f} ms" for key in ("latency_p50", "latency_p95")]
        words.append(f"{late[0]} after a frame (half of them), {late[1]} (95 %)")
    return ", ".join(words)
