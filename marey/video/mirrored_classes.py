"""Which classes trade places when a clip is mirrored, told from their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIDES = {
    "left": "right",
    "right": "left",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
}
_SIDE = re.compile(
    r"\b(?:(?:left|right(?! (?:out|away|now|side up)\b))(?=(?:wards?|most|hand(?:ed)?)?\b)"
    r"|(?:counter)?clockwise\b)"
)
_OTHER_LANGUAGES = re.compile(
    r"\b(?:links|rechts|linke[rns]?\b|rechte[rns]?\b|linker|rechter"  # German and Dutch, compounds
    r"|gauche|droit[es]*\b|izquierd[ao]|derech[ao]|sinistr[ao]|destr[ao]\b|esquerd[ao]|direit[ao]"
    r"|vänster|höger|venstre|højre|høyre|lew[oaey]\b|praw[oaey]\b|vlevo|vpravo|sola?\b|sağa?\b"
    r"|лев|прав|влево|вправо|налево|направо|слева|справа|αριστερ|δεξι)"
    r"|[左右]|왼쪽|오른쪽|يسار|يمين|\b[lr]\b"
)
_WORD_BREAK = re.compile(  # swipeLeft, left2right
    r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])"
)


def flip_pairs(class_names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of class numbers that trade places when a clip is mirrored, smaller number first.

    A class whose name says left, right, clockwise or counterclockwise needs the class of the
    mirrored name; ValueError names the classes without one. "right" as an adverb ("right out")
    is no direction.

    >>> flip_pairs(["Swiping Left", "Clapping", "Swiping Right"])
    ((0, 2),)
    """
    names = [_plain_words(name) for name in class_names]
    number = {name: i for i, name in enumerate(names)}
    mirrored = [_mirror(name) for name in names]
    alone = [
        class_names[i] for i, name in enumerate(mirrored) if name not in number and name != names[i]
    ]
    if alone:
        raise ValueError(
            f"mirrored clips of {', '.join(map(repr, alone))} belong to no class, so this data "
            "cannot be flipped. hint: flip='none', or state flip_pairs yourself"
        )
    pairs = {tuple(sorted((i, number[name]))) for i, name in enumerate(mirrored)}
    return tuple(sorted((a, b) for a, b in pairs if a != b))


def may_name_a_side(name: str) -> bool:
    """Whether a name has a word for left or right in another language than English, or its letter.

    Such words tell that mirroring is in doubt, not what the mirrored class is.

    >>> may_name_a_side("links abbiegen"), may_name_a_side("turn_R"), may_name_a_side("blinking")
    (True, True, False)
    """
    return bool(_OTHER_LANGUAGES.search(_plain_words(name)))


def _plain_words(name: str) -> str:
    """`Swipe_left`, `SwipeLeft` -> `swipe left`; one word for each sense of rotation."""
    words = re.sub(r"[\W_]+", " ", _WORD_BREAK.sub(" ", name)).strip().lower()
    words = re.sub(r"\b(?:(?:counter|anti) ?clockwise|[ac]cw)\b", "counterclockwise", words)
    return re.sub(r"\bcw\b", "clockwise", words)


def _mirror(words: str) -> str:
    return _SIDE.sub(lambda match: _SIDES[match[0]], words)
