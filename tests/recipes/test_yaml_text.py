"""YAML from a stranger is plain data or one error, at once."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.errors import RecipeError
from marey.recipes.catalog import find
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, override, to_yaml
from marey.recipes.yaml_text import DEEPEST, LONGEST, MOST_VALUES, parse_yaml

BOMB = "a: &a [x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n"
    for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (BOMB, rf"mine.yaml:\d+ stands for more than {MOST_VALUES:,} values"),
        ("a: &a [*a]", "mine.yaml:1 holds an alias .* of itself"),
        ("a: &a {b: *a}", "mine.yaml:1 holds an alias .* of itself"),
        ("a: " + "[" * 5000 + "]" * 5000, "nests lists or mappings more than"),
        ("a: " + "[" * 2000, "nests lists or mappings more than"),
        ("a: " + "[" * DEEPEST + "]" * DEEPEST, f"more than {DEEPEST} deep"),
        ("a: " + "9" * 5000, "a value that cannot be read"),
        ("a: 2001-02-31", "a value that cannot be read"),
        ("a: 1\nb: 2\na: 3\n", r"mine.yaml:3: 'a' stands on line 1 already"),
        ("a: {b: {c: 1, c: 2}}", "'c' stands on line 1 already"),
        ("a: 'b\n", "mine.yaml is not YAML: line"),
        ("a: \0", "mine.yaml is not YAML"),
        ("? [a]\n: 1\n", "mine.yaml is not YAML"),
        ("a: !!python/object:os.system {}", "mine.yaml is not YAML"),
        ("a: 1\n---\nb: 2\n", "mine.yaml is not YAML"),
        ("#" * (LONGEST + 1), "it is no recipe"),
    ],
)
def test_what_no_recipe_needs_is_refused(text: str, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        parse_yaml(text, "mine.yaml")


def test_aliases_that_repeat_a_little_are_read() -> None:
    text = "a: &a {x: [1, 2]}\nb: *a\nc: {<<: *a, y: 3}\n"
    assert parse_yaml(text, "mine.yaml") == {
        "a": {"x": [1, 2]},
        "b": {"x": [1, 2]},
        "c": {"x": [1, 2], "y": 3},
    }
    assert parse_yaml("", "mine.yaml") is None


@given(st.text(alphabet="[]{}:,-&*!#|>'\"\n ab1.", max_size=60))
def test_any_text_is_data_or_one_error(text: str) -> None:
    with contextlib.suppress(RecipeError):
        from_yaml(Recipe, text, "mine.yaml")


@pytest.mark.parametrize("key", ["1", "~", "2001-01-01", "[1]", "1.5", "true"])
def test_a_key_that_is_no_name_is_refused(key: str) -> None:
    with pytest.raises(RecipeError, match="has the key|is not YAML"):
        from_yaml(Recipe, f"{key}: 1\n", "mine.yaml")


@pytest.mark.parametrize("text", ["[" * 3000, "9" * 5000, "&a [*a]", "{a: 1, a: 2}"])
def test_an_override_is_read_as_a_file_is(text: str) -> None:
    with pytest.raises(RecipeError, match="batch_size"):
        override(find("tsm-r18"), [f"batch_size={text}"])


@pytest.mark.parametrize(
    "data", [to_yaml(find("tsm-r18")).encode("utf-16"), b"name: \xff", b"\0\0\0\x1cftypisom"]
)
def test_a_file_that_is_no_text_is_refused_by_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(data)
    with pytest.raises(RecipeError, match=r"mine\.yaml"):
        find(str(path))


def test_a_long_value_is_shown_by_its_beginning() -> None:
    with pytest.raises(RecipeError) as caught:
        override(find("tsm-r18"), [f"batch_size={'x ' * 5000}"])
    assert len(str(caught.value)) < 300
