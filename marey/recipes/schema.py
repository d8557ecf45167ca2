"""Values to plain data and back: how a recipe becomes YAML, and YAML a checked recipe.

A field whose type is one dataclass is a mapping of its fields. Where several classes may stand (an
encoder, a temporal op, an optimiser) the value is named by its class:

    encoder: {ResNetSpec: {depth: 50}}
    temporal: [TSM, {NonLocal: {stages: [1, 2]}}]

Classes of marey go by their bare name, others by their dotted path; those must have been imported
before, because reading a recipe never imports code. Every fault is a `RecipeError` that names the
place ("stages.0.optim.lrr") and the nearest word that would have been right.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from inspect import get_annotations
from typing import (
    Any,
    Protocol,
    TypeAlias,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import pydantic
import yaml

from marey.errors import RecipeError, did_you_mean

Plain: TypeAlias = Any
"""None, bool, int, float, str, and lists and mappings of them."""
T = TypeVar("T")


def to_plain(value: object, hint: object = None) -> Plain:
    """`value` as mappings, lists and numbers; classes are named where `hint` leaves a choice."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value))
        body = {
            f.name: to_plain(getattr(value, f.name), hints[f.name])
            for f in dataclasses.fields(value)
        }
        return body if _without_none(hint) in (type(value), None) else {_tag(type(value)): body}
    if isinstance(value, tuple):
        return [to_plain(item, _item_hint(hint, i)) for i, item in enumerate(value)]
    return value


def from_plain(cls: type[T], plain: Plain, where: str = "") -> T:
    """The `cls` that `plain` describes; RecipeError names the first place that does not fit."""
    result: T = _read(cls, plain, where)
    return result


def to_yaml(value: object) -> str:
    """`value` as YAML that `from_yaml` reads back to an equal value."""
    return yaml.safe_dump(to_plain(value), sort_keys=False, width=100)


def from_yaml(cls: type[T], text: str, source: str = "") -> T:
    """The `cls` written in `text`; `source` names the file in errors."""
    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source or 'text'} is not YAML: {error}") from error
    return from_plain(cls, plain, where=f"{source}: " if source else "")


def override(value: T, assignments: Iterable[str]) -> T:
    """`value` with ``stages.0.optim.lr=0.02`` and the like applied, checked as a whole."""
    plain = to_plain(value)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise RecipeError(f"'{assignment}' is not an override", "write key.sub=value")
        try:
            _assign(plain, path.split("."), yaml.safe_load(text), path)
        except yaml.YAMLError as error:
            raise RecipeError(f"{path}: '{text}' is not a YAML value") from error
    return from_plain(type(value), plain)


def _assign(plain: Plain, keys: Sequence[str], new: Plain, path: str) -> None:
    key, rest = keys[0], keys[1:]
    if isinstance(plain, list):
        if not key.isdigit() or int(key) >= len(plain):
            raise RecipeError(f"{path}: there is no item '{key}' in a list of {len(plain)}")
        index: Any = int(key)
    elif isinstance(plain, dict):
        if key not in plain and _is_tagged(plain):  # the class name may be left out
            return _assign(next(iter(plain.values())), keys, new, path)
        if key not in plain:
            raise _unknown(path, key, plain)
        index = key
    else:
        raise RecipeError(f"{path}: '{key}' looks inside {plain!r}, which has no parts")
    if rest:
        return _assign(plain[index], rest, new, path)
    plain[index] = new
    return None


def _is_tagged(plain: Mapping[str, Plain]) -> bool:
    only = next(iter(plain)) if len(plain) == 1 else ""
    return only.rpartition(".")[2][:1].isupper() and isinstance(plain[only], dict)


def _read(hint: Any, plain: Plain, where: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        members = get_args(hint)
        if plain is None and type(None) in members:
            return None
        classes = [m for m in members if _is_dataclass(m)]
        if len(classes) == 1 and len([m for m in members if m is not type(None)]) == 1:
            return _read(classes[0], plain, where)
        return _read_named(plain, where, classes) if classes else _leaf(hint, plain, where)
    if dataclasses.is_dataclass(hint):
        return _read_fields(hint, plain, where)  # type: ignore[arg-type]
    if getattr(hint, "_is_protocol", False):
        named = _imported(plain) if isinstance(plain, str | dict) else []
        fitting = [cls for cls in (*_spec_classes(), *named) if _fits(cls, hint)]
        return _read_named(plain, where, fitting)
    if get_origin(hint) is tuple:
        return _read_tuple(hint, plain, where)
    return _leaf(hint, plain, where)


def _read_fields(cls: type, plain: Plain, where: str) -> Any:
    if plain is None:
        plain = {}
    if not isinstance(plain, dict):
        raise RecipeError(
            f"{where or cls.__name__} is {plain!r}, expected the fields of a {cls.__name__}"
        )
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in plain:
        if key not in fields:
            raise _unknown(_join(where, key), key, fields)
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in plain:
            raise RecipeError(f"{_join(where, name)} is missing")
    hints = get_type_hints(cls)
    values = {key: _read(hints[key], item, _join(where, key)) for key, item in plain.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise RecipeError(f"{where or cls.__name__}: {error}") from error


def _read_named(plain: Plain, where: str, classes: Sequence[type]) -> Any:
    if isinstance(plain, str):
        plain = {plain: {}}
    if not isinstance(plain, dict) or len(plain) != 1:
        names = ", ".join(sorted(_tag(c) for c in classes))
        raise RecipeError(
            f"{where} is {plain!r}, expected one of {names}", "name the class: {SGD: {lr: 0.01}}"
        )
    name, body = next(iter(plain.items()))
    known = {_tag(c): c for c in classes}
    module = str(name).rpartition(".")[0]
    if module and module not in sys.modules:
        raise RecipeError(
            f"{where}: unknown name '{name}'",
            f"{module} is not imported, and reading imports nothing: "
            "docs/extending.md has a script that does",
        )
    if name not in known:
        raise _unknown(where, str(name), known)
    return _read_fields(known[name], body, _join(where, str(name)))


def _read_tuple(hint: Any, plain: Plain, where: str) -> tuple[Any, ...]:
    if not isinstance(plain, list | tuple):
        raise RecipeError(f"{where} is {plain!r}, expected a list")
    args = get_args(hint)
    if not (len(args) == 2 and args[1] is Ellipsis) and len(args) != len(plain):
        raise RecipeError(f"{where} has {len(plain)} items, expected {len(args)}")
    return tuple(
        _read(_item_hint(hint, i), item, _join(where, str(i))) for i, item in enumerate(plain)
    )


def _leaf(hint: Any, plain: Plain, where: str) -> Any:
    try:
        return pydantic.TypeAdapter(hint).validate_python(plain)
    except pydantic.ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise RecipeError(f"{where} is {plain!r}: {reason[0].lower()}{reason[1:]}") from error


def _fits(cls: type, protocol: type) -> bool:
    """Whether `cls` has every public member that `protocol` asks for."""
    wanted = {
        name
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False) and base is not Protocol
        for name in (*vars(base), *get_annotations(base))
        if not name.startswith("_")
    }
    has = {*dir(cls), *(f.name for f in dataclasses.fields(cls))}
    return wanted <= has


def _spec_classes() -> list[type]:
    """Every public dataclass in the modules of marey that are loaded."""
    modules = [module for name, module in sys.modules.items() if name.startswith("marey.")]
    return [
        value
        for module in modules
        for name, value in vars(module).items()
        if _is_dataclass(value) and value.__module__ == module.__name__ and name[0] != "_"
    ]


def _imported(words: Iterable[str]) -> list[type]:
    """The dataclasses that dotted paths name, of modules that are loaded already."""
    words = [words] if isinstance(words, str) else words
    found = []
    for word in words:
        module, _, name = str(word).rpartition(".")
        value = getattr(sys.modules.get(module), name, None)
        if _is_dataclass(value):
            found.append(value)
    return found


def _is_dataclass(value: object) -> TypeGuard[type]:
    return isinstance(value, type) and dataclasses.is_dataclass(value)


def _tag(cls: type) -> str:
    ours = cls.__module__.partition(".")[0] == "marey"
    return cls.__name__ if ours else f"{cls.__module__}.{cls.__name__}"


def _unknown(where: str, word: str, known: Iterable[str]) -> RecipeError:
    return RecipeError(f"{where}: unknown name '{word}'", did_you_mean(word, sorted(known)))


def _item_hint(hint: Any, index: int) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next((member for member in get_args(hint) if get_origin(member) is tuple), None)
    args = get_args(hint)
    if not args:
        return None
    return args[0] if len(args) == 2 and args[1] is Ellipsis else args[index]


def _without_none(hint: Any) -> Any:
    members = [m for m in get_args(hint) if m is not type(None)]
    is_optional = get_origin(hint) in (Union, types.UnionType) and len(members) == 1
    return members[0] if is_optional else hint


def _join(where: str, key: str) -> str:
    return f"{where}{key}" if not where or where.endswith(": ") else f"{where}.{key}"
