"""What a pickle would make, told from its operations before any of them is carried out.

A restricted unpickler runs no code, but a few bytes still ask too much of it: a bytearray is as
long as a number says, and a tuple that is the key of a dict is hashed to its depths, in C. One
200,000 deep ends the process; one that holds another twice, sixty times over, never ends.
"""

from __future__ import annotations

import pickletools
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from marey.errors import CheckpointError


class _Value(NamedTuple):
    """How deep tuples lie in a value, and how many values it is when all that is shared counts.

    `maker` is the class or function that it is, or was made by.
    """

    depth: int = 0
    size: int = 1
    maker: str = ""


@dataclass(frozen=True)
class Makers:
    """The classes and functions that pickles name, as ``module.name``."""

    all: set[str] = field(default_factory=set)
    filled_as_dict: set[str] = field(default_factory=set)
    """Those of which a value is given items under keys, once it is made."""
    filled_as_list: set[str] = field(default_factory=set)
    """Those of which a value is given items in a row."""


_DAMAGED = (
    *(OSError, ValueError, EOFError, LookupError, OverflowError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What zip and pickle raise on arbitrary bytes."""
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_FILLS = {
    "SETITEM": "filled_as_dict",
    "SETITEMS": "filled_as_dict",
    "APPEND": "filled_as_list",
    "APPENDS": "filled_as_list",
}
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")


def scan_pickles(path: Path) -> Makers:
    """What the pickles at `path` name; CheckpointError if they are larger or deeper than weights.

    What is no pickle at all is left to the reader, which says what is wrong.
    """
    makers = Makers()
    with suppress(*_DAMAGED):
        for file in _pickles(path):
            _scan(file, path, makers)
    return makers


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    """The one in a zip of `torch.save`, or the five that lie one after the other before 1.6."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    with archive.open(name) as file:
                        yield file
        return
    with path.open("rb") as file:
        for _ in range(5):
            yield file


def _scan(file: IO[bytes], path: Path, makers: Makers) -> None:
    """Go through one pickle, with what is known of values on the stack in the place of values."""
    stack: list[_Value | None] = []  # None is a mark
    memo: dict[Any, _Value | None] = {}
    most = path.stat().st_size  # values that each have a byte
    for op, arg, _ in pickletools.genops(file):
        if op.name == "GLOBAL" and str(arg).endswith(" bytearray"):
            raise CheckpointError(f"{path} holds a bytearray, which weights are none of")
        if op.name in _PUTS:
            memo[arg] = stack[-1]
        elif op.name in _GETS:
            stack.append(memo[arg])
        elif op.name == "TUPLE" or op.name in _TUPLES:
            inside = _popped(stack, _TUPLES.get(op.name))
            made = _Value(
                1 + max((value.depth for value in inside), default=0),
                1 + sum(value.size for value in inside),
            )
            if made.depth > sys.getrecursionlimit() or made.size > most:
                raise CheckpointError(
                    f"{path} holds tuples in tuples, {made.depth} deep",
                    "it is no file of weights, and may be meant to do harm",
                )
            stack.append(made)
        elif op.name == "GLOBAL":
            name = str(arg).replace(" ", ".", 1)
            makers.all.add(name)
            stack.append(_Value(maker=name))
        elif op.name in ("REDUCE", "NEWOBJ"):
            _, maker = stack.pop(), stack.pop()
            stack.append(_Value(maker=maker.maker if maker else ""))
        else:
            target = _carry_out(op, stack)
            kind = _FILLS.get(op.name)
            if kind and target.maker:
                getattr(makers, kind).add(target.maker)


def _popped(stack: list[_Value | None], count: int | None) -> list[_Value]:
    """The last `count` values, or those behind the last mark, which goes with them."""
    if count is None:
        count = stack[::-1].index(None)
        values = [stack.pop() for _ in range(count)]
        stack.pop()
    else:
        values = [stack.pop() for _ in range(count)]
    return [value or _Value() for value in values]


def _carry_out(op: pickletools.OpcodeInfo, stack: list[_Value | None]) -> _Value:
    """Take from the stack what `op` takes, and put there what it puts; the lowest that it took.

    What is put matters not, but where something is filled that stays where it was.
    """
    lowest: _Value | None = None
    for taken in reversed(op.stack_before):
        if taken is pickletools.stackslice:
            _popped(stack, None)
        elif taken is not pickletools.markobject:
            lowest = stack.pop()
    lowest = lowest or _Value()
    for put in op.stack_after:
        stays = op.name in _FILLS or op.name == "BUILD"
        stack.append(None if put is pickletools.markobject else lowest if stays else _Value())
    return lowest
