"""Scripts that were written against earlier names of modules."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from marey.moved import MOVED


@pytest.mark.parametrize("name", MOVED)
def test_an_earlier_name_is_the_module_of_today(name: str) -> None:
    sys.modules.pop(name, None)
    with pytest.warns(DeprecationWarning, match=f"{name} is {MOVED[name]} now"):
        earlier = import_module(name)
    assert earlier is import_module(MOVED[name])
    assert earlier.__name__ == MOVED[name]
    assert earlier.__spec__ is not None
    assert earlier.__spec__.name == MOVED[name]
    assert import_module(name) is earlier  # without another warning


def test_what_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module("marey.models.nothing")
