"""Files by a pattern, where the shell has not expanded it: `clips/*/*.mp4`."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from marey.errors import ManifestError


def is_pattern(text: str | Path) -> bool:
    """Whether a text has `*`, `?` or `[` and is no file itself; urls are none."""
    return bool(re.search(r"[*?\[]", str(text))) and "://" not in str(text) and not _is_there(text)


def matching(text: str | Path) -> list[str]:
    """The files that a pattern matches, in order; the text itself if it is none.

    ManifestError if it matches none.
    """
    if not is_pattern(text):
        return [str(text)]
    found = sorted(glob.glob(str(text), recursive=True))  # noqa: PTH207  # takes absolute ones
    if not found:
        raise ManifestError(f"{text} matches no file", "give a folder, or another pattern")
    return found


def _is_there(text: str | Path) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # of a name that is too long
        return False
