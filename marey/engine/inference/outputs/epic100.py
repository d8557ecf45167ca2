"""The submission to EPIC-KITCHENS-100's challenge of action recognition (arXiv 2006.13256).

    {"version": "0.2", "challenge": "action_recognition", "sls_pt": 1, "sls_tl": 3, "sls_td": 3,
     "results": {"P01_101_0": {"verb": {"0": -1.3, ...}, "noun": {...}, "action": {"2,17": 0.4}}}}

Scores of verbs and nouns are logarithms of probabilities: the challenge takes the softmax of them,
which gives the probabilities back. Those of the 100 best actions are probabilities, p(verb) times
p(noun), or those of the model's head `action`, if its classes are called `verb,noun` by numbers.
The levels of supervision (0 to 5 each) are those of pretraining, of training labels and of training
data; nobody but the author of a model knows them. A file NAME.zip holds the json as test.json: so
the challenge takes it.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np

from marey.engine.inference.outputs.scored_clips import ScoredClips
from marey.errors import RunError

NUM_ACTIONS = 100
_ACTION = re.compile(r"(\d+)[,_](\d+)", re.ASCII)
_LEAST = 1e-30
"""A probability of 0 has no logarithm; float32 has none between 0 and this that matters."""


class Levels(NamedTuple):
    """Levels of supervision, each 0 to 5: see github.com/epic-kitchens/sls."""

    sls_pt: int
    """Pretraining: 0 none, 1 public images, 2 and videos, 3 self-supervised on public data, 4 and
    on EPIC-KITCHENS, 5 private data."""
    sls_tl: int
    """Training labels: 0 none, 1 of videos, 2 a time each, 3 start and end, 4 and in space, 5 more
    knowledge."""
    sls_td: int
    """Training data: 0 none, 1 up to 5 a class, 2 a quarter, 3 train, 4 and val, 5 more."""

    @classmethod
    def parse(cls, text: str) -> Levels:
        """Of `2,3,3`; RunError if it is nothing like that.

        >>> Levels.parse("2,3,4")
        Levels(sls_pt=2, sls_tl=3, sls_td=4)
        """
        words = [word.strip() for word in text.split(",")]
        if len(words) != 3 or not all(re.fullmatch("[0-5]", word) for word in words):
            raise RunError(f"--sls {text} is not three levels from 0 to 5", "write PT,TL,TD: 2,3,3")
        return cls(*map(int, words))


def write_submission(
    file: IO[bytes], names: Sequence[str], clips: ScoredClips, levels: Levels
) -> None:
    """Write the json; `names` [n] are narration ids."""
    head = {"version": "0.2", "challenge": "action_recognition", **levels._asdict()}
    file.write(f'{json.dumps(head)[:-1]}, "results": {{'.encode())
    for number, (name, entry) in enumerate(zip(names, _entries(clips), strict=True)):
        file.write(f"{',' if number else ''}\n{json.dumps(name)}: {json.dumps(entry)}".encode())
    file.write(b"\n}}\n")


def write_zip(file: IO[bytes], names: Sequence[str], clips: ScoredClips, levels: Levels) -> None:
    """Write a zip with the json in it; the same clips give the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=5) as archive:
        info = zipfile.ZipInfo("test.json")  # of 1980: no time of day in it
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=True) as inner:
            write_submission(inner, names, clips, levels)


def _entries(clips: ScoredClips) -> Iterator[dict[str, dict[str, float]]]:
    verbs, nouns = clips.probabilities("verb"), clips.probabilities("noun")
    named = clips.probabilities("action") if "action" in clips.scores else None
    actions = actions_of(clips.said.classes["action"]) if named is not None else []
    for row, (verb, noun) in enumerate(zip(verbs, nouns, strict=True)):
        if named is None:
            products = np.outer(verb, noun).ravel()
            best = _best(products)
            pairs = [f"{place // len(noun)},{place % len(noun)}" for place in best]
            scores = products[best]
        else:
            best = _best(named[row])
            pairs, scores = [actions[place] for place in best], named[row][best]
        yield {
            "verb": _logarithms(verb),
            "noun": _logarithms(noun),
            "action": dict(zip(pairs, map(_rounded, scores.tolist()), strict=True)),
        }


def actions_of(classes: Sequence[str]) -> list[str]:
    """`verb,noun` of each class of actions; RunError if they are called otherwise."""
    found = [_ACTION.fullmatch(name) for name in classes]
    if None in found:
        name = classes[found.index(None)]
        raise RunError(
            f"the action {name!r} says no verb and noun", "call actions VERB,NOUN by their numbers"
        )
    return [f"{int(match[1])},{int(match[2])}" for match in found if match]


def _best(scores: np.ndarray) -> np.ndarray:
    """The places of the best scores, best first; of equal ones the first."""
    count = min(NUM_ACTIONS, len(scores))
    least = np.partition(scores, -count)[-count]
    likely = np.flatnonzero(scores >= least)
    return likely[np.argsort(-scores[likely], kind="stable")[:count]]


def _logarithms(probabilities: np.ndarray) -> dict[str, float]:
    logs = np.log(np.maximum(probabilities, _LEAST)).tolist()
    return {str(number): _rounded(score) for number, score in enumerate(logs)}


def _rounded(score: float) -> float:
    return float(f"{score:.7g}")
