"""Costs of models as they were counted before: to count all recipes takes a while."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

import torch

import marey.models
from marey.errors import RunError
from marey.models.profile import Cost, cost
from marey.models.video_model import ModelSpec
from marey.recipes.schema import to_plain
from marey.storage.atomic import replacing, run_error
from marey.storage.cache import cache_home

FOLDER = "costs"
"""Of the cache: a file for every model, which says what it costs."""


def known_cost(spec: ModelSpec, size: int) -> Cost:
    """The cost of one clip as `marey.models.profile.cost` counts it, or as it did before.

    Where the cache cannot be written it is counted every time.
    """
    path = cache_home() / FOLDER / f"{_digest(spec, size)}.json"
    if path.is_file():
        try:
            return Cost(**json.loads(path.read_bytes()))
        except (ValueError, TypeError):  # half a file, of a disk that was full
            path.unlink()
    counted = cost(spec, size)
    with suppress(RunError), replacing(path, run_error) as file:
        file.write(json.dumps(asdict(counted)).encode())
    return counted


def _digest(spec: ModelSpec, size: int) -> str:
    """Of all that a count depends on: the model, the code that builds it, and torch."""
    model = json.dumps(to_plain(spec), sort_keys=True)
    return hashlib.sha256(f"{model} {size} {torch.__version__} {_code()}".encode()).hexdigest()[:32]


@cache
def _code() -> str:
    """A digest of the source of every model."""
    digest = hashlib.sha256()
    for path in sorted(Path(marey.models.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
