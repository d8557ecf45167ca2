"""init.json: what `marey data init` read as what, and the command that does the same again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from marey.data.lists.wanted_columns import ROLES, UNIT_OF
from marey.data.own_videos.splits import SplitRule, Where
from marey.storage.atomic import write_text

NAME = "init.json"
_UNITS = {"": "seconds", "frame": "frames", "ms": "ms"}


def write_record(folder: Path, facts: Mapping[str, object], command: Sequence[str]) -> None:
    """Write the record beside the manifest in `folder`, whole or not at all."""
    record = {**facts, "command": shlex.join(command)}
    write_text(folder / NAME, json.dumps(record, ensure_ascii=False, indent=1) + "\n")


def command_of(
    source: Path,
    out: Path,
    *,
    used: Mapping[str, str],
    ignored: Sequence[str],
    rule: SplitRule,
    shares: tuple[float, float, float] | None,
    root: str | Path | None,
    names: str | Path | None,
    layout: str | None,
    probe: bool,
) -> list[str]:
    """The words of a command that makes the same manifest, with nothing left to guess.

    Args:
        used: role -> column, as they were found.
        shares: of the clips to train, validate and test on; None where something else decides.
    """
    columns = [f"{role}={name}" for role, name in used.items() if role in ROLES]
    options = {
        "--root": root,
        "--names": names,
        "--layout": layout,
        "--columns": ",".join(columns),
        "--ignore": ",".join(ignored),
        "--val": f"{shares[1]:g}" if shares and not rule.folds else None,
        "--test": f"{shares[2]:g}" if shares else None,
        "--folds": rule.folds or None,
        "--seed": rule.seed,
        "--group": "none" if rule.group is None else rule.group,
        "--group-by": rule.group_by,
        "--val-where": _condition(rule.val_where),
        "--test-where": _condition(rule.test_where),
    }
    words = ["marey", "data", "init", str(source), str(out)]
    for name, value in options.items():
        words += [] if value in (None, "") else [name, str(value)]
    words += [] if rule.near_duplicates else ["--no-near-duplicates"]
    return words if probe else [*words, "--no-probe"]


def shown_columns(used: Mapping[str, str]) -> str:
    """The columns and what they were read as, for people.

    >>> shown_columns({"path": "video", "label": "gloss", "start_ms": "onset"})
    'path `video`, label `gloss`, start (ms) `onset`'
    """
    return ", ".join(f"{_shown_role(role)} `{name}`" for role, name in used.items())


def _shown_role(role: str) -> str:
    edge, _, unit = role.partition("_")
    if role not in UNIT_OF:
        return role.replace("_", " ")
    return f"{edge} ({_UNITS[unit]})"


def _condition(where: Where | None) -> str:
    return f"{where[0]}:{','.join(sorted(where[1]))}" if where else ""
