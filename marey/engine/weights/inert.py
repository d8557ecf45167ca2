"""What stands in for objects beside weights: configurations are read, the rest is left unread.

Training scripts save more than weights: their configuration (a CfgNode of yacs or fvcore, an
omegaconf, easydict, or mmengine's), buffers of losses, paths, dates, schedulers. Nothing of their
classes is imported or called. A class whose values are filled under keys becomes a plain dict that
has these, one that is filled in a row a list, any other an `Unread` that keeps nothing.

That is so of what code bases call their own, and of what holds data in Python's library. Whatever
else is Python's (``os.system``, ``builtins.eval``), torch's or numpy's is there to be called, or
holds weights that would go missing: torch refuses it by its name.
"""

from __future__ import annotations

import re
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

from marey.engine.weights.pickle_scan import Makers


class Unread:
    """Stands for an object that is not read: it takes everything and keeps nothing."""

    of: ClassVar[str] = ""
    """The name of what it stands for."""

    def __new__(cls, *_: object) -> Unread:
        """One that ignores what it is made of."""
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        """Nothing: what it held stays unread."""


def stand_ins(makers: Makers) -> list[tuple[Any, str]]:
    """For each name of `makers` that may stand beside weights, what is made in its place."""
    found: list[tuple[Any, str]] = []
    for name in sorted(makers.all):
        modern = _in_python_3(name)
        if _holds_data(modern):
            made = _stand_in(name, modern, makers)
            found += [(made, spelling) for spelling in {name, modern}]
    return found


def _stand_in(name: str, modern: str, makers: Makers) -> type[Unread] | Callable[..., Any]:
    if name in makers.filled_as_list:
        return _list_of(modern)
    if name in makers.filled_as_dict:
        return _dict_of(modern)
    return type("Unread", (Unread,), {"of": modern})


def _dict_of(name: str) -> type:
    """A class whose values are dicts, to be filled."""

    def make(_cls: type, *_: object) -> OrderedDict[str, object]:
        return OrderedDict()

    return type("Dict", (), {"__new__": make, "of": name})


def _list_of(name: str) -> type:
    """A class whose values are lists, to be filled."""

    def make(_cls: type, *_: object) -> list[object]:
        return []

    return type("List", (), {"__new__": make, "of": name})


def _in_python_3(name: str) -> str:
    """The name that Python 3 has for one of Python 2, as torch reads it."""
    module, _, last = name.rpartition(".")
    module, last = NAME_MAPPING.get((module, last), (IMPORT_MAPPING.get(module, module), last))
    return f"{module}.{last}"


def _holds_data(name: str) -> bool:
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names or root in ("torch", "numpy"):
        return _DATA.fullmatch(name) is not None
    return True


_DATA = re.compile(
    r"""
    (_?collections|pathlib(\._local)?|datetime|typing|decimal|fractions|uuid|enum|logging)\.\w+
    | types\.SimpleNamespace | functools\.partial | copyreg\._reconstructor | re\._compile
    | builtins\.(getattr|object|dict|list|tuple|frozenset|int|float|str|bool|bytes|slice|range)
    | numpy\.ndarray | numpy\.(_core|core)\.multiarray\._reconstruct | numpy\.random\.[\w.]+
    | numpy\.\w*(int|float|bool|str_|bytes_|complex)\w*
    | torch\.(optim|nn\.modules|amp|cuda\.amp)\.[\w.]+
    """,
    re.VERBOSE,
)
"""Of Python, torch and numpy, what holds data beside weights. None of it is called."""
