"""YAML that somebody else may have written, read as plain data or refused.

Python's reader of YAML takes more than a recipe should: of two equal keys the last, a few lines
whose aliases stand for billions of values, nesting that ends Python's stack. Each is refused here,
with its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from marey.errors import RecipeError

LONGEST = 1 << 20
"""Characters; the longest published recipe has 3,000."""
MOST_VALUES = 20_000
"""That a text may stand for, counted with what its aliases repeat."""
DEEPEST = 50
"""Lists and mappings in one another."""


def parse_yaml(text: str, source: str) -> Any:
    """The plain data in `text`; RecipeError if it is no YAML, or YAML that no recipe needs.

    Args:
        text: what was written.
        source: the file or the override it stands in, for errors.
    """
    if len(text) > LONGEST:
        raise RecipeError(f"{source} has {len(text):,} characters: it is no recipe")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _refuse_many(root, source)
        _refuse_twins(root, source)
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise RecipeError(f"{source} is not YAML: {line}{problem or error}") from error
    except RecursionError as error:
        raise _too_deep(source) from error
    except ValueError as error:  # a number of thousands of digits, the 31st of February
        raise RecipeError(f"{source} holds a value that cannot be read: {error}") from error


def parse_change(text: str, key: str) -> Any:
    """As `parse_yaml`, of what stands behind ``key=`` in a change of a recipe."""
    try:
        return parse_yaml(text, key)
    except RecipeError as error:
        if not isinstance(error.__cause__, yaml.YAMLError):
            raise
        remedy = "a shell divides at spaces: write the whole change in quotes"
        raise RecipeError(error.message, f"{remedy}, as '{key}={{...}}'") from error


def _refuse_many(root: yaml.Node, source: str) -> None:
    """RecipeError if the text stands for too many values, is too deep, or holds itself."""
    sizes: dict[int, tuple[int, int]] = {}
    """By the id of a node: the values it stands for, and how deep they go; (0, 0) while counted."""

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) not in sizes:
            sizes[id(node)] = 0, 0
            inner = [measure(child) for child in _children(node)]
            size, depth = 1 + sum(n for n, _ in inner), 1 + max((d for _, d in inner), default=0)
            if size > MOST_VALUES:
                raise RecipeError(
                    f"{source}:{_line(node)} stands for more than {MOST_VALUES:,} values",
                    "write them out instead of with aliases (*name)",
                )
            if depth > DEEPEST:
                raise _too_deep(source)
            sizes[id(node)] = size, depth
        elif sizes[id(node)] == (0, 0):
            raise RecipeError(f"{source}:{_line(node)} holds an alias (*name) of itself")
        return sizes[id(node)]

    measure(root)


def _refuse_twins(root: yaml.Node, source: str) -> None:
    """RecipeError if a mapping has a key twice: YAML forbids it, and the first would be lost."""
    todo, done = [root], set[int]()
    while todo:
        node = todo.pop()
        if id(node) in done:
            continue
        done.add(id(node))
        todo += _children(node)
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise RecipeError(
                        f"{source}:{_line(key)}: '{key.value}' stands on line"
                        f" {seen[key.value]} already",
                        "keep one of them",
                    )
                seen[str(key.value)] = _line(key)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _too_deep(source: str) -> RecipeError:
    return RecipeError(f"{source} nests lists or mappings more than {DEEPEST} deep")
