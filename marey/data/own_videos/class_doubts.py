"""Labels that are none, and classes that a person should look at before training on them."""

from __future__ import annotations

import difflib
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from marey.data.lists.class_names import nearly_equal
from marey.data.lists.listing import Listing
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError, counted, first_few

_BLANK = re.compile(r"nan|<NA>|#N/A|#NV|#[A-Z]+[!?]|Err:\d+|N/A", re.IGNORECASE)
"""Of pandas, Excel and LibreOffice; None and null may be classes."""


SEVERAL, MOST_ALONE, NEARLY = 3, 100, 0.8
"""Clips of a class whose name is known; classes of one that are compared, by difflib's ratio."""
FEW, OWN_SHARE = 5, 0.9
"""Clips that may each be of a class of their own; the share of more that may not."""


def refuse_blanks(listing: Listing, head: str, words: Sequence[tuple[int, str]]) -> None:
    """ManifestError if a label is what tables write where they have none."""
    wrong = {row: word for row, word in words if _BLANK.fullmatch(word)}
    listing.refuse(
        sorted(wrong),
        lambda row: (
            f"'{head}' is {clip_text(wrong[row])}, which tables write where nothing is",
            "give the class or remove the row",
        ),
    )


def refuse_free_text(listing: Listing, head: str, *, said: bool) -> None:
    """ManifestError if nearly every clip of a list has a label of its own, as notes have.

    A few clips may each be of another class, and so may those of class folders.

    Args:
        said: whether a person or a file says that these are classes.
    """
    texts = [row.labels[head].strip() for row in listing.rows]
    own = sum(count == 1 for count in Counter(texts).values())
    if said or len(texts) <= FEW or own < OWN_SHARE * len(texts) or not listing.rows[0].line.number:
        return
    column = listing.used.get(head, "")
    line = re.match("`(.+?)`", listing.format)
    if column:
        others = [name for name in listing.columns if name and name != column]
        take, another = f"label={column}", f"; there are {first_few(others)}" if others else ""
    elif line:
        take, another = line[1], ""
    else:  # of a labelling tool
        return
    name = f"`{column}`" if column else "labels"
    raise ManifestError(
        f"{listing.source}: {own:,} of {counted(len(texts), 'clip')} have a text of their own as"
        f" {name}, such as {clip_text(texts[0])}: it may describe each clip, or be a class of one",
        f"--columns {shlex.quote(take)}: each text is a class; label=COLUMN: another column has the"
        f" classes{another}; of several labelled parts in a video write a line each:"
        " path,label,start,end",
    )


def doubts_of_classes(
    listing: Listing, head: str, classes: Sequence[str], num_used: int
) -> Iterator[str]:
    """What a person should look at before training on these classes."""
    if len(classes) == 1:
        yield f"one class of '{head}', {clip_text(classes[0])}: there is nothing to tell apart"
    if listing.rows[0].line.number:  # a list: names of folders were looked at
        yield from nearly_equal(classes)
        yield from _misspelt(listing, head, classes)
        yield from _overlaps(listing, head)
        parts = {name: _parts(name) for name in classes}
        counts = Counter(word for words in parts.values() for word in words)
        joined = [n for n, of in parts.items() if len(of) > 1 and all(counts[w] > 1 for w in of)]
        if joined:
            shown = clip_text(joined[0])
            yield f"{shown} is read as one class; where a clip has several they are written a|b"
        if 2 < len(listing) == num_used == len(classes):
            yield f"each of {len(listing):,} clips has a class of '{head}' of its own"


def _misspelt(listing: Listing, head: str, classes: Sequence[str]) -> Iterator[str]:
    """Classes of a single clip whose name is nearly that of one with several."""
    counts = Counter(row.labels[head].strip() for row in listing.rows)
    several = [name for name in classes if counts[name] >= SEVERAL]
    alone = [name for name in classes if counts[name] == 1 and not name.isdecimal()]
    for name in alone[:MOST_ALONE]:
        if near := difflib.get_close_matches(name, several, n=1, cutoff=NEARLY):
            line = next(row.line for row in listing.rows if row.labels[head].strip() == name)
            yield (
                f"{line}: the only clip of {clip_text(name)}, which is nearly {clip_text(near[0])},"
                f" a class of {counts[near[0]]:,}"
            )


def _overlaps(listing: Listing, head: str) -> Iterator[str]:
    """Spans of one class and file of which one begins before the other ends."""
    rows = [row for row in listing.rows if row.start is not None or row.end is not None]
    rows.sort(key=lambda row: (row.path, row.labels[head], row.start or 0.0))
    pairs = [
        f"{before.line} and {row.line.number}"
        for before, row in pairwise(rows)
        if (before.path, before.labels[head]) == (row.path, row.labels[head])
        and (before.end is None or (row.start or 0.0) < before.end)
    ]
    if pairs:
        yield (
            f"{counted(len(pairs), 'pair')} of spans of one class that overlap in their file:"
            f" {first_few(pairs, 3)}"
        )


def _parts(name: str) -> set[str]:
    """What stands in the name of a class between commas or the like."""
    return {word.strip() for word in re.split("[,;/&+]", name)}
