"""Options that may stand without their value, which typer has no way to say."""

from __future__ import annotations

from marey.errors import RunError

EXACT, CLOSE = 1e-4, 99.5
"""Limits of `marey optimize`: a part of the largest logit, percent of the clips."""
WITH_TIMELINES = ("eval", "test", "predict")
"""Commands of which --segments is how many a clip has, and --window makes those of a timeline."""


def with_values(words: list[str]) -> list[str]:
    """The words of a command line, in which each of these options has its value.

    `--resume` alone means the latest checkpoint, `--resume PATH` that one; `--amp` is true; of
    `marey optimize`, `--exact` and `--close` mean the usual limits.

    RunError of `--segments` alone, which is no timeline.
    """
    out = list(words)
    limits = {"--exact": EXACT, "--close": CLOSE} if words[:1] == ["optimize"] else {}
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else "-"
        if word == "--resume" and not following.endswith(".pt"):
            out[i] = "--resume=latest"
        if word == "--amp" and following not in ("auto", "true", "false"):
            out[i] = "--amp=true"
        if word == "--segments" and words[0] in WITH_TIMELINES and following.startswith("-"):
            raise RunError(
                "--segments takes a number: how many a clip has of which frames are taken",
                "what happens when in whole videos, and how right that is: --window SECONDS",
            )
        if word in limits and not following[:1].isdecimal():
            out[i] = f"{word}={limits[word]}"
    return out
