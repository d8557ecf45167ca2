"""The errors a user can meet; each says what was wrong and what to do about it.

    MareyError(message, hint)
    +- ManifestError     a list of clips and labels is wrong      m.csv:118: 'label' is 97; ...
    +- DecodeError       a video cannot be read                   a/b.mp4: moov atom not found
    |  +- StorageError   what holds it does not answer            a/b.mp4: stale file handle
    +- RecipeError       a recipe or an override is wrong         unknown key 'lrr' in optim
    +- CheckpointError   weights do not fit, or are not weights   3 keys unmatched: ...
    +- RunError          a run cannot go on                       work dir exists, disk full, NaN
    +- UrlError          a url is no plain one                    s3://a/../b leads upwards

The command line prints ``error: message`` and ``hint: hint`` and exits with status 2, without a
traceback. Wrong arguments from Python callers stay `ValueError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MareyError(Exception):
    """What went wrong, and in `hint` the remedy (empty if there is none to offer)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. hint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[MareyError], tuple[str, str]]:
        return type(self), (self.message, self.hint)  # survives the trip out of a loader worker


class ManifestError(MareyError):
    """A list of clips and labels is wrong; names file, line and value."""


class DecodeError(MareyError):
    """A video cannot be read; names the file and, where known, the frame."""


class StorageError(DecodeError):
    """A video cannot be read, and by no fault of its own: what holds it does not give it.

    The disk, share or store fails or is away (errors of input and output or of the network, a
    server that does not answer, refuses or changes the file meanwhile), or the whole folder of the
    video is gone, empty or closed. Other videos there will fail likewise, and later this one may
    be read; so it counts as no bad clip. `marey.storage.faults` draws the line.
    """


class RecipeError(MareyError):
    """A recipe or an override is wrong; names the key and its nearest relative."""


class CheckpointError(MareyError):
    """Weights do not fit the model, or the file is not a checkpoint."""


class UrlError(MareyError, ValueError):
    """A text is no url of one store; a `ValueError` too, as recipes and Python callers have it."""


class RunError(MareyError):
    """A run cannot start or go on; what it had saved stays."""


def cut_short(text: str, limit: int = 80) -> str:
    """The beginning of a text that is longer than a message should show.

    >>> cut_short("abcdefgh", limit=6)
    'abc...'
    """
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def first_few(names: Iterable[object], most: int = 5) -> str:
    """The first of `names`, for a message.

    >>> first_few("abc", most=2), first_few([])
    ('a, b, ...', 'none')
    """
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (", ..." if len(words) > most else "") or "none"


def counted(number: int, noun: str, several: str = "") -> str:
    """A number and what is counted, in the plural unless it is one; `several` is an irregular one.

    >>> counted(1, "clip"), counted(1200, "clip"), counted(0, "class"), counted(2, "copy", "copies")
    ('1 clip', '1,200 clips', '0 classes', '2 copies')
    """
    plural = several or noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """A hint: the nearest of the `known` names, or, if none is near, `otherwise` or all of them.

    >>> did_you_mean("LR", ["lr", "seed"])
    "did you mean 'lr'?"
    """
    known = list(known)
    near = [name for name in known if name.lower() == word.lower()]
    near = near or difflib.get_close_matches(word, known, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return otherwise or f"known: {', '.join(known)}"
