"""Tables of answers for people and other programs: CSV, and JSON lines.

CSV has a row a clip: its row in the list, `path`, `start`, `end` (null where open), `clip_id` and
`label` if the list has them, then for every place `top1,score1,top2,score2,...` the class and its
probability, and `error`. Columns of heads other than `label` end in their name: `top1.verb`. JSON
lines say the same, a clip a line.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, TypeAlias

import numpy as np

from marey.engine.inference.outputs.scored_clips import ScoredClips

Answer: TypeAlias = dict[str, object]


def write_csv(file: BinaryIO, parts: Iterable[ScoredClips], *, top: int, all_scores: bool) -> None:
    """Write a table with a header; with `all_scores` also the probability of every class."""
    for number, clips in enumerate(parts):
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        if number == 0:
            writer.writerow(_header(clips, top, all_scores=all_scores))
        writer.writerows(_cells(clips, top, all_scores=all_scores))
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def write_json_lines(
    file: BinaryIO, parts: Iterable[ScoredClips], *, top: int, all_scores: bool
) -> None:
    """Write an object a line; with `all_scores` also the probability of every class by its name."""
    for clips in parts:
        for line in _objects(clips, top, all_scores=all_scores):
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode("utf-8", "replace"))


def _header(clips: ScoredClips, top: int, *, all_scores: bool) -> list[str]:
    names = ["id", "path", "start", "end", *_said(clips)]
    for head, classes in _heads(clips):
        end = _ending(head)
        for place in range(1, min(top, len(classes)) + 1):
            names += [f"top{place}{end}", f"score{place}{end}"]
        names += [f"score{end} of {name}" for name in classes] if all_scores else []
    return [*names, "error"]


def _cells(clips: ScoredClips, top: int, *, all_scores: bool) -> Iterator[list[object]]:
    answers = [_answers(clips, head, top) for head, _ in _heads(clips)]
    scores = [clips.probabilities(head) for head, _ in _heads(clips)]
    said = list(_said(clips).values())
    for row in range(len(clips)):
        cells = [clips.rows[row], clips.paths[row], *clips.spans[row], *(of[row] for of in said)]
        for names, probabilities, all_of in zip(*zip(*answers, strict=True), scores, strict=True):
            for name, score in zip(names[row], probabilities[row], strict=True):
                cells += [name, _rounded(score)]
            cells += [_rounded(score) for score in all_of[row].tolist()] if all_scores else []
        yield [*cells, clips.errors[row]]


def _objects(clips: ScoredClips, top: int, *, all_scores: bool) -> Iterator[Answer]:
    heads = list(_heads(clips))
    answers = {head: _answers(clips, head, top) for head, _ in heads}
    scores = {head: clips.probabilities(head) for head, _ in heads} if all_scores else {}
    said = _said(clips)
    about: dict[str, Answer] = {head: {"head": head} if len(heads) > 1 else {} for head, _ in heads}
    for row, (start, end) in enumerate(clips.spans):
        line: Answer = {"id": clips.rows[row], "path": clips.paths[row]}
        line |= {} if start is end is None else {"start": start, "end": end}
        line |= {name: cells[row] for name, cells in said.items() if cells[row] is not None}
        if clips.errors[row] is not None:
            yield line | {"error": clips.errors[row]}
            continue
        line["answers"] = [
            about[head] | {"label": name, "score": _rounded(score)}
            for head, (names, values) in answers.items()
            for name, score in zip(names[row], values[row], strict=True)
        ]
        for head, classes in heads if all_scores else ():
            values = map(_rounded, scores[head][row].tolist())
            line[f"scores{_ending(head)}"] = dict(zip(classes, values, strict=True))
        yield line


def _heads(clips: ScoredClips) -> Iterator[tuple[str, Sequence[str]]]:
    return ((head, clips.said.classes[head]) for head in clips.scores)


def _ending(head: str) -> str:
    return "" if head == "label" else f".{head}"


def _said(clips: ScoredClips) -> dict[str, Sequence[object]]:
    """What the list says of each clip, by column: its id and its classes, if it says them."""
    ids = {"clip_id": clips.clip_ids} if any(clips.clip_ids) else {}
    return {**ids, **{head: _named(clips, head) for head in clips.labels}}


def _named(clips: ScoredClips, head: str) -> list[str | None]:
    names = clips.said.classes[head]
    return [
        "|".join(names[each] for each in of) if isinstance(of, list | tuple) else _name(names, of)
        for of in clips.labels[head]
    ]


def _name(names: Sequence[str], label: object) -> str | None:
    return names[label] if isinstance(label, int) else None


def _answers(
    clips: ScoredClips, head: str, top: int
) -> tuple[list[list[str]], list[list[float | None]]]:
    """The `top` classes of each clip, best first, and their probabilities; "" of none."""
    names = clips.said.classes[head]
    scores = clips.probabilities(head)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    values = np.take_along_axis(scores, best, axis=1)
    unread = np.isnan(values[:, 0])
    labels = [
        [""] * len(row) if lost else [names[place] for place in row]
        for row, lost in zip(best.tolist(), unread, strict=True)
    ]
    shown: list[list[float | None]] = [
        [None] * len(row) if lost else row
        for row, lost in zip(values.tolist(), unread, strict=True)
    ]
    return labels, shown


def _rounded(score: float | None) -> float | None:
    """To seven digits, which is what float32 has; None for what is none."""
    return None if score is None or np.isnan(score) else float(f"{score:.7g}")
