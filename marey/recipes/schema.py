"""Values to plain data and back: how a recipe becomes YAML, and YAML a checked recipe.

A field whose type is one dataclass is a mapping of its fields. Where several classes may stand (an
encoder, a temporal op, an optimiser) the value is named by its class (`marey.recipes.names`):

    encoder: {ResNetSpec: {depth: 50}}
    temporal: [TSM, {NonLocal: {stages: [1, 2]}}]

Every fault is a `RecipeError` that names the place ("stages.0.optim.lrr") and the nearest word that
would have been right.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from marey.errors import RecipeError, cut_short
from marey.recipes.names import (
    class_named,
    classes_for,
    is_dataclass,
    is_protocol,
    name_of,
    obstacle,
    own_class,
    unknown_name,
)
from marey.recipes.yaml_text import parse_change, parse_yaml

Plain: TypeAlias = Any
"""None, bool, int, float, str, and lists and mappings of them."""
T = TypeVar("T")


def to_plain(value: object, hint: object = None, where: str = "") -> Plain:
    """`value` as mappings, lists and numbers; classes are named where `hint` leaves a choice.

    RecipeError for what no recipe can hold, such as an array.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value))
        body = {
            name: to_plain(getattr(value, name), hints[name], _join(where, name))
            for name in _fields(type(value))
        }
        return body if _members(hint) in ([], [type(value)]) else {name_of(type(value)): body}
    if isinstance(value, tuple):
        of_tuple = _tuple_in(_members(hint))
        return [
            to_plain(item, _item_hint(of_tuple, i), _join(where, str(i)))
            for i, item in enumerate(value)
        ]
    if value is not None and type(value) not in _LEAVES:
        raise RecipeError(
            f"{where} is {value!r}, which no recipe can hold",
            "fields are numbers, text, true or false, None, or tuples and dataclasses of these",
        )
    return value


def from_plain(cls: type[T], plain: Plain, source: str = "") -> T:
    """The `cls` that `plain` describes.

    Args:
        cls: a dataclass.
        plain: what `to_plain` gives, or less: a field that is left out has its default.
        source: the file that `plain` stands in, for errors and for what it may import.

    Raises:
        RecipeError: names the first place that does not fit.
    """
    value: T = _Reader(source).value(cls, plain, f"{source}: " if source else "")
    return value


def to_yaml(value: object) -> str:
    """`value` as YAML that `from_yaml` reads back to an equal value."""
    return yaml.safe_dump(to_plain(value), sort_keys=False, width=100)


def from_yaml(cls: type[T], text: str, source: str = "") -> T:
    """The `cls` written in `text`; see `parse_yaml` and `from_plain`."""
    return from_plain(cls, parse_yaml(text, source or "text"), source)


def to_readable_yaml(value: object, source: str) -> str:
    """`value` as YAML which another process is sure to read back from the file `source`.

    RecipeError names the place that could not be read, or would be read as something else.
    """
    text = to_yaml(value)
    for where, cls in _classes(value):
        reason = obstacle(cls.__module__, cls.__qualname__, source)
        if reason and "." in name_of(cls):
            raise RecipeError(
                f"{where} is a {name_of(cls)}, which cannot be read back from {source}: {reason}",
                "put the class into a file of its own, as docs/extending.md does",
            )
    back = from_yaml(type(value), text, source)
    for difference in _differences(to_plain(value), to_plain(back)):
        raise RecipeError(difference, "a dataclass must keep its fields as they were given")
    return text


def override(value: T, assignments: Iterable[str]) -> T:
    """`value` with assignments like ``stages.0.optim.lr=0.02`` applied, checked as a whole.

    The names of classes on the way may be left out; what is assigned is YAML, and nothing
    (``weights=``) is None, no items or no text, whichever the field can be. Where a class is named
    again with some of its fields, the others stay; where another class is named, the size of its
    pictures does (`FITTING`). Of ``X=Cosine`` and ``X.per=epoch`` the part is set in the whole, in
    whichever order they stand.

    Raises:
        RecipeError: names the place that does not exist or does not take this; or the two
            assignments of which a whole would undo the part given before it.

    >>> from marey.recipes.optim import Warmup
    >>> override(Warmup(), ["epochs=5"])
    Warmup(epochs=5.0, start=0.01)
    """
    plain = to_plain(value)
    for each in _wholes_first([_parsed(assignment) for assignment in assignments]):
        plain = _assigned(plain, type(value), each.keys, each.new, each.path)
    return from_plain(type(value), plain)


def names_at(cls: type, path: str) -> list[str]:
    """The names that a field may have for its value: of classes, or words; [] of other fields.

    >>> from marey.recipes.recipe import Recipe
    >>> names_at(Recipe, "augment.flip")
    ['none', 'plain', 'swap']
    """
    members: list[Any] = [cls]
    for key in path.split("."):
        if key.isdigit():
            members = _members(_item_hint(_tuple_in(members), int(key)))
            continue
        within = next((each for each in members if is_dataclass(each)), None)
        if within is None or key not in _fields(within):
            return []
        members = _members(get_type_hints(within)[key])
    words = [word for each in members if get_origin(each) is Literal for word in get_args(each)]
    kinds = _kinds(members)
    plain = len(kinds) == 1 and is_dataclass(kinds[0])  # its fields are changed, not its class
    return [*map(str, words), *(sorted(classes_for(*kinds)) if kinds and not plain else ())]


_NOTHING = object()
"""What is assigned by ``KEY=``: what that is depends on the field."""


@dataclass(frozen=True)
class _Assignment:
    """``path=...`` as it was written, and the plain value that it means."""

    path: str
    new: Plain
    text: str

    @property
    def keys(self) -> list[str]:
        return self.path.split(".")


def _parsed(assignment: str) -> _Assignment:
    path, equals, text = assignment.partition("=")
    if not equals:
        raise RecipeError(f"'{assignment}' is not an override", "write key.sub=value")
    return _Assignment(path, parse_change(text, path) if text.strip() else _NOTHING, assignment)


def _wholes_first(given: Sequence[_Assignment]) -> list[_Assignment]:
    """The assignments with every part behind the whole that it lies in.

    RecipeError if a whole names for itself what a part before it says: both were meant.
    """
    for i, whole in enumerate(given):
        for part in given[:i]:
            inside = part.path.removeprefix(f"{whole.path}.")
            if inside != part.path and _names(whole.new, inside.split(".")):
                raise RecipeError(
                    f"{part.text} and {whole.text} both say {part.path}", "leave it out of one"
                )
    return sorted(given, key=lambda each: len(each.keys))


def _names(plain: Plain, keys: Sequence[str]) -> bool:
    """Whether a plain value has something at `keys`; names of classes may be left out of them."""
    if not keys:
        return True
    if isinstance(plain, list):
        here = keys[0].isdigit() and int(keys[0]) < len(plain)
        return here and _names(plain[int(keys[0])], keys[1:])
    if not isinstance(plain, dict):
        return False
    if keys[0] in plain:
        return _names(plain[keys[0]], keys[1:])
    return _is_tagged(plain) and _names(next(iter(plain.values())), keys)


def _assigned(plain: Plain, hint: Any, keys: Sequence[str], new: Plain, path: str) -> Plain:
    """`plain`, a value of the type `hint`, with `new` at the place `keys` inside it."""
    if not keys:
        return _kept(plain, new)
    key, rest, members = keys[0], keys[1:], _members(hint)
    if isinstance(plain, list):
        if not key.isdigit() or int(key) >= len(plain):
            raise RecipeError(f"{path}: there is no item '{key}' in a list of {len(plain)}")
        index = int(key)
        within = _item_hint(_tuple_in(members), index)
        return [
            _assigned(item, within, rest, new, path) if i == index else item
            for i, item in enumerate(plain)
        ]
    kinds = _kinds(members)
    if kinds and isinstance(plain, str):
        plain = {plain: {}}
    if not isinstance(plain, dict) or not kinds:
        raise RecipeError(f"{path}: '{key}' looks inside {_shown(plain)}, which has no parts")
    if _is_one_class(members, kinds):
        return _with_field(kinds[0], plain, keys, new, path)
    if len(plain) != 1:
        raise RecipeError(f"{path}: '{key}' looks inside {_shown(plain)}, which names no class")
    name, body = next(iter(plain.items()))
    if key != name:
        cls = class_named(str(name), kinds, path)
        return {name: _with_field(cls, body or {}, keys, new, path)}
    return {name: _assigned(body or {}, class_named(name, kinds, path), rest, new, path)}


def _with_field(cls: type, body: Plain, keys: Sequence[str], new: Plain, path: str) -> Plain:
    """The fields `body` of a `cls` with `new` at `keys`; what they leave out has its default."""
    key, fields = keys[0], _fields(cls)
    if key not in fields:
        raise unknown_name(path, key, fields)
    if not isinstance(body, dict):
        raise RecipeError(f"{path}: '{key}' looks inside {_shown(body)}, which has no parts")
    hint = get_type_hints(cls)[key]
    old = body[key] if key in body else _default(fields[key], hint)
    return body | {key: _assigned(old, hint, keys[1:], new, path)}


def _default(field: dataclasses.Field[Any], hint: Any) -> Plain:
    """What a field is that is left out; nothing yet of one that must be given."""
    if field.default_factory is not MISSING:
        return to_plain(field.default_factory(), hint)
    return {} if field.default is MISSING else to_plain(field.default, hint)


FITTING = ("size", "resize")
"""What a crop of another class takes over: pictures have the size that the model was trained at."""


def _kept(old: Plain, new: Plain) -> Plain:
    """The value `new` in the place of `old`, with those fields of `old` that it does not give."""
    if not isinstance(old, dict) or not _is_tagged(old):
        return new
    tagged = {new: {}} if isinstance(new, str) else new
    if not isinstance(tagged, dict) or len(tagged) != 1:
        return new
    (before, fields), (name, given) = *old.items(), *tagged.items()
    if not isinstance(given, dict | None):
        return new
    if name != before:
        cls = own_class(str(name))
        taken = set(FITTING) & set(_fields(cls)) if cls else ()
        fields = {key: value for key, value in fields.items() if key in taken}
    return {name: fields | (given or {})}


def _is_tagged(plain: Mapping[str, Plain]) -> bool:
    """Whether `plain` is a class name over its fields: ``stages.0.optim.lr`` leaves the name out.

    A name of one class is told from a dataclass of one field by its capital: fields have none.
    """
    only = next(iter(plain)) if len(plain) == 1 else ""
    return only.rpartition(".")[2][:1].isupper() and isinstance(plain[only], dict)


@dataclass(frozen=True)
class _Reader:
    """Reads plain data that stand in the file `source`; every method takes the place as `where`."""

    source: str

    def value(self, hint: Any, plain: Plain, where: str) -> Any:
        members = _members(hint)
        if plain is _NOTHING:
            plain = _empty(hint, where)
        if plain is None and type(None) in get_args(hint):
            return None
        kinds = _kinds(members)
        if _is_one_class(members, kinds):
            return self.fields(members[0], plain, where)
        if kinds:
            return self.named(kinds, plain, where)
        of_tuple = _tuple_in(members)
        if of_tuple and (members == [of_tuple] or isinstance(plain, list | tuple)):
            return self.items(of_tuple, plain, where)
        return _leaf(members, plain, where)

    def fields(self, cls: type, plain: Plain, where: str) -> Any:
        if plain is None:
            plain = {}
        if not isinstance(plain, dict):
            raise RecipeError(
                f"{where or cls.__name__} is {_shown(plain)}, "
                f"expected the fields of a {cls.__name__}"
            )
        fields, hints = _fields(cls), get_type_hints(cls)
        for key in plain:
            if not isinstance(key, str):
                raise RecipeError(f"{where or cls.__name__} has the key {_shown(key)}, no name")
            if key not in fields:
                raise unknown_name(_join(where, key), key, fields)
        for name, f in fields.items():
            if name not in plain and f.default is MISSING and f.default_factory is MISSING:
                raise RecipeError(f"{_join(where, name)} is missing")
        values = {
            key: self.value(hints[key], item, _join(where, key)) for key, item in plain.items()
        }
        try:
            return cls(**values)
        except ValueError as error:
            raise RecipeError(f"{where.removesuffix(': ') or cls.__name__}: {error}") from error

    def named(self, kinds: Sequence[type], plain: Plain, where: str) -> Any:
        if isinstance(plain, str):
            plain = {plain: {}}
        if not isinstance(plain, dict) or len(plain) != 1:
            names = ", ".join(sorted(classes_for(*kinds)))
            raise RecipeError(
                f"{where} is {_shown(plain)}, expected one of {names}",
                "name the class: {SGD: {lr: 0.01}}",
            )
        name, body = next(iter(plain.items()))
        cls = class_named(str(name), kinds, where, self.source)
        return self.fields(cls, body, _join(where, str(name)))

    def items(self, hint: Any, plain: Plain, where: str) -> tuple[Any, ...]:
        if not isinstance(plain, list | tuple):
            raise RecipeError(f"{where} is {_shown(plain)}, expected a list")
        args = get_args(hint)
        if Ellipsis not in args and len(args) != len(plain):
            raise RecipeError(f"{where} has {len(plain)} items, expected {len(args)}")
        return tuple(
            self.value(_item_hint(hint, i), item, _join(where, str(i)))
            for i, item in enumerate(plain)
        )


_LEAVES = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}


def _empty(hint: Any, where: str) -> Plain:
    """What a field of this type is when it is set to nothing; RecipeError if it cannot be."""
    members = _members(hint)
    if type(None) in get_args(hint):
        return None
    if _tuple_in(members):
        return []
    if str in members:
        return ""
    kinds = _kinds(members)
    if _is_one_class(members, kinds):
        wanted, remedy = f"the fields of a {kinds[0].__name__}", "{} has the default of each"
    else:
        wanted = f"one of {', '.join(sorted(classes_for(*kinds)))}" if kinds else _wanted(members)
        remedy = ""
    raise RecipeError(f"{where} is empty, expected {wanted}", remedy)


def _leaf(members: Sequence[Any], plain: Plain, where: str) -> Any:
    """`plain` as the first of the types that takes it; they may be `Literal`s."""
    for member in members:
        choices = get_args(member) if get_origin(member) is Literal else ()
        if any(type(plain) is type(c) and plain == c for c in choices):
            return plain
        if member is float and type(plain) in (float, int, str):  # to YAML, 1e-3 is text
            with suppress(ValueError, OverflowError):
                if math.isfinite(number := float(plain)):
                    return number
        elif member is int and type(plain) in (int, float) and _is_int64(plain):
            return int(plain)
        elif type(plain) is member and member is not int:
            return plain
    is_of_text = plain is None and str in members
    raise RecipeError(
        f"{where} is {'empty' if plain is None else _shown(plain)}, expected {_wanted(members)}",
        "no text is written '', and on a command line KEY=" if is_of_text else "",
    )


def _wanted(members: Sequence[Any]) -> str:
    """What a field of these types takes, in words."""
    return " or ".join(
        _LEAVES.get(m) or " or ".join(map(repr, get_args(m))) or repr(m) for m in members
    )


def _is_int64(number: float) -> bool:
    """Whether torch and Arrow can hold it as a whole number."""
    return -(1 << 63) <= number < 1 << 63 and number == int(number)


def _fields(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """The fields that `cls` is made of, by name."""
    return {f.name: f for f in dataclasses.fields(cls) if f.init}


def _members(hint: Any) -> list[Any]:
    """The types that a hint allows besides None: A and B of ``A | B | None``."""
    union = get_origin(hint) in (Union, types.UnionType)
    return [m for m in (get_args(hint) if union else (hint,)) if m not in (None, type(None))]


def _kinds(members: Sequence[Any]) -> list[type]:
    """Those of the types that are dataclasses, or protocols that dataclasses fit."""
    return [member for member in members if is_dataclass(member) or is_protocol(member)]


def _is_one_class(members: Sequence[Any], kinds: Sequence[type]) -> bool:
    """Whether a value can be of one class only, whose fields then stand there without its name."""
    return members == kinds[:1] and is_dataclass(members[0])


def _tuple_in(members: Sequence[Any]) -> Any:
    return next((member for member in members if get_origin(member) is tuple), None)


def _item_hint(of_tuple: Any, index: int) -> Any:
    """The type of an item of ``tuple[A, ...]`` or ``tuple[A, B]``; None if nothing says it."""
    args = get_args(of_tuple)
    if Ellipsis in args:
        return args[0]
    return args[index] if index < len(args) else None


def _classes(value: object, where: str = "") -> Iterator[tuple[str, type]]:
    """The class of every dataclass in `value`, with its place."""
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _classes(item, _join(where, str(i)))
    elif dataclasses.is_dataclass(value):
        yield where or type(value).__name__, type(value)
        for name in _fields(type(value)):
            yield from _classes(getattr(value, name), _join(where, name))


def _differences(one: Plain, other: Plain, where: str = "") -> Iterator[str]:
    """Where two plain values differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        for key in one:
            yield from _differences(one[key], other[key], _join(where, key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _differences(a, b, _join(where, str(i)))
    elif one != other and repr(one) != repr(other):  # nan is not itself, but reads as itself
        yield f"{where} is {one!r}, which would be read back as {other!r}"


def _shown(plain: Plain) -> str:
    return cut_short(repr(plain))


def _join(where: str, key: str) -> str:
    return f"{where}{key}" if not where or where.endswith(": ") else f"{where}.{key}"
